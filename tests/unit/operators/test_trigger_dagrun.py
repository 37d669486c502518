"""What the trigger writes down, asks Airflow for and takes back, in which order; no run is made."""

from __future__ import annotations

import warnings

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DagRunTriggerException

from airflow_provider_exclusive.access.hand_over import CONF_KEY, RECORD_KEY, HandOver, Source, to_pointer
from airflow_provider_exclusive.definitions.hook import ConsumersHook, consumers, find_hook
from airflow_provider_exclusive.definitions.inputs import exclusive_input
from airflow_provider_exclusive.exceptions import HandOverError, InvalidScopeError
from airflow_provider_exclusive.execution_time import dag_runs
from airflow_provider_exclusive.operators import outputs, trigger_dagrun, triggered_run, waiting
from airflow_provider_exclusive.operators.trigger_dagrun import ExclusiveTriggerDagRunOperator
from airflow_provider_exclusive.scopes.consumers import DOWNSTREAM
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity

ME = TaskIdentity("etl", "run-1", "hand_over", -1)
OTHER = TaskIdentity("etl", "run-2", "hand_over", -1)
ROWS = Source(Coordinate("etl", "run-1", "extract", -1, "return_value"), is_exclusive=False)
COLLECT = {"total": "summarise"}


class Running:
    """As much of a task instance as the operator uses; it notes what happens in order."""

    dag_id, run_id, task_id = "etl", "run-1", "hand_over"

    def __init__(self, happened, *, map_index=None, max_tries=0):
        self.happened, self.map_index, self.max_tries = happened, map_index, max_tries
        self.pushed = {}

    def xcom_push(self, key, value):
        self.pushed[key] = value
        self.happened.append(f"pushed {key}")


class World:
    """What the API server would do; each test says what is there."""

    def __init__(self):
        self.happened, self.withdrawn, self.requests, self.confs = [], [], [], {}
        self.answer = True

    def find_conf(self, dag_id, run_id):
        return self.confs.get(run_id)

    def trigger_run(self, request):
        self.happened.append("triggered")
        self.requests.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def withdraw_record(self, trigger):
        self.happened.append("withdrew the record")
        self.withdrawn.append(trigger)

    def wait(self, request, ti, log):
        self.happened.append("waited")

    def collect_one(self, name, where, **place):
        self.happened.append(f"collected {name}")
        return (where, place["dag_id"], place["run_id"])

    @property
    def deeds(self):
        """What happened, without the link of Airflow's own operator."""
        return [deed for deed in self.happened if not deed.startswith("pushed _link")]


@pytest.fixture(autouse=True)
def world(mocker):
    world = World()
    mocker.patch.object(triggered_run, "find_conf", world.find_conf)
    mocker.patch.object(waiting, "wait", world.wait)
    mocker.patch.object(trigger_dagrun, "trigger_run", world.trigger_run)
    mocker.patch.object(dag_runs, "withdraw_record", world.withdraw_record)
    mocker.patch.object(outputs, "collect_one", world.collect_one)
    return world


@pytest.fixture
def dag():
    with DAG("etl", schedule=None) as dag:
        EmptyOperator(task_id="extract")
        yield dag


def hand_over(**arguments):
    """The operator under test, with what seldom matters."""
    return ExclusiveTriggerDagRunOperator(
        **{"task_id": "hand_over", "trigger_dag_id": "child", "logical_date": None} | arguments
    )


@pytest.fixture
def execute(world, dag):
    """Define the operator, execute it, and return what it returns and the task instance."""

    def execute(*, max_tries=0, map_index=None, **arguments):
        keys = {} if "collect" in arguments else {"exclusive_keys": {"rows": "extract"}}
        ti = Running(world.happened, max_tries=max_tries, map_index=map_index)
        ti.result = hand_over(**keys | arguments).execute({"ti": ti, "task_instance": ti})
        return ti

    return execute


class TestRefusedArguments:
    @pytest.mark.parametrize("argument", [{"exclusive_keys": {"rows": "extract"}}, {"collect": COLLECT}])
    def test_the_key_of_the_pointer_in_conf(self, dag, argument):
        with pytest.raises(InvalidScopeError, match="conf contains the key 'exclusive', which is reserved"):
            hand_over(conf={CONF_KEY: 1}, **argument)

    def test_keys_and_collect_that_name_no_output(self, dag):
        with pytest.raises(InvalidScopeError, match="'extrcat'"):
            hand_over(exclusive_keys={"rows": "extrcat"})
        with pytest.raises(InvalidScopeError, match="collect must be a mapping"):
            hand_over(task_id="collecting", collect="summarise")

    def test_keys_of_a_mapped_trigger(self, dag):
        with pytest.raises(InvalidScopeError, match="'extrcat'"):
            ExclusiveTriggerDagRunOperator.partial(
                task_id="hand_over", trigger_dag_id="child", exclusive_keys={"rows": "extrcat"}
            )

    @pytest.mark.parametrize("argument", ["exclusive_keys", "collect", "pre_execute"])
    def test_what_a_mapped_trigger_would_expand(self, dag, argument):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the task was never mapped
            partial = ExclusiveTriggerDagRunOperator.partial(task_id="hand_over", trigger_dag_id="child")
            with pytest.raises(TypeError, match=f"unmappable or already specified.*{argument}"):
                partial.expand(**{argument: [{"rows": "extract"}]})
            del partial

    def test_that_key_is_the_users_where_nothing_is_handed_over(self, dag):
        assert hand_over(conf={CONF_KEY: 1}).conf == {CONF_KEY: 1}


