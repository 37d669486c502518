"""``airflow exclusive scopes`` of Dags that are declared as plain data."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from airflow_provider_exclusive.cli import scopes as command
from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag, DeclaredTask, Input
from airflow_provider_exclusive.definitions.pulls import Pull
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.scopes.consumers import DOWNSTREAM, OutputDeclaration, ScopeDeclaration
from airflow_provider_exclusive.scopes.source_line import SourceLine

LINE = SourceLine("/dags/etl.py", 7)


def exclusive(task_id, spec, **facts):
    return DeclaredTask(task_id, OutputDeclaration(ScopeDeclaration.parse(spec), "arrow"), LINE, **facts)


EXTRACT = exclusive(
    "extract", {"rows": [DOWNSTREAM, "caller"], "secret": [], "*": ["web:x"]}, downstream=frozenset({"load"})
)
LOAD = DeclaredTask("load", inputs=(Input("etl", "extract", "rows"), Input("other", "extract", "rows")))
INTRUDER = DeclaredTask("intruder", inputs=(Input("etl", "extract", "secret"),))


@pytest.fixture
def run(mocker, capsys):
    """Run the command on a Dag of these tasks and return what it prints."""

    def run(*tasks, output="table", check=False, pulls=()):
        dag = DeclaredDag("etl", LINE.path, {task.task_id: task for task in tasks})
        mocker.patch.object(command, "load_dag", return_value="the Dag")
        mocker.patch.object(command.DeclaredDag, "of", side_effect={"the Dag": dag}.get)
        mocker.patch.object(command.pulls, "read", side_effect={"the Dag": list(pulls)}.get)
        command.scopes(SimpleNamespace(dag_id="etl", bundle_name=None, dagfile_path=None, output=output, check=check))
        return capsys.readouterr().out

    return run


def rows_of(table):
    """The cells of each line of the table, without the task."""
    return [re.split(r"\s{2,}", line.strip())[1:] for line in table.splitlines() if line.startswith(" extract ")]


def test_a_contradiction_is_listed(run):
    shown = run(EXTRACT, LOAD, INTRUDER)
    assert "1 contradiction." in shown
    assert "- Task 'intruder' takes key 'secret'" in shown


def test_a_contradiction_fails_only_where_that_is_asked_for(run):
    run(EXTRACT, LOAD, INTRUDER)
    with pytest.raises(SystemExit) as ended:
        run(EXTRACT, LOAD, INTRUDER, check=True)
    assert ended.value.code == 1


def test_a_refused_pull_is_a_warning_and_fails_nothing(run):
    pull = Pull("load", Input("etl", "extract", "secret"), "/dags/etl.py:9")
    shown = run(EXTRACT, LOAD, check=True, pulls=[pull])
    assert (
        "No contradictions.\n1 warning.\n- Task 'load' pulls key 'secret' of task 'extract' in /dags/etl.py:9" in shown
    )
    assert "2 warnings." in run(EXTRACT, LOAD, pulls=[pull, pull])
    (warning,) = json.loads(run(EXTRACT, LOAD, output="json", pulls=[pull]))["warnings"]
    assert "would be refused" in warning


def test_a_sound_dag_does_not_fail_the_check(run):
    assert "No contradictions." in run(EXTRACT, LOAD, check=True)


def test_an_error_of_the_package_ends_the_command(run, mocker):
    mocker.patch.object(command, "describe", side_effect=ConfigurationError("an option is wrong"))
    with pytest.raises(SystemExit, match="an option is wrong"):
        run(EXTRACT)


def test_the_table_says_who_may_read_which_key(run):
    caller = "caller (the task that triggered the run)"
    assert rows_of(run(EXTRACT, LOAD)) == [
        ["rows", "DOWNSTREAM, caller", f"load, {caller}", "load", "/dags/etl.py:7"],
        ["secret", "nobody", "only its producer", "-", "/dags/etl.py:7"],
        ["every other key", "web:x", "web:x", "-", "/dags/etl.py:7"],
    ]


def test_a_dag_without_exclusive_tasks_says_so(run):
    assert "No task of it is exclusive." in run(DeclaredTask("load"))


def test_json_holds_each_key_with_its_readers(run):
    (task,) = json.loads(run(EXTRACT, LOAD, output="json"))["tasks"]
    rows, secret, rest = task["keys"]
    assert (task["task_id"], task["declared_at"], task["codec"]) == ("extract", "/dags/etl.py:7", "arrow")
    assert rows == {
        "key": "rows", "consumers": ["DOWNSTREAM", "caller"], "may_read": ["load"], "other_dags": [],
        "input_of": ["load"], "admits_caller": True,
    }  # fmt: skip
    assert (secret["may_read"], rest["key"], rest["other_dags"]) == ([], "*", ["web:x"])


def test_the_whole_is_listed_beside_its_parts(run):
    parts = exclusive("extract", {"a": ["load", "one"], "b": ["load"]}, has_parts=True)
    shown = json.loads(run(parts, DeclaredTask("load"), DeclaredTask("one"), output="json"))
    readers = {key["key"]: key["may_read"] for key in shown["tasks"][0]["keys"]}
    assert readers == {"a": ["load", "one"], "b": ["load"], "return_value": ["load"]}


def test_mermaid_is_drawn(run):
    assert run(EXTRACT, LOAD, output="mermaid").startswith("flowchart")
