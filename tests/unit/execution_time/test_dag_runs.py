"""What a task finds out about hand-overs, when several of its threads ask at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_exclusive.access import decision
from airflow_provider_exclusive.access.hand_over import HandOver, Source, to_pointer
from airflow_provider_exclusive.execution_time import dag_runs
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import Clause, ConsumerScope

TRIGGER = TaskIdentity("parent", "run-1", "hand_over")
READER = TaskIdentity("child", "run-1", "read")
SOURCE = TaskIdentity("parent", "run-1", "extract")
SCOPE = ConsumerScope((Clause("parent", "hand_over", "run-1"),))
REFERENCE = Reference(SOURCE, "return_value", SCOPE, "msgpack", 1, None, "2026-01-01T00:00:00Z", None, None)
RECORD = HandOver(
    TRIGGER,
    "child",
    "run-1",
    {"rows": Source(Coordinate("parent", "run-1", "extract", -1, "return_value"), is_exclusive=True)},
)


@pytest.fixture
def asked(mocker):
    """How often the API server was asked for a record; each time takes a while."""
    asked = []

    def pull_record(trigger):
        asked.append(trigger)
        time.sleep(0.05)
        return RECORD

    mocker.patch.object(dag_runs.WorkerHandOverLookup, "conf_of", return_value={"exclusive": to_pointer(TRIGGER)})
    mocker.patch.object(dag_runs, "_pull_record", pull_record)
    return asked


def test_threads_that_read_at_once_all_pass_and_ask_once(asked):
    hand_overs = dag_runs.WorkerHandOverLookup(RunningTask(READER, task=None))

    with ThreadPoolExecutor(4) as threads:
        for _ in threads.map(lambda _: decision.decide(READER, REFERENCE, hand_overs), range(4)):
            pass

    assert asked == [TRIGGER]


def test_a_record_to_be_decided_by_itself_hands_over_nothing(asked, mocker):
    hand_overs = dag_runs.WorkerHandOverLookup(RunningTask(READER, task=None))
    mocker.patch.object(dag_runs, "_pull_record", side_effect=lambda trigger: hand_overs.find("child", "run-1"))

    assert hand_overs.find("child", "run-1") is None
