"""A task writes and deletes at its own coordinates only; reads pass, to be decided on their rows."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from fastapi import HTTPException

from airflow_provider_exclusive.access.error_codes import HELD_KEYS, PROBE_DAG
from airflow_provider_exclusive.server.callers import XCOM_REQUEST
from airflow_provider_exclusive.server.guard import create_guards

TOKEN = SimpleNamespace(id="the id in the token")


@pytest.fixture
def check(trail, session, http, producer):
    """Ask the guard as Airflow's routing does, by the coordinates of ``producer`` unless others are given."""

    def check(*, keyring=None, airflow=lambda *_: True, map_index="-1", **coordinates):
        (create,) = create_guards(trail, keyring).values()
        http.query_params = {} if map_index is None else {"map_index": map_index}
        at = {"dag_id": producer.dag_id, "run_id": producer.run_id, "task_id": producer.task_id} | coordinates
        return create(airflow)(**at, xcom_key="rows", request=http, session=session, token=TOKEN)

    return check


def refusal_of(check, **request):
    with pytest.raises(HTTPException) as refusal:
        check(**request)
    assert refusal.value.status_code == 403
    return refusal.value.detail["reason"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post", "ANYTHING"])
@pytest.mark.parametrize("other", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": "0"}])
def test_a_write_elsewhere_is_refused(check, requesting, producer, method, other):
    requesting(producer, method=method)
    assert refusal_of(check, **other) == "foreign-coordinate"


def test_a_write_by_nobody_known_is_refused(check, requesting):
    requesting(None, method="POST")
    assert refusal_of(check) == "unknown-task"


@pytest.mark.parametrize("other", [{"run_id": "a\0b"}, {"task_id": "\udc80"}, {"dag_id": ""}])
def test_a_name_that_no_database_takes_is_refused(check, requesting, producer, other):
    requesting(producer, method="POST")
    assert refusal_of(check, **other) == "malformed-request"


@pytest.mark.parametrize("map_index", ["", "x", "1.5", "-1 or 1", "null", str(2**31), str(-(2**63))])
def test_a_write_with_an_invalid_map_index_is_refused(check, requesting, producer, map_index):
    requesting(producer, method="POST")
    assert refusal_of(check, map_index=map_index) == "malformed-request"


def test_a_refused_write_is_recorded(check, requesting, producer, trail):
    requesting(producer, method="DELETE")
    refusal_of(check, task_id="x")
    ((event, caller, requested, reason, method),) = trail.events
    assert (event, caller, reason, method) == (
        "exclusive.write_denied", str(producer), "foreign-coordinate", "DELETE",
    )  # fmt: skip
    assert (requested.task_id, requested.map_index, requested.key) == ("x", -1, "rows")


@pytest.mark.parametrize(("index", "written"), [(-1, None), (-1, "-1"), (3, "3"), (3, "3.0"), (3, " 3 ")])
def test_a_task_writes_at_its_own_coordinates(check, requesting, producer, index, written):
    requesting(replace(producer, map_index=index), method="POST")
    assert check(map_index=written)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_read_passes_to_be_decided_on_its_row(check, requesting, producer, session, method):
    requesting(producer, method=method)
    assert check(dag_id="another")
    assert session.info[XCOM_REQUEST].ti_id == TOKEN.id


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_check_of_airflow_comes_first(check, requesting, producer, session, method):
    def refuse(*_):
        raise PermissionError

    requesting(producer, method=method)
    session.info.clear()
    with pytest.raises(PermissionError):
        check(airflow=refuse, dag_id=PROBE_DAG)
    assert session.info == {}


def test_what_airflow_denies_by_its_answer_stays_denied(check, requesting, producer):
    requesting(producer)
    assert check(airflow=lambda *_: False) is False


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_probe_is_refused_and_names_the_keys(check, requesting, producer, ring, method):
    requesting(producer, method=method)
    with pytest.raises(HTTPException) as refusal:
        check(keyring=ring, dag_id=PROBE_DAG)
    assert refusal.value.detail["reason"] == "exclusive-probe"
    assert ring.keys[0].key_id in refusal.value.detail["message"]


def test_the_probe_of_a_server_without_keys_names_none(check, requesting, producer):
    requesting(producer)
    with pytest.raises(HTTPException, match="private keys: none"):
        check(dag_id=PROBE_DAG)


def test_the_ids_of_its_keys_may_be_read_and_nothing_written(check, requesting, producer, session):
    requesting(producer)
    session.info.clear()
    assert check(dag_id=PROBE_DAG, task_id=HELD_KEYS) is True
    assert session.info == {}
    requesting(producer, method="POST")
    with pytest.raises(HTTPException):
        check(dag_id=PROBE_DAG, task_id=HELD_KEYS)
