"""Which coordinates hold an exclusive value, as far as the Dag of the running task tells."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_provider_exclusive import consumers
from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver, Source, Withdrawn
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.xcom.declared import exclusive_producer, expects_reference

CHILD = TaskIdentity("child", "run-9", "read")


def at(task_id, key="return_value", dag_id="etl", run_id="run-1", map_index=-1):
    return Coordinate(dag_id, run_id, task_id, map_index, key)


@pytest.fixture
def running(consumer, dag):
    return RunningTask(consumer, dag.get_task("load"))


class TestWhatOnlyAReferenceWillDoFor:
    @pytest.mark.parametrize("key", ["return_value", "another"])
    @pytest.mark.parametrize("map_index", [-1, 3, None])
    def test_any_output_of_another_exclusive_task(self, running, key, map_index):
        assert expects_reference(at("extract", key, map_index=map_index), running)

    def test_not_that_of_a_plain_task(self, running):
        assert not expects_reference(at("look"), running)

    def test_not_its_own_which_it_may_not_have_pushed_yet(self, producer, dag):
        assert not expects_reference(at("extract"), RunningTask(producer, dag.get_task("extract")))

    def test_nothing_without_a_task(self):
        assert not expects_reference(at("extract"), None)


class TestOutputsOfThisDag:
    def test_the_producer_is_the_exclusive_task(self, running):
        assert exclusive_producer(at("extract"), running) == "extract"

    @pytest.mark.parametrize("task_id", ["look", "no_such_task"])
    def test_plain_and_unknown_tasks_are_none(self, running, task_id):
        assert exclusive_producer(at(task_id), running) is None

    def test_airflows_own_key_of_an_exclusive_task_is_plain(self, running):
        assert exclusive_producer(at("extract", "skipmixin_key"), running) is None

    @pytest.mark.parametrize("task", [None, SimpleNamespace(dag=None)], ids=["a trigger", "no Dag"])
    def test_without_a_dag_nothing_is_known(self, consumer, task):
        assert exclusive_producer(at("extract"), RunningTask(consumer, task)) is None

    def test_without_a_task_nothing_is_known(self):
        assert exclusive_producer(at("extract"), None) is None

    @pytest.mark.parametrize("known", [None, RunningTask(CHILD, None)], ids=["no task", "a trigger"])
    def test_under_the_key_of_records_there_is_never_a_plain_value(self, known):
        assert exclusive_producer(at("anything", RECORD_KEY), known) == "anything"


class TestOutputsOfOtherDags:
    @pytest.fixture
    def child(self, work):
        with DAG("child"):
            return RunningTask(CHILD, work(task_id="read"))

    def hand(self, running, source, *, is_exclusive=True):
        hand_over = HandOver(
            TaskIdentity("etl", "run-1", "load"), "child", "run-9", {"a": Source(source, is_exclusive)}
        )
        running.hand_overs["child", "run-9"] = hand_over

    def test_what_was_handed_over_as_exclusive(self, child):
        self.hand(child, at("extract"))

        assert exclusive_producer(at("extract"), child) == "extract"

    def test_every_map_index_of_it(self, child):
        self.hand(child, at("extract", map_index=2))

        assert exclusive_producer(at("extract", map_index=None), child) == "extract"

    def test_not_what_was_handed_over_as_plain(self, child):
        self.hand(child, at("extract"), is_exclusive=False)

        assert exclusive_producer(at("extract"), child) is None

    @pytest.mark.parametrize("other", [at("look"), at("extract", "k"), at("extract", run_id="run-2"), at(None)])
    def test_not_what_was_not_handed_over(self, child, other):
        self.hand(child, at("extract"))

        assert exclusive_producer(other, child) is None

    def test_nothing_before_the_hand_over_was_looked_up(self, child):
        assert exclusive_producer(at("extract"), child) is None

    @pytest.mark.parametrize(
        "found", [None, Withdrawn(TaskIdentity("etl", "run-1", "load"))], ids=["none", "withdrawn"]
    )
    def test_nothing_if_there_is_no_hand_over(self, child, found):
        child.hand_overs["child", "run-9"] = found

        assert exclusive_producer(at("extract"), child) is None


class TestItemsOfLazySequences:
    def reading(self, work, *, exclusive, plain=0):
        """Return a task that takes the outputs of so many mapped tasks."""
        with DAG("etl") as dag:
            sources = [
                work.partial(task_id=f"exclusive_{n}", pre_execute=consumers("load")).expand(number=[1, 2])
                for n in range(exclusive)
            ]
            sources += [work.partial(task_id=f"plain_{n}").expand(number=[1, 2]) for n in range(plain)]
            load = work(task_id="load", number=[source.output for source in sources])
        return RunningTask(TaskIdentity("etl", "run-1", "load"), dag.get_task(load.task_id))

    def test_those_of_exclusive_tasks_alone(self, work):
        assert exclusive_producer(None, self.reading(work, exclusive=2)) == "exclusive_0"

    def test_with_a_plain_one_among_them_nobody_knows(self, work):
        assert exclusive_producer(None, self.reading(work, exclusive=1, plain=1)) is None

    def test_a_task_that_takes_none(self, work):
        assert exclusive_producer(None, self.reading(work, exclusive=0)) is None

    def test_each_dag_is_asked_about_itself(self, work):
        assert exclusive_producer(None, self.reading(work, exclusive=0, plain=1)) is None
        assert exclusive_producer(None, self.reading(work, exclusive=1)) == "exclusive_0"
