"""Whatever is wrong with a value, clearing its producer mends it: failing closed never blocks its own cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from airflow_provider_exclusive.format.readers import EVERYBODY
from airflow_provider_exclusive.format.reference import MARKER, Reference
from airflow_provider_exclusive.store import object_key_of
from tests.rows import forged
from tests.runs import assert_succeeded

DAG = "cure"


@dataclass(frozen=True)
class Damage:
    """Something done to the value of ``extract``, and what the consumer then says."""

    name: str
    do: Callable
    error: str
    says: str = "Clear"


def overwrite(change):
    def do(airflow, row):
        airflow.metadata.overwrite(row, change(row.value))

    return do


def marked(old, new):
    return lambda row: row | {MARKER: row[MARKER].replace(old, new)}


def payload_of(airflow, row):
    return airflow.home / "exclusive" / object_key_of(Reference.from_row(row.value))


def alter_payload(airflow, row):
    path = payload_of(airflow, row)
    path.write_bytes(path.read_bytes()[:-1] + b"\x00\x00")


def copy_from_other(airflow, row):
    (other,) = [found for found in airflow.xcom_rows(dag_id=DAG, run_id=row.run_id) if found.task_id == "other"]
    airflow.metadata.overwrite(row, other.value)


DAMAGES = [
    Damage("a widened scope", overwrite(lambda row: row | {"consumers": EVERYBODY}), "EnvelopeError"),
    Damage("a truncated wrapped key", overwrite(lambda row: forged(row, wrapped=b"")), "EnvelopeError"),
    Damage("a later version", overwrite(marked("v1: ", "v2: ")), "UnsupportedReferenceError", "clear"),
    Damage("a dropped key", overwrite(lambda row: forged(row, key_id="0" * 32)), "UnknownKeyError", "private_key"),
    Damage("a planted text", overwrite(lambda row: "a plain text"), "EnvelopeError", "plain value"),
    Damage("a planted place", overwrite(lambda row: forged(row, object_id=bytes(16))), "EnvelopeError"),
    Damage("a planted path", overwrite(marked(" in files", " in ../../../../etc/passwd")), "EnvelopeError"),
    Damage("a reference of another task", copy_from_other, "EnvelopeError", "copied"),
    Damage("a missing payload", lambda airflow, row: payload_of(airflow, row).unlink(), "PayloadNotFoundError"),
    Damage("an altered payload", alter_payload, "EnvelopeError"),
]


@pytest.fixture(scope="module")
def damaged(airflow) -> dict[str, str]:
    """One finished run for each damage, damaged and with its consumer cleared, by the name of the damage."""
    runs = {damage.name: airflow.trigger(DAG) for damage in DAMAGES}
    for run_id in runs.values():
        assert airflow.wait(DAG, run_id) == "success"
    for damage in DAMAGES:
        (row,) = [row for row in airflow.xcom_rows(dag_id=DAG, run_id=runs[damage.name]) if row.task_id == "extract"]
        damage.do(airflow, row)
        airflow.clear(DAG, runs[damage.name], ["load"])
    for run_id in runs.values():
        airflow.wait(DAG, run_id)
    return runs


def errors_of_load(airflow, run_id: str) -> str:
    return "\n".join(
        f"{error['exc_type']}: {error['exc_value']}"
        for entry in airflow.log_entries(DAG, run_id, "load")
        for error in entry.get("error_detail", [])
    )


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_the_consumer_fails_and_says_what_to_do(airflow, damaged, damage):
    run_id = damaged[damage.name]

    assert airflow.task_states(DAG, run_id)["load"] == "failed"
    errors = errors_of_load(airflow, run_id)
    assert damage.error in errors
    assert damage.says in errors
    assert "secret" not in errors


@pytest.fixture(scope="module")
def cured(airflow, damaged) -> dict[str, str]:
    """The same runs after their producers were cleared."""
    for run_id in damaged.values():
        airflow.clear(DAG, run_id, ["extract"])
    for run_id in damaged.values():
        airflow.wait(DAG, run_id)
    return damaged


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_a_re_run_of_the_producer_lets_the_consumer_succeed(airflow, cured, damage):
    run_id = cured[damage.name]

    assert_succeeded(airflow, DAG, run_id)
    events = [entry.get("event") for entry in airflow.log_entries(DAG, run_id, "load")]
    assert events.count("arrived intact") == 2


def test_a_payload_goes_with_its_row(airflow):
    run_id = airflow.run(DAG)
    row = next(row for row in airflow.xcom_rows(dag_id=DAG, run_id=run_id) if row.task_id == "extract")
    old = payload_of(airflow, row)
    assert old.exists()

    airflow.clear(DAG, run_id, ["extract"])
    airflow.wait(DAG, run_id)

    # Airflow 3.3 deletes the row of an earlier try, 3.4 keeps it.
    assert old.exists() == bool(airflow.metadata.occurrences(row.value["sealed"]))
