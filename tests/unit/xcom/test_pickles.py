"""When a value that cloudpickle wrote is opened: only where the side of its reader agrees; without a booted Airflow."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_exclusive.codecs.base import CodecRegistry
from airflow_provider_exclusive.codecs.cloudpickle import CloudpickleCodec
from airflow_provider_exclusive.definitions.hook import create_hook
from airflow_provider_exclusive.exceptions import AccessDeniedError, CodecError
from airflow_provider_exclusive.execution_time import redaction, running_task
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN
from airflow_provider_exclusive.xcom import pull as pulling
from airflow_provider_exclusive.xcom.pull import pull


def operator(task_id, dag, hook=None):
    task = SimpleNamespace(task_id=task_id, dag=dag, _pre_execute_hook=hook, task_group=None)
    dag.task_dict[task_id] = task
    return task


@pytest.fixture
def dag():
    return SimpleNamespace(dag_id="etl", task_dict={}, tasks=[])


@pytest.fixture
def process(mocker, store, dag):
    """Let this process run a task of ``dag``, whose backend has ``store``."""
    mocker.patch.object(pulling, "current_store", return_value=store)
    mocker.patch.object(pulling, "current_audit", return_value="denied")
    mocker.patch.object(redaction, "prepare")
    operator("extract", dag, create_hook(["load"]))

    def process(identity, hook=None):
        running = RunningTask(identity, operator(identity.task_id, dag, hook))
        mocker.patch.object(running_task, "current", return_value=running)
        return running

    return process


@pytest.fixture
def at(producer):
    return Coordinate.of(producer, "return_value")


class TestPickles:
    """Loading one runs its producer's code in the process of its reader."""

    @pytest.fixture
    def pickled(self, make_store, mocker, process, dag):
        store = make_store(codecs=CodecRegistry([CloudpickleCodec()]))
        mocker.patch.object(pulling, "current_store", return_value=store)

        def pickled(**call):
            return store.put({"a": 1}, codec="cloudpickle", **call).to_row()

        return pickled

    @pytest.fixture
    def row(self, pickled, producer, scope):
        return pickled(producer=producer, key="return_value", scope=scope)

    def test_one_that_only_its_producer_wants_is_refused(self, process, row, consumer, at):
        process(consumer)
        with pytest.raises(CodecError, match="would run code of its producer here"):
            pull([row], at)

    def test_one_for_everybody_is_refused_to_all(self, process, pickled, producer, consumer, at):
        process(consumer, create_hook("*", codec="cloudpickle"))
        with pytest.raises(CodecError):
            pull([pickled(producer=producer, key="return_value", scope=OPEN)], at)

    def test_who_may_not_read_is_told_that_first(self, process, row, at):
        process(TaskIdentity("etl", "run-1", "stranger"))
        with pytest.raises(AccessDeniedError):
            pull([row], at)

    def test_the_dag_that_declares_it_loads_it(self, process, row, consumer, at, dag):
        process(consumer)
        operator("extract", dag, create_hook(["load"], codec="cloudpickle"))
        assert pull([row], at) == [{"a": 1}]

    def test_so_does_a_mapped_reader_that_lost_its_hook(self, process, row, consumer, at, dag):
        running = process(consumer, create_hook([], codec="cloudpickle"))
        running.task = SimpleNamespace(task_id=consumer.task_id, dag=dag, _pre_execute_hook=None, task_group=None)
        assert pull([row], at) == [{"a": 1}]

    def test_so_does_a_reader_that_asks_for_it(self, process, row, consumer, at):
        process(consumer, create_hook("*", codec="cloudpickle"))
        assert pull([row], at) == [{"a": 1}]
