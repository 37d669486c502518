"""Deferral, retries, mapping, callbacks and links under the real scheduler, triggerer and API server."""

from __future__ import annotations

import pytest

from tests.runs import assert_succeeded


@pytest.fixture(scope="module")
def run_id(airflow) -> str:
    run_id = airflow.run("lifecycle")
    assert_succeeded(airflow, "lifecycle", run_id)
    return run_id


def printed_by(airflow, run_id: str, task_id: str) -> list[str]:
    return [str(entry.get("event")) for entry in airflow.log_entries("lifecycle", run_id, task_id)]


def test_the_callback_of_a_task_outside_the_scope_is_refused(airflow, run_id):
    (refusal,) = [line for line in printed_by(airflow, run_id, "bystander") if line.startswith("callback refused")]

    assert "AccessDeniedError" in refusal
    assert "lifecycle.bystander" in refusal


def test_a_consumer_reads_deferred_retried_and_mapped_outputs(airflow, run_id):
    assert "read deferred value, second try, attempt 2, 14" in printed_by(airflow, run_id, "load")


def test_a_callback_reads_as_its_task(airflow, run_id):
    assert "callback read second try" in printed_by(airflow, run_id, "load")


def test_every_output_is_a_reference_and_airflows_own_stay_raw(airflow, run_id):
    rows = {(row.task_id, row.key): row.value for row in airflow.xcom_rows(dag_id="lifecycle", run_id=run_id)}

    link = rows.pop(("waiting", "_link_PaperTrail"))
    assert link == f"https://example.invalid/{run_id}"
    assert ("waiting", "side") in rows
    assert all("__exclusive__" in row for row in rows.values())


def test_no_value_lies_in_the_metadata_database_or_the_store(airflow, run_id):
    for value in ("deferred value", "side value", "second try"):
        places = airflow.metadata.occurrences(value)
        # The source of the Dag itself holds the texts.
        assert [place for place in places if not place.startswith("dag_code.")] == []
        for path in (airflow.home / "exclusive").rglob("*"):
            assert not path.is_file() or value.encode() not in path.read_bytes()
