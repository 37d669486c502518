"""In the place of Airflow's TriggerDagRunOperator, the exclusive one does all that its own tests ask of it."""

from __future__ import annotations

import datetime
import importlib.metadata
from types import SimpleNamespace

import pytest
from airflow.models.dagrun import DagRun
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import DagIsPaused, TriggerDagRunLink, TriggerDagRunOperator
from airflow.providers.standard.utils import openlineage
from airflow.sdk.exceptions import AirflowException, DagRunTriggerException
from airflow.utils.session import create_session
from airflow.utils.types import DagRunType
from sqlalchemy import select

from airflow_provider_exclusive import ExclusiveTriggerDagRunOperator, exclusive_task
from airflow_provider_exclusive.access.hand_over import CONF_KEY, RECORD_KEY
from airflow_provider_exclusive.operators import trigger_dagrun, triggered_run, waiting
from tests.airflow.handing_over import Triggered
from tests.airflow.running import Run, a_dag

WHEN = datetime.datetime(2021, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
ENDED = "airflow.providers.standard.triggers.external_task.DagStateTrigger"
PARENT = {"parentRunId": "1", "parentJobName": "job", "parentJobNamespace": "ns"}
LINK_KEY = TriggerDagRunLink().xcom_key


class RecordingTaskInstance:
    """As much of a running task instance as the operator uses; keeps what is pushed."""

    dag_id, run_id, task_id, map_index, max_tries = "parent", "run", "hand_over", None, 0

    def __init__(self, *, paused_dag: str | None = None) -> None:
        self.paused_dag = paused_dag
        self.pushed: dict[str, object] = {}

    def xcom_push(self, key, value):
        self.pushed[key] = value

    def get_dag(self, dag_id):
        return SimpleNamespace(dag_id=dag_id, is_paused=dag_id == self.paused_dag)


@pytest.fixture(params=["without arguments of ours", "handing over"])
def create(request):
    """Create the operator, as Airflow's own would be created and with an output to hand over."""

    def create(**kwargs):
        with a_dag():
            if request.param == "handing over":
                kwargs["exclusive_keys"] = {"rows": EmptyOperator(task_id="extract").output}
            return ExclusiveTriggerDagRunOperator(task_id="hand_over", trigger_dag_id="child", **kwargs)

    return create


TRIGGERED: list[DagRunTriggerException] = []


@pytest.fixture(autouse=True)
def no_supervisor(mocker, request):
    """Where no task runner is: nothing exists yet, and what is triggered or waited for is recorded."""
    if request.cls is TestInADag:
        return
    TRIGGERED.clear()
    mocker.patch.object(triggered_run, "find_conf", return_value=None)
    mocker.patch.object(trigger_dagrun, "trigger_run", lambda request: TRIGGERED.append(request) or True)
    mocker.patch.object(waiting, "wait")


def request_of(operator, ti=None) -> DagRunTriggerException:
    """Execute ``operator`` and return what it asks Airflow to do, with the user's part of ``conf``."""
    ti = ti or RecordingTaskInstance()
    context = {"ti": ti, "task_instance": ti}
    if not operator.exclusive_keys:
        with pytest.raises(DagRunTriggerException) as caught:
            operator.execute(context)
        assert RECORD_KEY not in ti.pushed
        return caught.value
    operator.execute(context)
    request = TRIGGERED.pop()
    assert ti.pushed[RECORD_KEY].is_for(request.trigger_dag_id, request.dag_run_id)
    assert ti.pushed["trigger_run_id"] == request.dag_run_id
    request.conf = {name: value for name, value in request.conf.items() if name != CONF_KEY} or operator.conf
    return request


def event_of(state: str, *run_ids: str) -> tuple[str, dict]:
    return ENDED, {"run_ids": list(run_ids), **dict.fromkeys(run_ids, state)}


class TestWhatIsRequested:
    @pytest.mark.parametrize("conf", ["{'single': 'quotes'}", {"when": WHEN}, "not JSON"])
    def test_a_conf_that_is_no_json_is_refused(self, create, conf):
        with pytest.raises(ValueError, match="conf parameter should be JSON Serializable"):
            create(conf=conf).execute({"ti": RecordingTaskInstance()})

    def test_a_logical_date_of_a_wrong_type_is_refused_when_it_runs(self, create):
        operator = create(logical_date=12345)

        with pytest.raises(TypeError, match=r"Expected str, datetime\.datetime, or None"):
            operator.execute({"ti": RecordingTaskInstance()})

    def test_an_invalid_run_after_type_is_refused_at_parse_time(self, create):
        with pytest.raises(TypeError, match="run_after"):
            create(run_after=12345)

    def test_a_paused_dag_is_refused_if_asked_to(self, create):
        paused = RecordingTaskInstance(paused_dag="child")

        with pytest.raises(DagIsPaused, match="Dag child is paused"):
            create(fail_when_dag_is_paused=True).execute({"ti": paused})
        assert paused.pushed == {}

        assert request_of(create(fail_when_dag_is_paused=True)).trigger_dag_id == "child"
        assert request_of(create(), paused).trigger_dag_id == "child"

    def test_what_is_not_said_has_airflows_defaults(self, create):
        operator = create()

        request = request_of(operator)

        assert request.trigger_dag_id == "child"
        assert request.conf is None
        assert abs(request.logical_date - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)
        assert request.dag_run_id == operator.trigger_run_id
        # A retry must find the run that hands over, so its id does not depend on the time.
        expected = "exclusive__" if operator.exclusive_keys else f"manual__{request.logical_date.isoformat()}"
        assert request.dag_run_id.startswith(expected)
        assert (request.reset_dag_run, request.skip_when_already_exists) == (False, False)
        assert (request.wait_for_completion, request.deferrable, request.poke_interval) == (False, False, 60)
        assert (request.allowed_states, request.failed_states) == (["success"], ["failed"])
        assert (request.run_after, request.note) == (None, None)

    def test_what_is_said_is_passed_on(self, create):
        operator = create(
            trigger_run_id="my_run",
            conf={"foo": "bar"},
            logical_date=WHEN,
            reset_dag_run=False,
            skip_when_already_exists=True,
            wait_for_completion=True,
            deferrable=True,
            poke_interval=7,
            allowed_states=["queued"],
            failed_states=[],
            note="a note",
        )

        request = request_of(operator)

        assert (request.dag_run_id, request.conf, request.logical_date) == ("my_run", {"foo": "bar"}, WHEN)
        assert request.skip_when_already_exists
        assert (request.wait_for_completion, request.deferrable, request.poke_interval) == (True, True, 7)
        assert (request.allowed_states, request.failed_states) == (["queued"], [])
        assert request.note == "a note"

    @pytest.mark.parametrize("run_after", [WHEN, WHEN.isoformat()])
    def test_a_run_after_alone_leaves_no_logical_date(self, create, run_after):
        operator = create(run_after=run_after)

        request = request_of(operator)

        assert (request.run_after, request.logical_date) == (WHEN, None)
        if operator.exclusive_keys:
            return
        expected = DagRun.generate_run_id(run_type=DagRunType.MANUAL, logical_date=None, run_after=WHEN)
        assert request.dag_run_id.rsplit("_", 1)[0] == expected.rsplit("_", 1)[0]

    def test_a_run_without_logical_date_is_possible(self, create):
        assert request_of(create(logical_date=None)).logical_date is None
        assert request_of(create(logical_date=WHEN.isoformat())).logical_date == WHEN

    def test_a_conf_of_json_text_is_read(self, create):
        assert request_of(create(conf='{"foo": "bar"}')).conf == {"foo": "bar"}

    def test_without_a_context_it_still_requests_the_run(self):
        operator = ExclusiveTriggerDagRunOperator(task_id="trigger", trigger_dag_id="child", conf={"foo": "bar"})

        with pytest.raises(DagRunTriggerException) as caught:
            operator.execute(context={})

        assert caught.value.conf == {"foo": "bar"}

    def test_the_link_to_the_run_is_there_before_the_run_is(self, create):
        ti = RecordingTaskInstance()

        request_of(create(trigger_run_id="my_run"), ti)

        assert ti.pushed[LINK_KEY].endswith("/dags/child/runs/my_run")


class TestOpenLineage:
    @pytest.fixture
    def accessible(self, mocker):
        mocker.patch.object(openlineage, "_is_openlineage_provider_accessible", return_value=True)
        mocker.patch.object(openlineage, "_get_openlineage_parent_info", return_value=PARENT)

    @pytest.mark.parametrize("conf", [None, {}, {"foo": "bar"}])
    def test_the_parent_is_added_to_conf_unless_told_not_to(self, accessible, create, conf):
        assert request_of(create(conf=conf)).conf == {**(conf or {}), "openlineage": PARENT}
        assert request_of(create(conf=conf, openlineage_inject_parent_info=False)).conf == conf

    def test_without_the_provider_conf_stays(self, create):
        assert request_of(create(conf={"foo": "bar"})).conf == {"foo": "bar"}

    @pytest.mark.parametrize(("version", "is_new_enough"), [("2.7.9", False), ("2.8.0", True)])
    def test_an_old_provider_leaves_conf_alone(self, create, mocker, version, is_new_enough):
        mocker.patch.object(openlineage, "_is_openlineage_provider_accessible", return_value=True)
        mocker.patch.object(importlib.metadata, "version", return_value=version)
        if is_new_enough:
            mocker.patch.object(openlineage, "_get_openlineage_parent_info", return_value=PARENT)

        conf = request_of(create(conf={"foo": "bar"})).conf

        assert conf == {"foo": "bar", **({"openlineage": PARENT} if is_new_enough else {})}

    @pytest.mark.parametrize("error", [ValueError, RuntimeError, Exception])
    def test_an_error_leaves_conf_alone(self, accessible, create, mocker, error):
        def fail(**kwargs):
            raise error

        mocker.patch.object(openlineage, "_inject_openlineage_parent_info_to_dagrun_conf", fail)

        assert request_of(create(conf={"foo": "bar"})).conf == {"foo": "bar"}


class TestAfterDeferral:
    def test_a_failed_state_fails_the_task(self, create):
        with pytest.raises(AirflowException, match="failed with failed state"):
            create().execute_complete({}, event_of("failed", "run_1"))

    def test_an_event_of_another_form_is_refused(self, create):
        with pytest.raises(ValueError, match="too many values to unpack"):
            create().execute_complete({}, {"dag_id": "child", "run_ids": ["run_1"], "run_1": "success"})

    def test_an_allowed_state_ends_the_task_and_returns_the_run_id(self, create):
        operator = create(failed_states=[])
        assert operator.trigger_run_id is None

        assert operator.execute_complete({}, event_of("success", "run_1")) is None

        assert operator.trigger_run_id == "run_1"

    def test_no_state_fails_where_none_is_said_to(self, create):
        assert create(failed_states=[]).execute_complete({}, event_of("failed", "run_1")) is None


class TestInADag:
    @pytest.fixture
    def triggered(self):
        with a_dag() as child:
            EmptyOperator(task_id="nothing")
        return Triggered(child)

    @pytest.fixture(params=["without arguments of ours", "handing over"])
    def ours(self, request):
        """Return a way to make our own arguments in the Dag that is being defined."""

        def ours():
            if request.param != "handing over":
                return {}

            @exclusive_task
            def extract():
                return "rows"

            return {"exclusive_keys": {"rows": extract()}}

        return ours

    def runs_of(self, triggered) -> dict[str, DagRun]:
        with create_session() as session:
            found = session.scalars(select(DagRun).where(DagRun.dag_id == triggered.child.dag_id))
            return {run.run_id: run for run in found}

    def test_a_run_that_exists_fails_or_skips_as_asked(self, triggered, ours):
        with a_dag() as dag:
            arguments = {**ours(), **triggered.target, "trigger_rule": "all_done"}
            (
                ExclusiveTriggerDagRunOperator(task_id="first", **arguments)
                >> ExclusiveTriggerDagRunOperator(task_id="second", **arguments)
                >> ExclusiveTriggerDagRunOperator(task_id="third", skip_when_already_exists=True, **arguments)
            )

        run = Run(dag)

        assert run.states["first"] == "success"
        assert (run.states["second"], run.states["third"]) == ("failed", "skipped")
        assert list(self.runs_of(triggered)) == [triggered.run_id]

    def test_a_run_that_exists_is_reset_if_asked_to(self, triggered):
        triggered.run(conf={"old": 1})
        assert triggered.dag_run.state == "success"
        with a_dag() as dag:
            ExclusiveTriggerDagRunOperator(task_id="again", reset_dag_run=True, conf={"new": 1}, **triggered.target)

        assert Run(dag).state == "success"

        assert triggered.dag_run.state == "queued"
        assert triggered.dag_run.conf == {"old": 1}

    def test_it_waits_for_the_states_that_it_is_told(self, triggered, ours):
        with a_dag() as dag:
            arguments = ours() | {
                "trigger_dag_id": triggered.child.dag_id,
                "logical_date": None,
                "wait_for_completion": True,
                "poke_interval": 0,
            }
            for task_id, states in {
                "ends": {"allowed_states": ["queued"]},
                "fails": {"failed_states": ["queued"]},
            }.items():
                for kind, deferrable in {"": False, "_deferred": True}.items():
                    name = task_id + kind
                    ExclusiveTriggerDagRunOperator(
                        task_id=name, trigger_run_id=name, deferrable=deferrable, **states, **arguments
                    )

        states = Run(dag).states

        assert {task_id: states[task_id] for task_id in states if task_id != "extract"} == {
            "ends": "success",
            "ends_deferred": "success",
            "fails": "failed",
            "fails_deferred": "failed",
        }

    def test_templates_note_dates_and_link_reach_the_run(self, triggered, ours):
        with a_dag() as dag:
            operator = ExclusiveTriggerDagRunOperator(
                task_id="trigger",
                trigger_dag_id="{{ params.child }}",
                params={"child": triggered.child.dag_id},
                trigger_run_id="by_{{ ti.task_id }}",
                conf={"nested": ["{{ ti.task_id }}"], "number": 1},
                logical_date=WHEN,
                run_after=WHEN + datetime.timedelta(days=1),
                note="a note",
                **ours(),
            )

        run = Run(dag)

        assert run.state == "success"
        dag_run = self.runs_of(triggered)["by_trigger"]
        assert {name: dag_run.conf[name] for name in dag_run.conf if name != CONF_KEY} == {
            "nested": ["trigger"],
            "number": 1,
        }
        assert (dag_run.logical_date, dag_run.run_after) == (WHEN, WHEN + datetime.timedelta(days=1))
        rows = run.xcom_rows()
        assert rows["trigger", -1, "trigger_run_id"] == "by_trigger"
        assert rows["trigger", -1, LINK_KEY].endswith(f"/dags/{triggered.child.dag_id}/runs/by_trigger")
        assert [type(link) for link in operator.operator_extra_links] == [TriggerDagRunLink]
        assert run.rendered_fields("trigger")["trigger_run_id"] == "by_trigger"

    def test_it_maps_over_its_arguments(self, triggered, ours):
        with a_dag() as dag:
            ExclusiveTriggerDagRunOperator.partial(
                task_id="trigger", trigger_dag_id=triggered.child.dag_id, logical_date=None, **ours()
            ).expand(trigger_run_id=["one", "two"])
            ExclusiveTriggerDagRunOperator.partial(
                task_id="by_kwargs", trigger_dag_id=triggered.child.dag_id, logical_date=None
            ).expand_kwargs([{"trigger_run_id": "three", "conf": {"x": 3}}])

        run = Run(dag)

        assert run.state == "success", run.states
        runs = self.runs_of(triggered)
        assert sorted(runs) == ["one", "three", "two"]
        assert runs["three"].conf == {"x": 3}
        assert run.xcom_rows()["trigger", 1, "trigger_run_id"] == "two"


def test_everything_of_airflows_own_class_is_there():
    ours, theirs = ExclusiveTriggerDagRunOperator, TriggerDagRunOperator

    assert issubclass(ours, theirs)
    assert set(theirs.template_fields) < set(ours.template_fields)
    assert (ours.template_fields_renderers, ours.ui_color, ours.template_ext) == (
        theirs.template_fields_renderers,
        theirs.ui_color,
        theirs.template_ext,
    )