class TestDefinition:
    def test_the_tasks_of_its_outputs_become_upstream(self, dag):
        assert hand_over(exclusive_keys={"rows": "extract"}).upstream_task_ids == {"extract"}

    def test_so_they_do_for_a_mapped_trigger(self, dag):
        mapped = ExclusiveTriggerDagRunOperator.partial(
            task_id="hand_over", trigger_dag_id="child", exclusive_keys={"rows": "extract"}
        ).expand(trigger_run_id=["one"])
        assert mapped.upstream_task_ids == {"extract"}

    def test_another_dag_may_be_given(self, dag):
        with DAG("other", schedule=None) as other:
            EmptyOperator(task_id="report")
        assert hand_over(exclusive_keys={"rows": "report"}, dag=other).upstream_task_ids == {"report"}

    def test_it_has_no_scope_where_nothing_is_collected(self, dag):
        assert find_hook(hand_over(exclusive_keys={"rows": "extract"})) is None

    def test_what_it_collects_is_for_its_downstream_tasks(self, dag):
        hook = find_hook(hand_over(collect=COLLECT))
        assert hook.declaration.by_key == {"*": (DOWNSTREAM,)}
        assert hook.declared_at.path == __file__

    def test_a_hook_of_the_users_is_kept_behind_that_scope(self, dag):
        assert find_hook(hand_over(collect=COLLECT, pre_execute=print)).then is print

    def test_a_scope_of_the_users_is_left_alone(self, dag):
        scope = consumers("extract")
        assert find_hook(hand_over(collect=COLLECT, pre_execute=scope)) is scope

    def test_nothing_of_its_outputs_is_rendered(self, dag):
        rows = exclusive_input("rows")
        trigger = hand_over(exclusive_keys={"rows": rows}, conf={"sum": "{{ 1 + 1 }}"})
        with exclusive_input.overriding({"rows": "a value"}):
            trigger.render_template_fields({})
        assert (trigger.exclusive_keys, trigger.conf) == ({"rows": rows}, {"sum": "2"})


def mapped(**arguments):
    arguments = {"task_id": "hand_over", "trigger_dag_id": "child"} | arguments
    return ExclusiveTriggerDagRunOperator.partial(**arguments).expand(trigger_run_id=["one"])


