"""Consumers read in every way that Airflow offers, on workers that could not open a value by themselves."""

from __future__ import annotations

from airflow_provider_exclusive.crypto.keyring import PrivateKey, parse_key
from airflow_provider_exclusive.format.reference import Reference


def rows_by_place(hardened, dag_id, run_id):
    return {
        (row.task_id, row.map_index, row.key): row.value for row in hardened.xcom_rows(dag_id=dag_id, run_id=run_id)
    }


def test_callbacks_of_a_failing_task_read_and_write_as_usual(hardened, callbacks_run, printed):
    told = printed("callbacks", callbacks_run, "stumbling")

    assert [line["callback"] for line in told] == ["retry", "failure"]
    assert [line["read"] for line in told] == ["True", "True"]
    plain = printed("callbacks", callbacks_run, "plain_stumbling")
    assert [line["wrote"] for line in told] == [line["wrote"] for line in plain]


def test_exclusive_rows_hold_wrapped_secrets_and_no_sealed_one(hardened, readers_run, key_pair):
    key_id = PrivateKey.from_raw(parse_key(key_pair.private, option="test")).key_id
    rows = rows_by_place(hardened, "readers", readers_run)
    link = rows.pop(("waiting", -1, "_link_Verdict"))
    assert link == "https://example.invalid/intact"
    references = [Reference.from_row(row) for row in rows.values()]
    assert {reference.key_id for reference in references} == {key_id}
    assert all(reference.wrapped and reference.sealed is None for reference in references)
    assert ("load", -1, "note") in rows


def test_a_consumer_reads_every_kind_of_value(readers_run, printed):
    told = [line for line in printed("readers", readers_run, "load") if "callback" not in line]

    assert [name for line in told for name, arrived in line.items() if not arrived] == []
    assert [len(line) for line in told] == [5, 5, 8]


def test_a_deferred_task_reads_before_and_after_its_deferral(readers_run, printed):
    told = printed("readers", readers_run, "waiting")  # of more than one try on a busy machine: see readers.py

    assert {moment for line in told for moment in line} == {"before", "after"}
    assert all(arrived for line in told for arrived in line.values())


def test_every_try_of_a_task_reads(readers_run, printed):
    assert printed("readers", readers_run, "flaky") == [{"try 1": True}, {"try 2": True}]


def test_a_success_callback_reads_and_what_it_writes_arrives(hardened, readers_run, printed):
    (told,) = [line for line in printed("readers", readers_run, "load") if "callback" in line]
    assert told == {"callback": "success", "read": "True", "wrote": "None"}

    # The task itself ran before the callback had written.
    hardened.clear("readers", readers_run, ["afterwards"])
    hardened.wait("readers", readers_run)

    assert printed("readers", readers_run, "afterwards")[-1] == {"loaded": True, "note": True}
