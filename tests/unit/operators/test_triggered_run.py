"""Which run a trigger makes, whether that run exists, and how the trigger waits for its end."""

from __future__ import annotations

import logging
import re

import pytest
from airflow.sdk import DagRunState
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    DagRunTriggerException,
    TaskDeferred,
)

from airflow_provider_exclusive.access.hand_over import CONF_KEY, to_pointer
from airflow_provider_exclusive.exceptions import HandOverError
from airflow_provider_exclusive.operators import triggered_run
from airflow_provider_exclusive.scopes.identity import TaskIdentity

ME = TaskIdentity("etl", "run-1", "hand_over", -1, "the id of this try")
EARLIER_TRY = TaskIdentity("etl", "run-1", "hand_over", -1, "the id of another try")
OTHERS = [
    TaskIdentity("another", "run-1", "hand_over"),
    TaskIdentity("etl", "run-2", "hand_over"),
    TaskIdentity("etl", "run-1", "another"),
    TaskIdentity("etl", "run-1", "hand_over", 0),
]


def conf_by(task, **conf):
    return {CONF_KEY: to_pointer(task), **conf}


def request(**changes):
    usual = {
        "trigger_dag_id": "child",
        "dag_run_id": "run-7",
        "conf": None,
        "logical_date": None,
        "reset_dag_run": False,
        "skip_when_already_exists": False,
        "wait_for_completion": True,
        "allowed_states": ["success"],
        "failed_states": ["failed"],
        "poke_interval": 30,
        "deferrable": False,
    }
    return DagRunTriggerException(**(usual | changes))


@pytest.fixture
def runs(mocker):
    """The ``conf`` of each run that exists, by Dag id and run id."""
    runs = {}
    mocker.patch.object(triggered_run, "find_conf", lambda dag_id, run_id: runs.get((dag_id, run_id)))
    return runs


def propose(trigger=ME, dag_id="child", generation=0):
    return triggered_run.propose_id(dag_id, trigger, generation=generation)


class TestProposedIds:
    def test_a_trigger_fails_when_others_took_all_its_ids(self, mocker):
        mocker.patch.object(triggered_run, "find_conf", return_value={})
        with pytest.raises(
            HandOverError, match=r"All 100 run ids that etl\.hand_over .* of child are taken"
        ) as refusal:
            propose()
        assert str(refusal.value).endswith("Give the operator a trigger_run_id.")

    @pytest.mark.parametrize("conf", [{}, {CONF_KEY: "garbage"}, *map(conf_by, OTHERS)])
    def test_an_id_that_somebody_else_took_is_passed_over(self, runs, conf):
        first = propose()
        runs["child", first] = conf
        assert propose() == first.removesuffix("__1") + "__2"

    def test_an_id_can_be_recognised(self, runs):
        assert re.fullmatch(r"exclusive__[0-9a-f]{16}__1", propose())

    def test_every_try_proposes_the_same(self, runs):
        assert propose(ME) == propose(EARLIER_TRY)

    def test_the_run_of_an_earlier_try_is_proposed_again(self, runs):
        first = propose()
        runs["child", first] = conf_by(EARLIER_TRY)
        assert propose() == first

    def test_so_is_one_behind_a_run_of_somebody_else(self, runs):
        first = propose()
        second = first.removesuffix("__1") + "__2"
        runs["child", first] = {}
        runs["child", second] = conf_by(EARLIER_TRY)
        assert propose() == second

    @pytest.mark.parametrize("other", OTHERS)
    def test_another_task_instance_gets_another_id(self, runs, other):
        assert propose(other) != propose()

    def test_a_cleared_task_gets_another_id(self, runs):
        assert propose(generation=1) != propose(generation=0)

    def test_a_taken_id_of_another_dag_does_not_count(self, runs):
        first = propose()
        runs["another", first] = {}
        assert propose() == first

    def test_an_id_with_half_a_surrogate_pair_can_be_digested(self, runs):
        assert propose(TaskIdentity("etl", "run-\ud800", "hand_over")).startswith("exclusive__")


