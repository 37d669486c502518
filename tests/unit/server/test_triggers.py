"""A run points to the hand-over of the task that triggers it, and to no other."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import UUID

import pytest
from fastapi import HTTPException

from airflow_provider_exclusive.access.hand_over import CONF_KEY, to_pointer
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.server import callers
from airflow_provider_exclusive.server.callers import Caller
from airflow_provider_exclusive.server.triggers import create_trigger

TRIGGER = TaskIdentity("etl", "run-1", "hand_over", -1, "a try")
OTHERS = [
    TaskIdentity("etl", "run-1", "stranger"),
    TaskIdentity("etl", "run-2", "hand_over"),
    TaskIdentity("other", "run-1", "hand_over"),
    TaskIdentity("etl", "run-1", "hand_over", 3),
    None,
]


@pytest.fixture
def triggered(trail, session):
    """Trigger a run with a ``conf``, and return what Airflow's own function was called with."""

    def triggered(conf):
        calls = []
        trigger = create_trigger(trail)(lambda **arguments: calls.append(arguments["payload"].conf))
        token = SimpleNamespace(id=UUID(int=1))
        trigger(dag_id="child", run_id="r", payload=SimpleNamespace(conf=conf), session=session, token=token)
        return calls

    return triggered


def refusal_of(triggered, conf):
    with pytest.raises(HTTPException) as refusal:
        triggered(conf)
    assert refusal.value.status_code == 403
    return refusal.value.detail


@pytest.mark.parametrize("caller", OTHERS, ids=str)
def test_nobody_else_may_point_to_it(triggered, requesting, trail, caller):
    requesting(caller)
    assert refusal_of(triggered, {CONF_KEY: to_pointer(TRIGGER)})["reason"] == "foreign-pointer"
    assert trail.events[0][3] == "foreign-pointer"


@pytest.mark.parametrize("pointer", [None, 1, "text", {}, {"dag_id": "etl"}, to_pointer(TRIGGER) | {"more": 1}])
def test_what_is_no_pointer_is_refused_under_its_key(triggered, requesting, pointer):
    requesting(TRIGGER)
    assert "use another key" in refusal_of(triggered, {CONF_KEY: pointer})["message"]


def test_a_task_that_has_ended_may_not(triggered, requesting):
    requesting(TRIGGER, is_live=False)
    assert refusal_of(triggered, {CONF_KEY: to_pointer(TRIGGER)})["reason"] == "task-has-ended"


def test_an_earlier_try_may_not(triggered, requesting, mocker):
    requesting(TRIGGER)
    mocker.patch.object(callers, "find_writer", return_value=(Caller(TRIGGER, 1, is_live=True), {"a later try"}))
    assert refusal_of(triggered, {CONF_KEY: to_pointer(TRIGGER)})["reason"] == "superseded-try"


def test_its_own_task_may(triggered, requesting, session):
    requesting(TRIGGER)
    conf = {CONF_KEY: to_pointer(TRIGGER), "rows": 3}
    assert triggered(conf) == [conf]
    assert not session.is_connected


@pytest.mark.parametrize("conf", [None, {}, {"rows": 3}, {"Exclusive": 1}])
def test_a_run_without_a_pointer_is_triggered_unseen(triggered, conf):
    assert triggered(conf) == [conf]
