"""Which run a trigger makes, and whether that run exists."""

from __future__ import annotations

import re

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
)

from airflow_provider_exclusive.access.hand_over import CONF_KEY, to_pointer
from airflow_provider_exclusive.exceptions import HandOverError
from airflow_provider_exclusive.operators import triggered_run
from airflow_provider_exclusive.operators.triggered_run import Found
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from tests.unit.operators.requests import request

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
            triggered_run.find(request(), ME)
        assert str(refusal.value) == (
            "Could not trigger run run-7 of child: it exists already. Use another trigger_run_id."
        )

    @pytest.mark.parametrize("other", OTHERS)
    def test_so_does_one_of_another_task_instance(self, runs, other):
        runs["child", "run-7"] = conf_by(other)
        with pytest.raises(AirflowFailException, match="exists already"):
            triggered_run.find(request(), ME)

    def test_it_skips_the_task_if_asked_to(self, runs):
        runs["child", "run-7"] = {}
        with pytest.raises(AirflowSkipException, match="Skipped, because run run-7 of child exists already"):
            triggered_run.find(request(skip_when_already_exists=True), ME)

    def test_one_triggered_by_hand_is_never_reset(self, runs):
        runs["child", "run-7"] = {"by": "hand"}
        with pytest.raises(HandOverError, match="was not triggered by an ExclusiveTriggerDagRunOperator, so it"):
            triggered_run.find(request(reset_dag_run=True), ME)

    def test_one_of_another_trigger_is_never_reset(self, runs):
        runs["child", "run-7"] = conf_by(OTHERS[2])
        with pytest.raises(HandOverError, match=r"triggered by etl\.another \(run run-1\)") as refusal:
            triggered_run.find(request(reset_dag_run=True, skip_when_already_exists=True), ME)
        assert "Use another trigger_run_id, or delete that run." in str(refusal.value)


class TestARunOfAnEarlierTry:
    @pytest.mark.parametrize("reset", [True, False])
    @pytest.mark.parametrize(("then", "now"), [({"a": 1}, {"a": 2}), ({}, {"a": 1}), ({"a": 1}, None)])
    def test_another_conf_is_refused(self, runs, then, now, reset):
        runs["child", "run-7"] = conf_by(EARLIER_TRY, **then)
        with pytest.raises(HandOverError, match="with another conf, and Airflow never changes the conf of a run"):
            triggered_run.find(request(conf=now, reset_dag_run=reset), ME)

    @pytest.mark.parametrize("conf", [None, {}, {"a": 1}])
    def test_it_is_taken_over(self, runs, conf):
        runs["child", "run-7"] = conf_by(EARLIER_TRY, **(conf or {}))
        assert triggered_run.find(request(conf=conf), ME) is Found.TO_USE

    def test_what_openlineage_adds_may_differ(self, runs):
        runs["child", "run-7"] = conf_by(EARLIER_TRY, openlineage={"parentRunId": "1"})
        assert triggered_run.find(request(conf={"openlineage": {"parentRunId": "2"}}), ME) is Found.TO_USE

    def test_it_is_triggered_again_if_it_is_to_be_reset(self, runs):
        runs["child", "run-7"] = conf_by(EARLIER_TRY)
        assert triggered_run.find(request(reset_dag_run=True), ME) is Found.TO_RESET


@pytest.mark.parametrize("reset", [True, False])
def test_a_run_that_is_not_there_does_not_exist(runs, reset):
    runs["child", "another"] = runs["another", "run-7"] = {}
    assert triggered_run.find(request(reset_dag_run=reset), ME) is Found.NOTHING
