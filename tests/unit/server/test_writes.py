"""What a worker sealed is opened for the task that wrote it, before Airflow stores the row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi import HTTPException

from airflow_provider_exclusive.access.hand_over import RECORD_KEY
from airflow_provider_exclusive.crypto.data_keys import ServerDataKeys
from airflow_provider_exclusive.format import reference
from airflow_provider_exclusive.format.reference import MARKER, Reference, escape
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.server.decisions import Decisions
from airflow_provider_exclusive.server.writes import create_writes
from tests.rows import forged


@pytest.fixture
def write(ring, trail, session):
    """Call the route and return what it stores."""

    def write(value, *, at, keyring=ring):
        (create,) = create_writes(Decisions(keyring), trail).values()
        coordinates = {"dag_id": at.dag_id, "run_id": at.run_id, "task_id": at.task_id, "map_index": at.map_index}
        return create(lambda **arguments: arguments["value"])(**coordinates, key=at.key, session=session, value=value)

    return write


@pytest.fixture(params=[0, 1_000], ids=["stored", "in the row"])
def sealed(request, put, make_store, ring):
    """A row as a worker without the private key writes it."""
    worker = replace(make_store(inline_bytes=request.param), keys=ServerDataKeys(ring.keys[0].public))
    return put(into=worker).to_row()


# --- what is refused


def refusal_of(write, value, at, **server):
    with pytest.raises(HTTPException) as refusal:
        write(value, at=at, **server)
    assert refusal.value.status_code == 403
    return refusal.value.detail["reason"]


def test_what_another_task_sealed_is_refused(write, requesting, sealed, at):
    requesting(TaskIdentity("etl", "run-1", "intruder"), method="POST")
    assert refusal_of(write, sealed, at) == "foreign-sealed-key"


def test_what_is_sealed_for_another_key_is_refused(write, requesting, sealed, at, producer):
    requesting(producer, method="POST")
    assert refusal_of(write, sealed, replace(at, key="other")) == "foreign-sealed-key"


@pytest.mark.parametrize("change", [{"sealed": b"AAA"}, {"sealed": b""}, {"size": 10}])
def test_what_is_sealed_and_does_not_open_is_refused(write, requesting, sealed, at, producer, trail, change):
    requesting(producer, method="POST")
    assert refusal_of(write, forged(sealed, **change), at) == "sealed-key-refused"
    assert [event for event, *_ in trail.events] == ["exclusive.write_denied"]


def test_what_is_sealed_for_another_pair_is_refused(write, requesting, sealed, at, producer):
    requesting(producer, method="POST")
    assert refusal_of(write, forged(sealed, key_id="0" * 32), at) == "unknown-key"


@pytest.mark.parametrize(
    "value", ["x" * 17_000_000, {MARKER: "v1: 1 B json in row", "sealed": "A" * 17_000_000}, {MARKER: 1}, None]
)
def test_what_is_no_record_is_refused_under_its_key(write, requesting, at, producer, value):
    requesting(producer, method="POST")
    assert refusal_of(write, value, replace(at, key=RECORD_KEY)) == "sealed-key-refused"


def test_a_server_without_a_private_key_refuses_it(write, requesting, sealed, at, producer):
    requesting(producer, method="POST")
    assert refusal_of(write, sealed, at, keyring=None) == "no-private-key"


def test_a_wrapped_key_of_another_deployment_is_refused(write, put, requesting, at, producer):
    requesting(producer, method="POST")
    assert refusal_of(write, forged(put().to_row(), key_id="0" * 32), at) == "unknown-key"


@pytest.mark.parametrize("has_key", [True, False])
@pytest.mark.parametrize("change", [{"sealed": "AAAA"}, {"sealed": None}, {"consumers": "no scope"}, {MARKER: 1}])
def test_a_row_that_is_no_reference_is_refused(write, put, requesting, at, producer, ring, trail, change, has_key):
    requesting(producer, method="POST")
    row = put().to_row() | change
    assert refusal_of(write, row, at, keyring=ring if has_key else None) == "sealed-key-refused"
    assert [event for event, *_ in trail.events] == ["exclusive.write_denied"]


def test_what_an_unknown_writer_sealed_is_not_accepted(write, requesting, sealed, at):
    requesting(None, method="POST")
    assert write(sealed, at=at) == sealed


@pytest.mark.parametrize(
    "change",
    [
        {"consumers": "load, " * 60_000},
        {"consumers": "x" * 70_000},
        {"consumers": [{}] * 60_000},
        {"sealed": "A" * 200_000},
        {"sealed": ["x"] * 40_000},
        {MARKER: f"v1: 9 B {'x' * 70_000} in row"},
    ],
    ids=["clauses", "text", "list of clauses", "sealed", "list", "summary"],
)
def test_a_row_that_is_too_large_is_refused_unread(write, requesting, sealed, at, producer, change, mocker):
    requesting(producer, method="POST")
    computed = [mocker.spy(reference, name) for name in ("from_base64", "scope_from_text")]
    assert refusal_of(write, sealed | change, at) == "sealed-key-refused"
    assert [one.call_count for one in computed] == [0, 0]


def test_a_large_value_of_a_user_is_no_reference(write, requesting, at, producer):
    requesting(producer, method="POST")
    value = escape({MARKER: "x" * 100_000})
    assert write(value, at=at) == value


# --- what is stored


def test_what_is_sealed_is_stored_wrapped(write, requesting, sealed, at, producer):
    requesting(producer, method="POST")
    stored = Reference.from_row(write(sealed, at=at))
    assert stored.sealed is None
    assert len(stored.wrapped) == (stored.size if stored.store is None else 32) + 16


def test_without_a_request_it_stays_sealed(write, sealed, at):
    assert write(sealed, at=at) == sealed


@pytest.mark.parametrize("value", [None, 3, {"sealed": "x"}, escape({"sealed": "x"})])
def test_a_plain_value_is_stored_untouched(write, requesting, at, producer, value):
    requesting(producer, method="POST")
    assert write(value, at=at) is value


@pytest.mark.parametrize("has_key", [True, False])
def test_a_reference_that_is_wrapped_is_stored_untouched(write, put, requesting, at, producer, ring, has_key):
    row = put().to_row()
    requesting(producer, method="POST")
    assert write(row, at=at, keyring=ring if has_key else None) is row
