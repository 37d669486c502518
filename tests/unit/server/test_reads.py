"""Rows that Airflow's routes have found are decided on before they are answered."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from fastapi import HTTPException

from airflow_provider_exclusive.access.hand_over import HandOver, NoHandOverLookup, Source
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN
from airflow_provider_exclusive.server import callers, reads
from airflow_provider_exclusive.server.decisions import Decisions
from airflow_provider_exclusive.server.reads import DECIDED, create_reads
from tests.rows import forged

INTRUDER = TaskIdentity("etl", "run-1", "intruder")
ONE, BY_INDEX, BY_SLICE = "get_xcom", "get_mapped_xcom_by_index", "get_mapped_xcom_by_slice"


@pytest.fixture(autouse=True)
def no_airflow(mocker):
    mocker.patch.object(reads, "ServerHandOverLookup", return_value=NoHandOverLookup())
    mocker.patch.object(reads.metrics, "find_stats", return_value=None)


@pytest.fixture
def read(ring, trail, session, producer):
    """Call a route whose statement finds ``found``, and return what it answers."""

    def read(found, *, route=ONE, keyring=ring, offset=None, map_index=-1, include_prior_dates=False, **changed):
        field = "value" if route == ONE else "root"
        create = create_reads(Decisions(keyring), trail)[route]
        arguments = {"dag_id": "etl", "run_id": "run-1", "task_id": "extract", "key": "return_value"} | changed
        params = SimpleNamespace(map_index=map_index, offset=offset, include_prior_dates=include_prior_dates)
        original = create(lambda **_: SimpleNamespace(**{field: found}))
        return getattr(original(**arguments, params=params, session=session), field)

    return read


@pytest.fixture
def row(put):
    return put().to_row()


def is_opened(row):
    answer = Reference.from_answer(row).answer
    return answer is not None and answer.secret is not None


def test_a_value_for_everybody_is_answered_without_asking_who_reads(read, put, requesting, consumer, mocker):
    requesting(consumer)
    asked = [mocker.patch.object(callers, name, side_effect=AssertionError) for name in ("find_caller", "find_reader")]
    assert is_opened(read(put(scope=OPEN).to_row()))
    assert not any(one.called for one in asked)


# --- who is refused


@pytest.mark.parametrize("route", [ONE, BY_INDEX])
def test_an_intruder_is_refused(read, row, requesting, http, trail, at, route):
    requesting(INTRUDER)
    with pytest.raises(HTTPException) as refusal:
        read(row, route=route)
    assert refusal.value.status_code == 403
    assert DECIDED not in http.scope
    assert [(event, reason) for event, _, _, reason, _ in trail.events] == [("exclusive.denied", "not-in-scope")]


def test_one_foreign_row_of_a_slice_refuses_it(read, row, put, requesting, scope):
    requesting(INTRUDER)
    with pytest.raises(HTTPException):
        read([1, put(scope=OPEN).to_row(), row], route=BY_SLICE)


@pytest.mark.parametrize(
    ("is_known", "is_live", "reason"), [(False, True, "unknown-task"), (True, False, "task-has-ended")]
)
def test_a_consumer_that_does_not_run_is_refused(read, row, requesting, consumer, is_known, is_live, reason):
    requesting(consumer if is_known else None, is_live=is_live)
    with pytest.raises(HTTPException) as refusal:
        read(row)
    assert refusal.value.detail["reason"] == reason


def test_a_malformed_row_goes_back_unopened(read, row, requesting, consumer):
    requesting(consumer)
    malformed = dict(row) | {"sealed": "AAAA"}
    assert read(malformed | {"opened": "cGxhbnRlZA=="}) == malformed


@pytest.mark.parametrize("key", ["none", "another"])
def test_a_server_without_the_key_opens_nothing(read, row, requesting, raw_key, consumer, key):
    requesting(consumer)
    keyring = None if key == "none" else Keyring.from_raw_keys([raw_key("another deployment")])
    assert not is_opened(read(row, keyring=keyring))


@pytest.mark.parametrize("elsewhere", [{"map_index": 4}, {"key": "other"}, {"task_id": "other"}, {"run_id": "run-2"}])
def test_a_row_of_another_coordinate_is_not_opened(read, row, requesting, consumer, elsewhere):
    requesting(consumer)
    assert not is_opened(read(row, **elsewhere))


@pytest.mark.parametrize("change", [{"map_index": 4}, {"key": "other"}, {"ti_id": None}, {"scope": OPEN}, {"size": 1}])
def test_a_row_that_says_something_else_is_not_opened(read, row, requesting, consumer, change):
    requesting(consumer)
    own = {name: value for name, value in change.items() if name in {"map_index", "key"}}
    assert not is_opened(read(forged(row, **change), **own))


def test_who_asks_for_what_does_not_open_is_not_looked_up(read, row, requesting, consumer, mocker):
    requesting(consumer)
    asked = mocker.patch.object(callers, "find_reader", side_effect=AssertionError)
    assert not is_opened(read(forged(row, size=1)))
    assert not asked.called


def test_without_a_request_nothing_is_decided(read, row, http):
    assert read(row) == row
    assert DECIDED not in http.scope


def test_trouble_with_the_database_is_answered_503(read, row, requesting, mocker, consumer):
    requesting(consumer)
    mocker.patch.object(reads.callers, "find_reader", side_effect=ConnectionError)
    with pytest.raises(HTTPException) as refusal:
        read(row)
    assert refusal.value.status_code == 503


# --- who reads


@pytest.mark.parametrize("plain", [None, 3, "text", {"a": 1}, []])
def test_a_plain_value_passes_without_a_look_at_the_caller(read, requesting, session, http, plain):
    requesting(None)
    assert read(plain) is plain
    assert http.scope[DECIDED]
    assert not session.is_connected


@pytest.mark.parametrize("route", [ONE, BY_INDEX])
def test_a_consumer_gets_the_data_key(read, row, requesting, http, consumer, route):
    requesting(consumer)
    assert is_opened(read(row, route=route))
    assert http.scope[DECIDED]


def test_a_slice_is_answered_in_its_order(read, row, requesting, consumer):
    requesting(consumer)
    first, opened, last = read([1, row, "z"], route=BY_SLICE)
    assert (first, last) == (1, "z")
    assert is_opened(opened)


@pytest.mark.parametrize(
    "request_",
    [{"include_prior_dates": True, "run_id": "run-2"}, {"offset": 0, "map_index": 4}],
    ids=["an earlier run", "an offset"],
)
def test_a_request_for_several_covers_the_row_it_finds(read, row, requesting, consumer, request_):
    requesting(consumer)
    assert is_opened(read(row, **request_))


# --- what is recorded


def test_a_read_is_recorded_only_where_that_is_asked_for(read, row, requesting, trail, consumer, at):
    requesting(consumer)
    trail.mode = "all"
    read(row)
    assert trail.events == [("exclusive.read", str(consumer), at, "in-scope", "GET")]


def test_a_read_of_what_was_handed_over_is_recorded_with_its_trigger(read, row, requesting, trail, at, mocker):
    trigger = TaskIdentity("etl", "run-1", "load")
    handed = HandOver(trigger, INTRUDER.dag_id, "run-9", {"rows": Source(at, is_exclusive=True)})
    mocker.patch.object(reads, "ServerHandOverLookup", return_value=SimpleNamespace(find=lambda *_: handed))
    requesting(replace(INTRUDER, run_id="run-9"))
    trail.mode = "all"
    read(row)
    assert [event[3] for event in trail.events] == ["handed-over"]
    assert trail.triggers == [trigger]


@pytest.mark.parametrize("mode", ["all", "denied"])
def test_no_connection_is_held_while_deciding(read, row, requesting, trail, session, consumer, mode, mocker):
    requesting(consumer)
    trail.mode = mode
    held = []
    decide = Decisions.answer
    mocker.patch.object(Decisions, "answer", lambda *args: held.append(session.is_connected) or decide(*args))
    read(row)
    assert (held, session.is_connected) == ([False], False)


def test_no_connection_is_held_while_a_slice_is_opened(read, row, requesting, session, consumer, mocker):
    requesting(consumer)
    session.connection()  # as the route leaves it
    held = []
    open_ = Decisions.open
    mocker.patch.object(Decisions, "open", lambda *args: held.append(session.is_connected) or open_(*args))
    read([row, row], route=BY_SLICE)
    assert (held, session.is_connected) == ([False], False)


def test_what_an_earlier_try_wrote_is_refused(read, row, requesting, consumer, trail):
    requesting(consumer, standing_try="the present try")
    with pytest.raises(HTTPException) as refusal:
        read(row)
    assert refusal.value.detail["reason"] == "superseded-try"
    assert trail.events[0][3] == "superseded-try"


def test_an_open_value_is_not_recorded(read, put, requesting, trail):
    requesting(INTRUDER)
    trail.mode = "all"
    assert is_opened(read(put(scope=OPEN).to_row()))
    assert trail.events == []


def test_routes_are_those_that_return_values():
    assert set(create_reads(None, None)) == {ONE, BY_INDEX, BY_SLICE}


# --- what a worker without the private key asks


@pytest.mark.parametrize("has_key", [True, False])
def test_whoever_asks_learns_the_ids_of_the_keys(read, ring, has_key):
    held = read(1, dag_id="airflow_provider_exclusive", task_id="held_keys", keyring=ring if has_key else None)
    assert held == (ring.key_ids if has_key else [])


def test_another_xcom_of_that_dag_is_read_as_any(read):
    assert read(1, dag_id="airflow_provider_exclusive") == 1
