"""After all these Dags have run, their values lie nowhere in clear, nor does a key."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from airflow_provider_exclusive.keyring import Keyring, parse_key
from airflow_provider_exclusive.reference import Reference


@pytest.fixture(scope="module")
def everything_ran(hardened, readers_run, callbacks_run, intrusion, errors_of):
    run_id = hardened.run("mending")
    assert set(hardened.task_states("mending", run_id).values()) == {"success"}


@pytest.fixture(scope="module")
def data_keys(hardened, everything_ran, readers_run, key_pair) -> list[bytes]:
    """The data keys of three values, which only the holder of the private key can learn."""
    ring = Keyring.from_raw_keys([parse_key(key_pair.private, option="test")])
    rows = [row for row in hardened.xcom_rows(dag_id="readers", run_id=readers_run) if row.key == "return_value"]
    references = [Reference.from_row(row.value) for row in rows if row.task_id in ("scalar", "frame", "halves")]
    assert len(references) == 3
    return [
        ring.unwrap(reference.wrapped_key, key_id=reference.key_id, context=reference.context())
        for reference in references
    ]


def files_with(needle: bytes, folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path.relative_to(folder)) for path in files if needle in path.read_bytes()]


def test_the_canary_would_be_found(hardened, everything_ran):
    assert "xcom.value" in hardened.metadata.occurrences("for everybody") or "xcom_v2.value" in (
        hardened.metadata.occurrences("for everybody")
    )


def test_no_value_lies_in_the_metadata_database(hardened, everything_ran, canary):
    assert hardened.metadata.occurrences(canary) == []


def test_no_value_lies_in_the_store(everything_ran, shared_store, canary):
    assert files_with(canary.encode(), shared_store) == []


def test_no_value_lies_in_the_logs_or_any_other_file_of_airflow(hardened, everything_ran, canary):
    assert list((hardened.home / "logs").rglob("attempt=*.log"))
    assert files_with(canary.encode(), hardened.home) == []


def test_the_audit_log_tells_of_reads_and_refusals_and_holds_no_value(hardened, everything_ran, canary):
    lines = hardened.metadata.query("SELECT event, extra FROM log WHERE event LIKE 'exclusive.%'")

    assert {line["event"] for line in lines} == {"exclusive.read", "exclusive.denied", "exclusive.write_denied"}
    assert [line for line in lines if canary in str(line)] == []


def test_no_key_lies_in_the_metadata_database_the_store_or_the_files_of_airflow(
    hardened, data_keys, shared_store, key_pair
):
    spellings = [key_pair.private]
    for data_key in data_keys:
        spellings += [base64.b64encode(data_key).decode(), base64.urlsafe_b64encode(data_key).decode(), data_key.hex()]
    for spelling in spellings:
        assert hardened.metadata.occurrences(spelling) == []
        assert files_with(spelling.encode(), hardened.home) == []
        assert files_with(spelling.encode(), shared_store) == []
