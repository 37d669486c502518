"""``airflow exclusive doctor`` prints every finding, and fails on an error alone."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_provider_exclusive.cli.doctor import command

TEXT, JSON = SimpleNamespace(output="text"), SimpleNamespace(output="json")


@pytest.fixture
def gathered(mocker, make_facts):
    """Let the command find these facts."""

    def gathered(**spoiled):
        mocker.patch.object(command, "gather", side_effect=lambda: print("Airflow logs") or make_facts(**spoiled))

    return gathered


@pytest.mark.parametrize("args", [TEXT, JSON])
def test_an_error_fails_the_command_after_it_is_printed(gathered, capsys, args):
    gathered(backend_modules=frozenset())
    with pytest.raises(SystemExit) as ended:
        command.doctor(args)
    assert ended.value.code == 1
    assert "backend" in capsys.readouterr().out


@pytest.mark.parametrize("args", [TEXT, JSON])
def test_a_warning_does_not_fail_the_command(gathered, capsys, args):
    gathered(options={"audit": "off"})
    command.doctor(args)
    assert "warning" in capsys.readouterr().out


def test_the_table_ends_with_the_counts(gathered, capsys):
    gathered()
    command.doctor(TEXT)
    assert capsys.readouterr().out.splitlines()[-1].startswith("0 errors, 0 warnings, ")


def test_json_counts_and_lists_the_findings(gathered, capsys):
    gathered(options={"audit": "off"})
    command.doctor(JSON)
    document = json.loads(capsys.readouterr().out)
    assert (document["errors"], document["warnings"]) == (0, 1)
    (warning,) = [finding for finding in document["findings"] if finding["severity"] == "warning"]
    assert (warning["area"], warning["name"]) == ("settings", "audit")


@pytest.mark.parametrize("args", [TEXT, JSON])
def test_what_airflow_prints_is_not_part_of_the_answer(gathered, capsys, args):
    gathered()
    command.doctor(args)
    printed = capsys.readouterr()
    assert "Airflow logs" not in printed.out
    assert "Airflow logs" in printed.err
