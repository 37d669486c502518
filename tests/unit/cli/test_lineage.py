"""``airflow exclusive lineage`` prints rows of the metadata database, of which none holds a value or a key."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_provider_exclusive.access.hand_over import to_pointer
from airflow_provider_exclusive.cli import lineage as command
from airflow_provider_exclusive.cli.metadata import AuditRow, RunRows, XComRow
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.format.canonical import to_base64
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import TaskIdentity

WHEN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def refusal(reader=("etl", "run-1", "spy", 2), **extra):
    asked = {"dag_id": "etl", "run_id": "run-1", "task_id": "extract", "map_index": -1, "key": "return_value"}
    details = asked | {"reason": "not-in-scope", "count": 3, "method": "GET"} | extra
    return AuditRow("exclusive.denied", WHEN, *reader, json.dumps(details))


@pytest.fixture
def xcom(put):
    def xcom(content=None, **put_with):
        content = put(**put_with).to_row() if content is None else content
        return XComRow("extract", -1, "return_value", content, WHEN)

    return xcom


@pytest.fixture
def run(mocker, capsys, driver):
    """Run the command on these rows and return what it prints."""

    def run(xcoms=(), audits=(), output="text", driver=driver):
        mocker.patch.object(command, "read_driver", return_value=driver)
        mocker.patch.object(command, "read_run", return_value=RunRows("run-1", xcoms, audits))
        command.lineage(SimpleNamespace(dag_id="etl", run_id=None, output=output))
        return capsys.readouterr().out

    return run


def cells(shown):
    return [re.split(r"\s{2,}", line.strip()) for line in shown.splitlines()]


def test_a_missing_run_ends_the_command(mocker, capsys):
    mocker.patch.object(command, "read_run", side_effect=SystemExit("Dag 'etl' has no run 'run-1'."))
    with pytest.raises(SystemExit, match="has no run"):
        command.lineage(SimpleNamespace(dag_id="etl", run_id="run-1", output="text"))
    assert capsys.readouterr().out == ""


def test_a_run_without_exclusive_outputs_says_so(run):
    shown = run()
    assert "None." in shown.splitlines()
    assert "[exclusive] audit = all" in shown


def test_an_output_is_shown_with_its_readers(run, xcom):
    (line,) = [line for line in cells(run([xcom()])) if line[0] == "extract"]
    assert line[:6] == ["extract", "return_value", "sealed", "json", "9", "2026-11-21T10:00:00Z"]
    assert line[-1] == "load"


def test_an_unreadable_row_is_shown_with_dashes(run, xcom):
    content = dict(xcom().content) | {"sealed": "AAAA"}
    assert ["extract", "return_value", "unreadable", *["-"] * 6] in cells(run([xcom(content)]))


@pytest.mark.parametrize(
    ("reader", "named"),
    [
        (("etl", "run-1", "spy", 2), "spy[2]"),
        (("web", "run-1", "spy", -1), "web.spy (run run-1)"),
        (("etl", "run-2", "spy", -1), "etl.spy (run run-2)"),
        ((None, None, None, None), "unknown"),
    ],
)
def test_a_refusal_is_shown_with_its_reader(run, reader, named):
    (line,) = [line for line in cells(run(audits=[refusal(reader)])) if line[0].startswith("denied")]
    assert line[:5] == ["denied (GET)", named, "extract", "return_value", "3"]
    assert line[-1] == "not-in-scope"


@pytest.mark.parametrize(
    ("reason", "trigger", "why"),
    [
        ("in-scope", None, "in the scope"),
        ("producer", None, "its own output"),
        ("caller", None, "triggered this run ('caller')"),
        ("handed-over", ("etl", "run-1"), "handed over by go[2]"),
        ("handed-over", ("web", "run-7"), "handed over by web.go[2] (run run-7)"),
    ],
)
def test_a_read_is_shown_with_the_reason_that_permitted_it(run, reason, trigger, why):
    by = {} if trigger is None else {"handed_over_by": TaskIdentity(*trigger, "go", 2)}
    extra = {name: to_pointer(task) for name, task in by.items()}
    row = replace(refusal(reason=reason, **extra), event="exclusive.read")
    (line,) = [line for line in cells(run(audits=[row])) if line[0].startswith("read")]
    assert line[-1] == why


def test_a_payload_that_is_gone_is_not_called_sealed(run, xcom, driver):
    row = xcom()
    driver.payloads.clear()
    (line,) = [line for line in cells(run([row])) if line[0] == "extract"]
    assert line[2] == "payload gone"


def test_a_store_that_cannot_be_checked_is_said_to_be(run, xcom):
    missing = ConfigurationError("there is no connection.")
    assert "not checked" not in run([xcom()])
    assert "The store was not checked: there is no connection." in run([xcom()], driver=missing).splitlines()
    assert json.loads(run([xcom()], driver=missing, output="json"))["unchecked"].endswith("no connection.")


def test_a_refusal_without_method_and_reason_is_shown(run):
    (line,) = [line for line in cells(run(audits=[refusal(method=None, reason=None)])) if line[0] == "denied"]
    assert line[-1] == "-"


def test_json_holds_outputs_and_accesses_and_no_key(run, xcom):
    row = xcom()
    shown = run([row], [refusal()], output="json")
    document = json.loads(shown)
    assert (document["dag_id"], document["run_id"]) == ("etl", "run-1")
    assert [output["key"] for output in document["outputs"]] == ["return_value"]
    assert [access["count"] for access in document["accesses"]] == [3]
    assert row.content["sealed"] not in shown
    assert to_base64(Reference.from_row(row.content).wrapped) not in shown
