"""What a row may be taken for, and for whom it opens; in a process that knows its task, without an Airflow."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_exclusive.codecs.base import CodecRegistry
from airflow_provider_exclusive.codecs.cloudpickle import CloudpickleCodec
from airflow_provider_exclusive.definitions.consumers import create_hook
from airflow_provider_exclusive.exceptions import AccessDeniedError, CodecError, EnvelopeError
from airflow_provider_exclusive.execution_time import redaction, running_task
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.format.reference import MARKER, escape
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


class TestRefused:
    def test_a_reader_outside_the_scope(self, process, put, at):
        process(TaskIdentity("etl", "run-1", "stranger"))
        with pytest.raises(AccessDeniedError, match=r"etl\.stranger"):
            pull([put().to_row()], at)

    @pytest.mark.parametrize("change", [{"key": "other"}, {"task_id": "other"}, {"run_id": "other"}, {"map_index": 3}])
    def test_the_reference_of_another_xcom(self, process, put, producer, consumer, change):
        process(consumer)
        asked = {"dag_id": "etl", "run_id": "run-1", "task_id": "extract", "map_index": -1, "key": "return_value"}
        with pytest.raises(EnvelopeError, match="holds the reference of another one"):
            pull([put().to_row()], Coordinate(**(asked | change)))

    @pytest.mark.parametrize("order", [(1, 0), (0, 0), (0, 2, 1)])
    def test_map_indexes_out_of_order(self, process, put, producer, consumer, order):
        process(consumer)
        rows = [put(producer=TaskIdentity("etl", "run-1", "extract", index)).to_row() for index in order]
        with pytest.raises(EnvelopeError, match="map index"):
            pull(rows, Coordinate("etl", "run-1", "extract", None, "return_value"))

    @pytest.mark.parametrize("plain", [1, "text", None, [1], escape({MARKER: 1})])
    def test_a_plain_value_of_an_exclusive_task(self, process, consumer, at, plain):
        process(consumer)
        with pytest.raises(EnvelopeError, match="found a plain value"):
            pull([plain], at)

    def test_an_item_of_another_run(self, process, put, producer):
        process(TaskIdentity("etl", "run-2", "load"))
        with pytest.raises(EnvelopeError):
            pull([put().to_row()], None)

    def test_a_malformed_reference(self, process, consumer, at):
        process(consumer)
        with pytest.raises(EnvelopeError):
            pull([{MARKER: 1}], at)


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

    def test_so_does_a_reader_that_asks_for_it(self, process, row, consumer, at):
        process(consumer, create_hook("*", codec="cloudpickle"))
        assert pull([row], at) == [{"a": 1}]


class TestOpened:
    def test_values_come_in_the_order_of_their_rows(self, process, put, consumer, at):
        running = process(consumer)
        assert pull([put(number).to_row() for number in (3, 1, 2)], at) == [3, 1, 2]
        assert list(running.inputs) == [("extract", "return_value")]

    def test_a_plain_value_of_a_plain_task_is_as_it_was(self, process, consumer):
        process(consumer)
        assert pull([{"a": [1]}], Coordinate("etl", "run-1", "plain", -1, "return_value")) == [{"a": [1]}]

    def test_a_value_that_looks_like_a_reference_is_a_value(self, process, consumer):
        process(consumer)
        value = {MARKER: 1, "mine": True}
        assert pull([escape(value)], Coordinate("etl", "run-1", "plain", -1, "return_value")) == [value]

    def test_an_earlier_run_will_do_where_it_was_asked_for(self, process, put, producer, consumer):
        process(consumer)
        assert pull([put().to_row()], Coordinate("etl", None, "extract", -1, "return_value")) == ["a value"]