class TestARunOfSomebodyElse:
    def test_it_fails_the_task_without_a_retry(self, runs):
        runs["child", "run-7"] = {}
        with pytest.raises(AirflowFailException) as refusal:
            triggered_run.exists(request(), ME)
        assert str(refusal.value) == (
            "Could not trigger run run-7 of child: it exists already. Use another trigger_run_id."
        )

    @pytest.mark.parametrize("other", OTHERS)
    def test_so_does_one_of_another_task_instance(self, runs, other):
        runs["child", "run-7"] = conf_by(other)
        with pytest.raises(AirflowFailException, match="exists already"):
            triggered_run.exists(request(), ME)

    def test_it_skips_the_task_if_asked_to(self, runs):
        runs["child", "run-7"] = {}
        with pytest.raises(AirflowSkipException, match="Skipped, because run run-7 of child exists already"):
            triggered_run.exists(request(skip_when_already_exists=True), ME)

    def test_one_triggered_by_hand_is_never_reset(self, runs):
        runs["child", "run-7"] = {"by": "hand"}
        with pytest.raises(HandOverError, match="was not triggered by an ExclusiveTriggerDagRunOperator, so it"):
            triggered_run.exists(request(reset_dag_run=True), ME)

    def test_one_of_another_trigger_is_never_reset(self, runs):
        runs["child", "run-7"] = conf_by(OTHERS[2])
        with pytest.raises(HandOverError, match=r"triggered by etl\.another \(run run-1\)") as refusal:
            triggered_run.exists(request(reset_dag_run=True, skip_when_already_exists=True), ME)
        assert "Use another trigger_run_id, or delete that run." in str(refusal.value)


class TestARunOfAnEarlierTry:
    @pytest.mark.parametrize("reset", [True, False])
    @pytest.mark.parametrize(("then", "now"), [({"a": 1}, {"a": 2}), ({}, {"a": 1}), ({"a": 1}, None)])
    def test_another_conf_is_refused(self, runs, then, now, reset):
        runs["child", "run-7"] = conf_by(EARLIER_TRY, **then)
        with pytest.raises(HandOverError, match="with another conf, and Airflow never changes the conf of a run"):
            triggered_run.exists(request(conf=now, reset_dag_run=reset), ME)

    @pytest.mark.parametrize("conf", [None, {}, {"a": 1}])
    def test_it_is_taken_over(self, runs, conf):
        runs["child", "run-7"] = conf_by(EARLIER_TRY, **(conf or {}))
        assert triggered_run.exists(request(conf=conf), ME) is True

    def test_what_openlineage_adds_may_differ(self, runs):
        runs["child", "run-7"] = conf_by(EARLIER_TRY, openlineage={"parentRunId": "1"})
        assert triggered_run.exists(request(conf={"openlineage": {"parentRunId": "2"}}), ME) is True

    def test_it_is_triggered_again_if_it_is_to_be_reset(self, runs):
        runs["child", "run-7"] = conf_by(EARLIER_TRY)
        assert triggered_run.exists(request(reset_dag_run=True), ME) is False


@pytest.mark.parametrize("reset", [True, False])
def test_a_run_that_is_not_there_does_not_exist(runs, reset):
    runs["child", "another"] = runs["another", "run-7"] = {}
    assert triggered_run.exists(request(reset_dag_run=reset), ME) is False


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
    triggered_run.wait(request(**changes), ti, logging.getLogger("a task"))


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

        mocker.patch.object(triggered_run.dag_test, "is_testing", return_value=True)
        mocker.patch.object(triggered_run.dag_test, "find_dag", return_value=("the Dag", []))
        mocker.patch.object(triggered_run.dag_test, "run_triggered", run_triggered)
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
        mocker.patch.object(triggered_run.dag_test, "find_dag", return_value=(None, ["/dags", "/dags/broken.py"]))
        with pytest.raises(HandOverError, match=r"Dag 'child'.* in: /dags; /dags/broken\.py\. Put its"):
            triggered_run.require_dag(request())
