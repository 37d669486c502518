"""A task walks over the outputs of a mapped one: the API server with the plugin decides on each slice."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, XComSequenceIndexResult, XComSequenceSliceResult
from airflow.sdk.execution_time.lazy_sequence import LazyXComIterator, LazyXComSequence

from airflow_provider_exclusive import exclusive_task
from airflow_provider_exclusive.exceptions import AccessDeniedError, EnvelopeError
from airflow_provider_exclusive.execution_time import running_task
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.server.decisions import Decisions
from tests.airflow.running import Run, a_dag, read_rows, write_row
from tests.airflow.test_server import World as WorldOfOne
from tests.airflow.test_server import client, token_for  # noqa: F401  # fixtures

COUNT = 12


class World(WorldOfOne):
    """A finished run in which ``mapped`` pushed twelve values for ``reader``, and ``secret`` one for nobody."""

    def __init__(self, client, token_for) -> None:  # noqa: F811
        self.client, self.token_for = client, token_for
        with a_dag() as self.dag:

            @exclusive_task(consumers=["reader"])
            def mapped(x):
                return x

            @exclusive_task(consumers=["reader"])
            def other():
                return "another secret"

            @task
            def plain(x):
                return x

            @task
            def reader(): ...

            @task
            def stranger(): ...

            several = range(COUNT)
            [mapped.expand(x=several), plain.expand(x=several)] >> other() >> reader() >> stranger()
        self.run = Run(self.dag)
        assert self.run.state == "success"
        self.dag_id, self.run_id = self.run.dag_id, self.run.run_id
        self.set_state("running")


class Supervisor:
    """Answers with what the API server answers to one task, as Airflow's supervisor does."""

    def __init__(self, world, task_id):
        self.world, self.task_id, self.asked = world, task_id, 0

    def send(self, msg):
        self.asked += 1
        is_item = type(msg).__name__ == "GetXComSequenceItem"
        suffix = f"/item/{msg.offset}" if is_item else f"/slice?start={msg.start}&stop={msg.stop}"
        response = self.world.get(msg.task_id, key=msg.key, suffix=suffix, by=self.task_id)
        if response.status_code == 200:
            return (XComSequenceIndexResult if is_item else XComSequenceSliceResult)(root=response.json())
        if response.status_code == 404:
            return ErrorResponse(error=ErrorType.XCOM_NOT_FOUND)
        detail = {"status_code": response.status_code, "message": "refused", "detail": response.json()}
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))


@pytest.fixture(scope="module")
def shared(client, token_for):  # noqa: F811
    return World(client, token_for)


@pytest.fixture
def world(shared):
    rows = read_rows(shared.dag_id, shared.run_id)
    yield shared
    for (task_id, map_index, key), row in rows.items():
        write_row(shared.dag_id, shared.run_id, task_id, row, key=key, map_index=map_index)


@pytest.fixture
def outputs(world, mocker):
    """``outputs(task_id, by)``: the lazy sequence of a task's outputs, in the process of another one."""

    def outputs(task_id, by="reader"):
        reader = RunningTask(world.identity(by), world.dag.get_task(by))
        mocker.patch.object(running_task, "current", return_value=reader)
        mocker.patch.object(task_runner, "SUPERVISOR_COMMS", Supervisor(world, by), create=True)
        output = SimpleNamespace(operator=world.dag.get_task(task_id), key="return_value")
        return LazyXComSequence(xcom_arg=output, ti=SimpleNamespace(run_id=world.run_id))

    return outputs


def map_indexes(opened):
    return {reference.producer.map_index for reference, _ in opened.secrets.values()}


def delivered(iterator):
    """Return what an iterator delivers, and the error that ends it."""
    values = []
    try:
        for value in iterator:
            values.append(value)  # noqa: PERF402  # an error must not take the values before it with it
    except Exception as error:
        return values, error
    return values, None


def tamper(world, map_index, **change):
    row = world.row("mapped", map_index=map_index)
    write_row(world.dag_id, world.run_id, "mapped", row | change, map_index=map_index)


class TestRefusals:
    def test_a_task_outside_the_scope_gets_nothing(self, outputs):
        values, error = delivered(outputs("mapped", by="stranger"))

        assert values == []
        assert isinstance(error, AccessDeniedError)
        assert error.reason == "not-in-scope"

    @pytest.mark.parametrize("index", [0, 1, 5, COUNT - 1])
    def test_an_item_with_an_edited_scope_ends_the_walk(self, world, outputs, index):
        tamper(world, index, consumers="*")

        values, error = delivered(outputs("mapped"))

        assert values == list(range(index))
        assert isinstance(error, EnvelopeError)

    @pytest.mark.parametrize("index", [0, 1, 5, COUNT - 1])
    def test_a_foreign_row_ends_the_walk(self, world, outputs, index):
        write_row(world.dag_id, world.run_id, "mapped", world.row("other"), map_index=index)

        values, error = delivered(outputs("mapped"))

        assert values == list(range(index))
        assert isinstance(error, EnvelopeError)

    @pytest.mark.parametrize("index", [0, 5, COUNT - 1])
    def test_an_item_that_the_server_forbids_ends_the_walk(self, outputs, mocker, index):
        decide = Decisions.answer

        def forbid_one(self, opened, readers, hand_overs):
            if index in map_indexes(opened):
                raise AccessDeniedError("Not this one.", reason="not-in-scope")
            return decide(self, opened, readers, hand_overs)

        mocker.patch.object(Decisions, "answer", forbid_one)

        values, error = delivered(outputs("mapped"))

        assert values == list(range(index))
        assert isinstance(error, AccessDeniedError)
        assert "Not this one." in str(error)

    def test_an_item_that_cannot_be_decided_ends_the_walk(self, outputs, mocker):
        decide = Decisions.answer

        def fail_on_one(self, opened, readers, hand_overs):
            if 5 in map_indexes(opened):
                raise OSError("no database")
            return decide(self, opened, readers, hand_overs)

        mocker.patch.object(Decisions, "answer", fail_on_one)

        values, error = delivered(outputs("mapped"))

        assert values == [0, 1, 2, 3, 4]
        assert "503" in str(error)
        assert "undecided" in str(error)


class TestWalks:
    @pytest.mark.parametrize("task_id", ["mapped", "plain"])
    def test_it_delivers_what_airflows_own_iterator_does(self, outputs, task_id):
        values = outputs(task_id)

        assert list(iter(values)) == list(LazyXComIterator(values)) == list(range(COUNT))

    @pytest.mark.parametrize("task_id", ["mapped", "plain"])
    def test_it_takes_few_requests(self, outputs, task_id):
        assert len(list(iter(outputs(task_id)))) == COUNT
        assert task_runner.SUPERVISOR_COMMS.asked == 5  # for 1, 2, 4 and 8 rows, and for what may have come since
