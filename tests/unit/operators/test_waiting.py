"""How a trigger waits for the end of its run."""

from __future__ import annotations

import logging

import pytest
from airflow.sdk import DagRunState
from airflow.sdk.exceptions import AirflowException, TaskDeferred

from airflow_provider_exclusive.exceptions import HandOverError
from airflow_provider_exclusive.operators import waiting
from tests.unit.operators.requests import request


class RunThatGoesOn:
    """A task instance that is told one state after another."""

    def __init__(self, *states):
        self.states = list(states)
        self.asked = []

    def get_dagrun_state(self, dag_id, run_id):
        self.asked.append((dag_id, run_id))
        return self.states.pop(0)


class State:
    def __init__(self, value):
        self.value = value


@pytest.fixture
def slept(mocker):
    slept = []
    mocker.patch("time.sleep", slept.append)
    return slept


def wait(ti, **changes):
    waiting.wait(request(**changes), ti, logging.getLogger("a task"))


class TestWaiting:
    @pytest.mark.parametrize("failed", ["failed", State("failed")])
    def test_a_failed_state_fails_the_task(self, slept, failed):
        with pytest.raises(AirflowException, match="child failed with failed state failed: run run-7 of child"):
            wait(RunThatGoesOn("running", failed))

    def test_which_states_are_failures_can_be_said(self, slept):
        with pytest.raises(AirflowException, match="failed state success"):
            wait(RunThatGoesOn("success"), allowed_states=["failed"], failed_states=["success"])

    def test_it_ends_with_an_allowed_state(self, slept):
        ti = RunThatGoesOn("queued", State("running"), State("success"), "never asked for")
        wait(ti)
        assert ti.asked == [("child", "run-7")] * 3

    def test_it_sleeps_before_each_question(self, slept):
        wait(RunThatGoesOn("queued", "success"), poke_interval=7)
        assert slept == [7, 7]

    def test_it_logs_what_it_waits_for(self, slept, caplog):
        caplog.set_level("INFO")
        wait(RunThatGoesOn("queued", "success"), allowed_states=[DagRunState.SUCCESS, "skipped"])
        assert caplog.messages == [
            "Waiting for run run-7 of child: its state is queued, expected is success or skipped."
        ]

    def test_it_says_nothing_of_a_run_that_has_ended(self, slept, caplog):
        caplog.set_level("INFO")
        wait(RunThatGoesOn("success"))
        assert caplog.messages == []


class TestDeferredWaiting:
    def deferral(self, **changes):
        with pytest.raises(TaskDeferred) as deferred:
            wait(RunThatGoesOn(), deferrable=True, **changes)
        return deferred.value

    def test_the_task_goes_on_in_execute_complete(self):
        assert self.deferral().method_name == "execute_complete"

    def test_the_trigger_watches_this_run_alone(self):
        trigger = self.deferral(poke_interval=5).trigger
        assert (trigger.dag_id, trigger.run_ids, trigger.poll_interval) == ("child", ["run-7"], 5)

    def test_the_trigger_ends_with_any_state_that_decides(self):
        trigger = self.deferral(allowed_states=["success", "queued"], failed_states=["failed"]).trigger
        assert trigger.states == ["success", "queued", "failed"]


class TestWithoutAScheduler:
    """In a process that runs a test, which has to run the child as well."""

    @pytest.fixture
    def ran(self, mocker):
        """The run ids that were run here; each ends as success."""
        ran = []

        def run_triggered(dag, run_id):
            ran.append((dag, run_id))
            return "success"

        mocker.patch.object(waiting.dag_test, "is_testing", return_value=True)
        mocker.patch.object(waiting.dag_test, "find_dag", return_value=("the Dag", []))
        mocker.patch.object(waiting.dag_test, "run_triggered", run_triggered)
        return ran

    def test_the_child_is_run_first_and_not_slept_for(self, ran, slept):
        wait(RunThatGoesOn("queued", "success"))
        assert ran == [("the Dag", "run-7")]
        assert set(slept) == {0}

    def test_a_run_that_has_ended_is_not_run_again(self, ran, slept):
        wait(RunThatGoesOn("success", "success"))
        assert ran == []

    def test_a_deferred_wait_comes_after_the_run(self, ran, slept):
        with pytest.raises(TaskDeferred):
            wait(RunThatGoesOn("queued"), deferrable=True)
        assert ran == [("the Dag", "run-7")]

    def test_an_end_that_nobody_awaits_is_an_error(self, ran, slept):
        with pytest.raises(AirflowException, match="ended as success, which is neither in allowed_states nor in"):
            wait(RunThatGoesOn("queued"), allowed_states=["running"])

    def test_a_dag_that_is_nowhere_is_named_with_the_places(self, ran, mocker):
        mocker.patch.object(waiting.dag_test, "find_dag", return_value=(None, ["/dags", "/dags/broken.py"]))
        with pytest.raises(HandOverError, match=r"Dag 'child'.* in: /dags; /dags/broken\.py\. Put its"):
            waiting.require_dag(request())
