"""What an exclusive input is in a Dag, what it resolves to in a task, and what it says where it has no value."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_exclusive.access.hand_over import CONF_KEY, HandOver, Source, Withdrawn
from airflow_provider_exclusive.definitions.inputs import ExclusiveInput, exclusive_input, find_source
from airflow_provider_exclusive.definitions.inputs import get_exclusive_input as get
from airflow_provider_exclusive.exceptions import (
    HandOverError,
    HandOverWithdrawnError,
    InvalidScopeError,
    StorageUnavailableError,
)
from airflow_provider_exclusive.execution_time import dag_runs, running_task
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity

OWN = TaskIdentity("child", "run-7", "load")
TRIGGER = TaskIdentity("etl", "run-1", "hand_over")


def source_of(task_id):
    return Source(Coordinate("etl", "run-1", task_id, -1, "return_value"), is_exclusive=True)


class World:
    """The run of the task that runs: its ``conf``, what it was handed, and the values that still exist."""

    def __init__(self):
        self.conf, self.hand_over, self.values, self.pulled = {}, None, {}, []

    def hands_over(self, **values):
        sources = {name: source_of(f"extract_{name}") for name in values}
        self.conf = {CONF_KEY: "a pointer"}
        self.hand_over = HandOver(TRIGGER, "child", "run-7", sources)
        self.values = {sources[name].at: value for name, value in values.items()}

    def find(self, dag_id, run_id):
        assert (dag_id, run_id) == ("child", "run-7")
        return self.hand_over

    def conf_of(self, dag_id, run_id):
        assert (dag_id, run_id) == ("child", "run-7")
        return self.conf

    def pull(self, at):
        self.pulled.append(at)
        value = self.values.get(at, dag_runs.MISSING)
        if isinstance(value, Exception):
            raise value
        return value


@pytest.fixture
def world(mocker):
    world = World()
    mocker.patch.object(running_task, "current", return_value=RunningTask(OWN, task=None))
    mocker.patch.object(dag_runs.WorkerHandOverLookup, "find", lambda _, dag_id, run_id: world.find(dag_id, run_id))
    mocker.patch.object(
        dag_runs.WorkerHandOverLookup, "conf_of", lambda _, dag_id, run_id: world.conf_of(dag_id, run_id)
    )
    mocker.patch.object(dag_runs, "pull_output", world.pull)
    return world


@pytest.fixture
def no_task(mocker):
    mocker.patch.object(running_task, "current", return_value=None)


class TestInADag:
    @pytest.mark.parametrize("name", ["", None, 7])
    def test_a_name_that_is_no_text_is_refused(self, name):
        with pytest.raises(InvalidScopeError, match="invalid name; expected a name from exclusive_keys, such as"):
            exclusive_input(name)

    def test_a_part_of_it_cannot_be_taken(self):
        with pytest.raises(InvalidScopeError) as refusal:
            exclusive_input("rows")["count"]
        assert refusal.value.message.startswith("exclusive_input('rows')['count']: an input is handed over as a whole")

    def test_it_makes_no_task_upstream(self):
        with DAG("child", schedule=None) as dag:
            task(task_id="load")(lambda rows: rows)(exclusive_input("rows"))
        assert list(exclusive_input("rows").iter_references()) == []
        assert dag.get_task("load").upstream_task_ids == set()

    def test_its_text_is_the_same_whatever_its_default(self):
        assert repr(exclusive_input("rows", default=object())) == "exclusive_input('rows')"

    def test_it_knows_its_name_and_default(self):
        made = exclusive_input("rows", default=3)
        assert (type(made), made.name, made.default) == (ExclusiveInput, "rows", 3)


class TestInputsWithoutAValue:
    def test_outside_a_task_there_is_nothing_to_ask(self, no_task):
        with pytest.raises(HandOverError, match="'rows' was requested outside a running task") as refusal:
            get("rows")
        assert "inside 'with exclusive_input.overriding({'rows': …})'" in str(refusal.value)

    def test_a_default_does_not_help_there(self, no_task):
        with pytest.raises(HandOverError, match="outside a running task"):
            get("rows", default=3)

    def test_a_run_that_was_handed_nothing_says_so(self, world):
        with pytest.raises(HandOverError) as missing:
            get("rows")
        assert str(missing.value) == (
            "Run run-7 of child was not handed 'rows'; it was handed nothing. Trigger it with "
            "ExclusiveTriggerDagRunOperator(task_id=…, trigger_dag_id='child', exclusive_keys={'rows': …}), or write "
            "exclusive_input('rows', default=…)."
        )

    def test_a_run_that_was_handed_others_names_them(self, world):
        world.hands_over(two=2, one=1)
        with pytest.raises(HandOverError, match="was not handed 'rows'; it was handed 'one', 'two'"):
            get("rows")

    @pytest.mark.parametrize("default", [{}, {"default": 3}])
    def test_a_pointer_to_nothing_is_refused(self, world, default):
        world.conf = {CONF_KEY: None}
        with pytest.raises(HandOverError, match="its conf points to a hand-over record that does not name this run"):
            get("rows", **default)

    @pytest.mark.parametrize("default", [{}, {"default": 3}])
    def test_an_output_that_is_gone_is_an_error(self, world, default):
        world.hands_over(rows=dag_runs.MISSING)
        with pytest.raises(HandOverError, match="but that output is missing: its task was cleared") as missing:
            get("rows", **default)
        assert "'return_value' of etl.extract_rows (run run-1)" in str(missing.value)
        assert str(missing.value).endswith("Re-run task 'extract_rows' of that run.")

    @pytest.mark.parametrize("default", [{}, {"default": 3}])
    def test_a_retry_can_help_where_the_hand_over_is_withdrawn(self, world, default):
        world.hand_over = Withdrawn(TRIGGER)
        with pytest.raises(HandOverWithdrawnError) as withdrawn:
            get("rows", **default)
        assert str(withdrawn.value) == (
            "Run run-7 of child was not handed 'rows' yet, or no longer: its conf points to the hand-over of task "
            "'hand_over' of etl, which has withdrawn it: that task failed, was cleared or is being retried, or it never "
            "handed over anything. A retry succeeds once it has handed over. If it will not run again by itself, clear it."
        )
        assert not isinstance(withdrawn.value, AirflowFailException)

    def test_no_retry_can_help(self, world):
        with pytest.raises(AirflowFailException):
            get("rows")

    def test_but_it_can_where_the_store_is_down(self, world):
        world.hands_over(rows=StorageUnavailableError("down"))
        with pytest.raises(StorageUnavailableError) as error:
            get("rows")
        assert not isinstance(error.value, AirflowFailException)


class TestInputsWithAValue:
    @pytest.mark.parametrize("value", ["value", None, [], 0])
    def test_what_was_handed_over_is_pulled(self, world, value):
        world.hands_over(rows=value)
        assert get("rows") is value
        assert world.pulled == [source_of("extract_rows").at]

    def test_a_default_gives_way_to_it(self, world):
        world.hands_over(rows=None)
        assert get("rows", default=3) is None

    @pytest.mark.parametrize("default", [3, None])
    def test_a_default_stands_in_for_what_was_not(self, world, default):
        world.hands_over(others=1)
        assert get("rows", default=default) is default
        assert world.pulled == []

    def test_a_run_that_nobody_triggered_takes_defaults(self, world):
        assert get("rows", default=3) == 3

    def test_a_placeholder_resolves_to_the_same(self, world):
        world.hands_over(rows="value")
        assert exclusive_input("rows").resolve({}) == "value"
        assert exclusive_input("absent", default=3).resolve({}) == 3


class TestSources:
    def test_a_test_value_lies_nowhere(self, world):
        world.hands_over(rows="value")
        with exclusive_input.overriding({"rows": 3}), pytest.raises(HandOverError, match="cannot be handed on"):
            find_source("rows")

    def test_what_was_not_handed_over_lies_nowhere(self, world):
        world.hands_over(others=1)
        with pytest.raises(HandOverError, match="was not handed 'rows'; it was handed 'others'"):
            find_source("rows")

    def test_a_source_is_found_and_not_pulled(self, world):
        world.hands_over(rows="value")
        assert find_source("rows") == source_of("extract_rows")
        assert world.pulled == []


class TestTestValues:
    def test_they_end_with_the_block(self, no_task):
        with exclusive_input.overriding({"rows": 3}):
            pass
        with pytest.raises(HandOverError, match="outside a running task"):
            get("rows")

    def test_they_end_with_an_error_too(self, no_task):
        with pytest.raises(KeyError), exclusive_input.overriding({"rows": 3}):
            raise KeyError
        with pytest.raises(HandOverError, match="outside a running task"):
            get("rows")

    def test_other_inputs_have_none(self, no_task):
        with exclusive_input.overriding({"rows": 3}), pytest.raises(HandOverError, match="'others'"):
            get("others")

    @pytest.mark.parametrize("value", [3, None])
    def test_no_task_needs_to_run(self, no_task, value):
        with exclusive_input.overriding({"rows": value}):
            assert get("rows") == exclusive_input("rows", default=4).resolve({}) == value

    def test_they_come_before_what_was_handed_over(self, world):
        world.hands_over(rows="value")
        with exclusive_input.overriding({"rows": 3}):
            assert get("rows") == 3
        assert get("rows") == "value"

    def test_an_inner_block_adds_to_the_outer_one(self, no_task):
        with exclusive_input.overriding({"one": 1, "two": 1}):
            with exclusive_input.overriding({"two": 2}):
                assert (get("one"), get("two")) == (1, 2)
            assert (get("one"), get("two")) == (1, 1)


def test_a_refusal_begins_with_the_line_of_the_dag():
    for declare in (lambda: exclusive_input(""), lambda: exclusive_input("rows")["part"]):
        with pytest.raises(InvalidScopeError) as refusal:
            declare()
        assert str(refusal.value).startswith(f"{__file__}:")
