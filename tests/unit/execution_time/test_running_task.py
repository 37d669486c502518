"""Who the running task is: with a context, after it is gone, in a trigger, and in no task at all."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest
from airflow.sdk.definitions.context import Context
from airflow.sdk.execution_time.context import set_current_context

from airflow_provider_exclusive.execution_time import running_task
from airflow_provider_exclusive.scopes.identity import TaskIdentity


@pytest.fixture(autouse=True)
def fresh_process(mocker):
    mocker.patch.object(running_task, "_last_seen", None)


def an_instance(task_id="extract", *, map_index=-1, task="an operator"):
    place = {"dag_id": "etl", "run_id": "run-1", "task_id": task_id, "map_index": map_index}
    return SimpleNamespace(**place, id=uuid.uuid4(), task=task)


def within(instance):
    return set_current_context(Context(ti=instance))


class TestCurrent:
    def test_outside_a_task_there_is_none(self):
        assert running_task.current() is None

    def test_within_a_task_it_is_the_one_of_the_context(self):
        instance = an_instance()

        with within(instance):
            running = running_task.current()

        assert running.identity == TaskIdentity("etl", "run-1", "extract", -1, str(instance.id))
        assert running.task == "an operator"

    @pytest.mark.parametrize(("given", "known"), [(None, -1), (-1, -1), (3, 3)])
    def test_no_map_index_is_that_of_an_unmapped_task(self, given, known):
        with within(an_instance(map_index=given)):
            assert running_task.current().identity.map_index == known

    def test_what_is_known_of_a_task_stays_known(self):
        with within(an_instance()):
            running_task.current().inputs["extract", "k"] = None

            assert list(running_task.current().inputs) == [("extract", "k")]

    def test_the_operator_is_the_one_that_airflow_has_now(self):
        instance = an_instance(task="as written")
        with within(instance):
            running_task.current()
            instance.task = "as rendered"

            assert running_task.current().task == "as rendered"

    @pytest.mark.parametrize("other", [{"task_id": "load"}, {"map_index": 1}, {}], ids=["task", "map index", "try"])
    def test_of_another_task_instance_nothing_is_known(self, other):
        with within(an_instance()):
            running_task.current().inputs["extract", "k"] = None
        with within(an_instance(**other)):
            assert running_task.current().inputs == {}

    def test_without_a_context_it_is_the_one_last_seen(self):
        with within(an_instance()):
            running = running_task.current()

        assert running_task.current() is running


class TestTriggers:
    @pytest.fixture
    def trigger(self, mocker):
        instance = an_instance("waiting")
        mocker.patch.object(running_task, "trigger_task_instance", return_value=instance)
        return instance

    def test_a_trigger_acts_for_its_task(self, trigger):
        running = running_task.current()

        assert running.identity == TaskIdentity("etl", "run-1", "waiting", -1, str(trigger.id))
        assert running.task is None

    def test_it_goes_before_a_context_and_is_not_remembered(self, trigger, mocker):
        with within(an_instance()):
            assert running_task.current().identity.task_id == "waiting"

        mocker.patch.object(running_task, "trigger_task_instance", return_value=None)
        assert running_task.current() is None


def test_one_that_is_set_aside_is_back_after_the_block():
    with within(an_instance()):
        waiting = running_task.current()
    with running_task.set_aside():
        assert running_task.current() is None

    assert running_task.current() is waiting


class TestLastSeen:
    def test_before_any_task_there_is_none(self):
        assert running_task.last_seen(an_instance()) is None

    def test_a_task_that_used_no_xcom_is_not_known(self):
        with within(an_instance()):
            running_task.current()

        assert running_task.last_seen(an_instance()) is None

    def test_it_is_known_once_its_context_is_gone(self):
        instance = an_instance()
        with within(instance):
            running = running_task.current()

        assert running_task.last_seen(instance) is running
