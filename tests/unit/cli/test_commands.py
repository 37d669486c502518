"""The commands as Airflow's command line reads them: their arguments, and what a wrong one does."""

from __future__ import annotations

import argparse
import sys
from types import SimpleNamespace

import pytest
from airflow.cli import cli_config

from airflow_provider_exclusive.cli.definition import get_cli_commands


def parser_of(command):
    parser = argparse.ArgumentParser(command.name, exit_on_error=False)
    for argument in command.args:
        argument.add_to_parser(parser)
    return parser


def commands():
    (group,) = get_cli_commands()
    return {command.name: command for command in group.subcommands}


def parse(name, *words):
    return vars(parser_of(commands()[name]).parse_args(words))


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("keygen", ["--output", "mermaid"], "invalid choice: 'mermaid'"),
        ("lineage", ["etl", "run-1", "-o", "mermaid"], "invalid choice: 'mermaid'"),
        ("doctor", ["-o", "yaml"], "invalid choice: 'yaml'"),
        ("scopes", ["etl", "-o", "yaml"], "invalid choice: 'yaml'"),
    ],
)
def test_an_output_that_there_is_not_is_refused(name, words, said):
    with pytest.raises(argparse.ArgumentError, match=said):
        parse(name, *words)


@pytest.mark.parametrize(("name", "words"), [("scopes", []), ("lineage", [])])
def test_a_missing_id_is_refused(name, words, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(name, *words)
    assert ended.value.code == 2
    assert "the following arguments are required" in capsys.readouterr().err


def test_there_is_one_group_of_four_commands():
    (group,) = get_cli_commands()
    assert isinstance(group, cli_config.GroupCommand)
    assert group.name == "exclusive"
    assert list(commands()) == ["keygen", "scopes", "lineage", "doctor"]


def test_every_command_has_help_and_a_description():
    assert all(command.help and command.description.endswith(".") for command in commands().values())


@pytest.mark.parametrize(
    ("name", "words", "meant"),
    [
        ("keygen", [], {"output": "text"}),
        ("doctor", ["--output", "json"], {"output": "json"}),
        ("lineage", ["etl", "run-1"], {"dag_id": "etl", "run_id": "run-1", "output": "text"}),
        (
            "scopes",
            ["etl"],
            {"dag_id": "etl", "check": False, "output": "text", "bundle_name": None, "dagfile_path": None},
        ),
        (
            "scopes",
            ["etl", "--check", "-o", "mermaid", "-B", "main", "--dagfile-path", "etl.py"],
            {"dag_id": "etl", "check": True, "output": "mermaid", "bundle_name": ["main"], "dagfile_path": "etl.py"},
        ),
    ],
)
def test_what_is_typed_is_what_the_command_is_told(name, words, meant):
    assert parse(name, *words) == meant


@pytest.mark.parametrize("name", ["keygen", "scopes", "lineage"])
def test_a_command_calls_the_function_of_its_name(name, monkeypatch):
    called = []
    module = SimpleNamespace(**{name: called.append})
    monkeypatch.setitem(sys.modules, f"airflow_provider_exclusive.cli.{name}", module)
    commands()[name].func("the arguments")
    assert called == ["the arguments"]


def test_the_doctor_calls_the_function_of_its_name(monkeypatch):
    called = []
    module = SimpleNamespace(doctor=called.append)
    monkeypatch.setitem(sys.modules, "airflow_provider_exclusive.cli.doctor.command", module)
    commands()["doctor"].func("the arguments")
    assert called == ["the arguments"]