class TestDefaultArgs:
    @pytest.mark.parametrize("make", [hand_over, mapped])
    def test_the_scope_of_the_dag_is_kept(self, make):
        scope = consumers("load")
        with DAG("etl", schedule=None, default_args={"pre_execute": scope, "collect": COLLECT}):
            assert find_hook(make()) is scope

    @pytest.mark.parametrize("make", [hand_over, mapped])
    def test_so_is_that_of_a_task_group(self, make):
        scope = consumers("load")
        with DAG("etl", schedule=None), TaskGroup("group", default_args={"pre_execute": scope}):
            assert find_hook(make(collect=COLLECT)) == scope

    @pytest.mark.parametrize("make", [hand_over, mapped])
    def test_a_default_collect_brings_a_scope(self, make):
        with DAG("etl", schedule=None, default_args={"collect": COLLECT}):
            assert isinstance(find_hook(make()), ConsumersHook)

    def test_default_keys_of_a_mapped_trigger_hold(self, dag):
        trigger = mapped(default_args={"exclusive_keys": {"rows": "extract"}})
        assert trigger.partial_kwargs["exclusive_keys"]["rows"].operator.task_id == "extract"

    def test_those_of_a_given_dag_and_group_hold(self):
        scope = consumers("load")
        with DAG("etl", schedule=None) as dag:
            group = TaskGroup("group", default_args={"pre_execute": scope})
        assert find_hook(mapped(dag=dag, task_group=group, collect=COLLECT)) == scope

    def test_without_a_dag_there_are_none(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the task was never mapped
            partial = ExclusiveTriggerDagRunOperator.partial(task_id="hand_over", trigger_dag_id="child")
            assert (partial.kwargs["exclusive_keys"], partial.kwargs["collect"]) == ({}, None)
            del partial


class TestHandOversThatFail:
    def test_a_text_of_conf_with_the_reserved_key_is_refused(self, execute, world):
        with pytest.raises(InvalidScopeError, match="which is reserved") as refusal:
            execute(conf='{"exclusive": 1}')
        assert isinstance(refusal.value, AirflowFailException)
        assert world.deeds == []

    def test_a_conf_that_is_no_mapping_is_refused(self, execute, world):
        with pytest.raises(InvalidScopeError, match="conf is of type list; expected a mapping"):
            execute(conf="[1]")
        assert world.deeds == []

    def test_ids_that_are_all_taken_are_not_retried(self, execute, mocker):
        mocker.patch.object(triggered_run, "find_conf", return_value={})
        with pytest.raises(HandOverError, match="All 100 run ids") as refusal:
            execute()
        assert isinstance(refusal.value, AirflowFailException)

    def test_an_input_that_was_not_handed_over_fails(self, execute, world, mocker):
        mocker.patch.object(outputs, "locate", side_effect=HandOverError("not handed"))
        with pytest.raises(HandOverError, match="not handed") as refusal:
            execute()
        assert isinstance(refusal.value, AirflowFailException)
        assert world.deeds == []

    @pytest.mark.parametrize(("skip", "error"), [(False, AirflowFailException), (True, AirflowSkipException)])
    def test_a_run_of_somebody_else_fails_or_skips(self, execute, world, skip, error):
        world.confs["run-7"] = {CONF_KEY: to_pointer(OTHER)}
        with pytest.raises(error, match="exists already"):
            execute(trigger_run_id="run-7", skip_when_already_exists=skip)
        assert world.deeds == []

    def test_a_run_with_another_conf_is_not_taken_over(self, execute, world):
        world.confs["run-7"] = {CONF_KEY: to_pointer(ME), "a": 1}
        with pytest.raises(HandOverError, match="with another conf"):
            execute(trigger_run_id="run-7", conf={"a": 2})
        assert world.deeds == []

    @pytest.mark.parametrize("error", [ValueError("the server is down"), KeyboardInterrupt()])
    def test_the_record_is_withdrawn_if_triggering_fails(self, execute, world, error):
        world.answer = error
        with pytest.raises(type(error)):
            execute()
        assert world.deeds == [f"pushed {RECORD_KEY}", "triggered", "withdrew the record"]
        assert world.withdrawn == [ME]

    @pytest.mark.parametrize(("skip", "error"), [(False, AirflowFailException), (True, AirflowSkipException)])
    def test_so_it_is_if_the_run_was_made_meanwhile(self, execute, world, skip, error):
        world.answer = False
        with pytest.raises(error, match="run run-7 of child"):
            execute(trigger_run_id="run-7", skip_when_already_exists=skip)
        assert world.withdrawn == [ME]

    @pytest.mark.parametrize("is_there", [True, False])
    def test_only_a_run_of_its_own_is_reset(self, execute, world, is_there):
        if is_there:
            world.confs["run-7"] = {CONF_KEY: to_pointer(ME)}
        execute(trigger_run_id="run-7", reset_dag_run=True)
        assert [request.reset_dag_run for request in world.requests] == [is_there]

    def test_what_cannot_be_collected_is_not_retried(self, execute, mocker):
        mocker.patch.object(outputs, "collect_one", side_effect=HandOverError("not pushed"))
        with pytest.raises(HandOverError, match="not pushed") as refusal:
            execute(collect=COLLECT)
        assert isinstance(refusal.value, AirflowFailException)


class TestHandOvers:
    def test_without_arguments_of_ours_airflow_triggers(self, world, dag):
        ti = Running(world.happened)
        with pytest.raises(DagRunTriggerException) as request:
            hand_over(conf={"a": 1}).execute({"ti": ti})
        assert request.value.conf == {"a": 1}
        assert world.deeds == []

    def test_the_record_is_there_before_the_run(self, execute, world):
        execute()
        assert world.deeds == [f"pushed {RECORD_KEY}", "triggered", "pushed trigger_run_id"]

    def test_the_record_names_the_run_and_its_outputs(self, execute):
        ti = execute(trigger_run_id="run-7")
        assert ti.pushed[RECORD_KEY] == HandOver(ME, "child", "run-7", {"rows": ROWS})
        assert ti.pushed["trigger_run_id"] == "run-7"

    @pytest.mark.parametrize("conf", [None, {}, {"a": 1}])
    def test_the_run_points_to_the_record(self, execute, world, conf):
        execute(conf=conf)
        assert world.requests[0].conf == {**(conf or {}), CONF_KEY: to_pointer(ME)}

    def test_a_mapped_trigger_points_to_its_own(self, execute, world):
        execute(map_index=3)
        assert world.requests[0].conf[CONF_KEY]["map_index"] == 3

    def test_a_given_run_id_is_used(self, execute, world):
        execute(trigger_run_id="run-7")
        assert world.requests[0].dag_run_id == "run-7"

    def test_an_id_is_made_of_the_task_otherwise(self, execute, world):
        ti = execute(max_tries=2)
        expected = triggered_run.propose_id("child", ME, generation=2)
        assert world.requests[0].dag_run_id == ti.pushed["trigger_run_id"] == expected

    def test_an_earlier_trys_run_is_taken_over(self, execute, world):
        mine = triggered_run.propose_id("child", ME, generation=0)
        world.confs[mine] = {CONF_KEY: to_pointer(ME)}
        ti = execute()
        assert world.deeds == [f"pushed {RECORD_KEY}", "pushed trigger_run_id"]
        assert ti.pushed[RECORD_KEY].is_for("child", mine)
        assert ti.pushed["trigger_run_id"] == mine

    def test_it_is_triggered_again_if_it_is_to_be_reset(self, execute, world):
        world.confs["run-7"] = {CONF_KEY: to_pointer(ME)}
        execute(trigger_run_id="run-7", reset_dag_run=True)
        assert world.deeds == [f"pushed {RECORD_KEY}", "triggered", "pushed trigger_run_id"]
        assert world.requests[0].reset_dag_run is True

    def test_it_waits_only_if_asked_to(self, execute, world):
        execute()
        assert "waited" not in world.happened
        execute(task_id="waiting", wait_for_completion=True)
        assert world.happened[-1] == "waited"

    def test_it_returns_nothing_without_collect(self, execute):
        assert execute(wait_for_completion=True).result is None


class TestCollecting:
    def test_it_waits_first_and_returns_results_by_name(self, execute, world):
        ti = execute(collect={"total": "summarise", "part": ("count", "rows")}, trigger_run_id="run-7")
        assert world.deeds[-3:] == ["waited", "collected total", "collected part"]
        assert ti.result == {
            "total": (("summarise", "return_value"), "child", "run-7"),
            "part": (("count", "rows"), "child", "run-7"),
        }

    def test_a_run_of_an_earlier_try_is_waited_for(self, execute, world):
        world.confs["run-7"] = {CONF_KEY: to_pointer(ME)}
        execute(collect=COLLECT, trigger_run_id="run-7")
        assert world.deeds[-2:] == ["waited", "collected total"]
        assert "triggered" not in world.deeds


class TestAfterDeferring:
    def complete(self, trigger, state):
        event = ("the trigger", {"run_ids": ["run-7"], "run-7": state})
        return trigger.execute_complete({"ti": Running([])}, event)

    def test_a_failed_run_fails_the_task(self, dag, world):
        with pytest.raises(Exception, match="child failed with failed states"):
            self.complete(hand_over(collect=COLLECT), "failed")
        assert world.happened == []

    def test_the_results_of_that_run_are_collected(self, dag):
        assert self.complete(hand_over(collect=COLLECT), "success") == {
            "total": (("summarise", "return_value"), "child", "run-7")
        }

    def test_without_collect_nothing_is(self, dag, world):
        assert self.complete(hand_over(exclusive_keys={"rows": "extract"}), "success") is None
        assert world.happened == []


class TestWithoutAScheduler:
    """In a process that runs a test: then the operator has to wait itself, whatever it hands over."""

    @pytest.fixture(autouse=True)
    def looked_for(self, mocker):
        looked_for = []
        mocker.patch.object(waiting, "is_run_here", return_value=True)
        mocker.patch.object(waiting, "require_dag", lambda request: looked_for.append(request.trigger_dag_id))
        return looked_for

    def test_a_trigger_that_hands_nothing_over_waits_itself(self, execute, world, looked_for):
        execute(exclusive_keys=None, wait_for_completion=True)
        assert world.deeds == ["triggered", "pushed trigger_run_id", "waited"]
        assert looked_for == ["child"]
        assert CONF_KEY not in (world.requests[0].conf or {})

    def test_it_fails_if_the_run_exists(self, execute, world):
        world.answer = False
        with pytest.raises(AirflowFailException, match="it exists already"):
            execute(exclusive_keys=None, wait_for_completion=True)

    def test_a_trigger_that_does_not_wait_stays_airflows(self, execute, looked_for):
        with pytest.raises(DagRunTriggerException):
            execute(exclusive_keys=None)
        assert looked_for == []

    def test_a_child_that_is_nowhere_stops_it_before_the_record(self, execute, world, mocker):
        mocker.patch.object(waiting, "require_dag", side_effect=HandOverError("nowhere"))
        with pytest.raises(HandOverError, match="nowhere"):
            execute(collect=COLLECT)
        assert world.deeds == []

    def test_a_hand_over_without_waiting_needs_no_dag_here(self, execute, looked_for):
        execute()
        assert looked_for == []
