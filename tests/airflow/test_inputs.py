"""A triggered run gets what it was handed, wherever it asks for it, and nothing that it was not handed."""

from __future__ import annotations

import datetime
import inspect
import uuid
from dataclasses import replace

import pytest
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseOperator, task, task_group
from airflow.sdk.exceptions import AirflowFailException
from jinja2 import UndefinedError

from airflow_provider_exclusive import (
    ExclusiveTriggerDagRunOperator,
    exclusive_input,
    exclusive_task,
    get_exclusive_input,
    wiring,
)
from airflow_provider_exclusive.access.hand_over import CONF_KEY, RECORD_KEY, to_pointer
from airflow_provider_exclusive.exceptions import (
    AccessDeniedError,
    EnvelopeError,
    HandOverError,
    HandOverWithdrawnError,
    InvalidScopeError,
    PayloadNotFoundError,
)
from airflow_provider_exclusive.execution_time import running_task
from airflow_provider_exclusive.format.reference import Reference
from tests.airflow.handing_over import Outcomes, Triggered, record_of
from tests.airflow.running import Run, a_dag, everything_kept, write_row


@exclusive_task(consumers=["*hand_over*"])
def extract(value="rows"):
    return value


@pytest.fixture
def outcomes():
    return Outcomes()


@pytest.fixture
def triggered(outcomes):
    """A run whose only task reads input ``rows``, once without and once with a default, and ``other``."""
    with a_dag() as child:
        outcomes.task("rows", "other")()
        outcomes.task(rows_or_default="unused")()
    return Triggered(child)


def hand_over(triggered, **keys) -> Run:
    """Run a parent that hands over what an exclusive task returns for each of ``keys``, or what such a task returns."""
    with a_dag() as parent:
        outputs = {
            name: value() if callable(value) else extract.override(task_id=f"extract_{name}")(value)
            for name, value in keys.items()
        }
        ExclusiveTriggerDagRunOperator(task_id="hand_over", exclusive_keys=outputs, **triggered.target)
    run = Run(parent)
    assert run.state == "success", run.states
    return run


class TestWhatWasNotHandedOver:
    def test_the_error_names_the_operator_call_and_is_not_retried(self, outcomes, triggered):
        hand_over(triggered, rows="rows", more="more")

        triggered.run()

        outcomes.refused(
            "other",
            HandOverError,
            triggered.run_id,
            "was not handed 'other'; it was handed 'more', 'rows'",
            f"ExclusiveTriggerDagRunOperator(task_id=…, trigger_dag_id='{triggered.child.dag_id}', "
            "exclusive_keys={'other': …})",
            "exclusive_input('other', default=…)",
        )
        assert isinstance(outcomes["other"], AirflowFailException)
        assert outcomes["rows"] == "rows"

    def test_a_run_that_nobody_triggered_was_handed_nothing(self, outcomes, triggered):
        triggered.run(conf={"mine": 1})

        outcomes.refused("rows", HandOverError, "it was handed nothing", "exclusive_keys={'rows': …}")

    def test_a_missing_argument_fails_the_task_at_once(self):
        errors = []
        with a_dag() as child:
            task(task_id="load", retries=3, on_failure_callback=lambda context: errors.append(context["exception"]))(
                lambda rows: None
            )(exclusive_input("rows"))

        run = Triggered(child).run(conf={})

        assert run.states == {"load": "failed"}
        assert isinstance(errors[0], HandOverError)

    @pytest.mark.parametrize(
        "pointer",
        [
            None,
            "rows",
            {},
            {"dag_id": "d", "run_id": "r", "task_id": "t"},
            {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": True},
        ],
    )
    def test_an_invalid_pointer_is_refused_despite_a_default(self, pointer):
        outcomes = Outcomes()
        with a_dag() as child:
            outcomes.task("plain", rows="default")()

        Triggered(child).run(conf={CONF_KEY: pointer})

        outcomes.refused("rows", HandOverError, "was not handed 'rows'", "written by hand", "Re-run the caller")
        outcomes.refused("plain", HandOverError, "points to a hand-over record that does not name this run")

    def test_a_dangling_pointer_is_refused_despite_a_default(self):
        outcomes = Outcomes()
        with a_dag() as child:
            outcomes.task("plain", rows="default")()

        Triggered(child).run(conf={CONF_KEY: {"dag_id": "no_such", "run_id": "r", "task_id": "t", "map_index": -1}})

        for name in ("rows", "plain"):
            said = (f"was not handed '{name}'", "task 't' of no_such", "never handed over anything")
            outcomes.refused(name, HandOverWithdrawnError, *said)

    def test_a_pointer_of_another_run_leads_to_nothing(self, outcomes, triggered):
        parent = hand_over(triggered, rows="a secret")
        genuine = triggered.dag_run.conf
        other = Triggered(triggered.child)

        for conf in (
            genuine,
            {CONF_KEY: genuine[CONF_KEY] | {"map_index": 0}},
            {CONF_KEY: genuine[CONF_KEY] | {"task_id": "extract_rows"}},
        ):
            other.run(conf=conf)
            outcomes.refused("rows", HandOverError, other.run_id)
        assert "a secret" not in str(outcomes)
        assert parent.run_id not in str(outcomes["other"])

    def test_handed_over_values_cannot_be_pulled_by_coordinate(self):
        pulled = []

        def pull(ti, params):
            pulled.append(ti.xcom_pull(**params["where"]))

        with a_dag() as child:
            PythonOperator(task_id="pull", python_callable=pull, params={"where": {}})
        triggered, errors = Triggered(child), []
        child.get_task("pull").on_failure_callback = [lambda context: errors.append(context["exception"])]
        parent = hand_over(triggered, rows="a secret")
        where = {"dag_id": parent.dag_id, "run_id": parent.run_id, "task_ids": "extract_rows"}

        triggered.run(conf={"where": where})
        assert pulled == []
        assert isinstance(errors[0], AccessDeniedError)
        assert "or hand the output to the reader's run" in str(errors[0])

    def test_a_record_written_by_another_hand_is_no_record(self, outcomes, triggered):
        parent = hand_over(triggered, rows="a secret")
        conf = triggered.dag_run.conf
        forged = record_of(parent).to_record()

        for record in (forged, {"keys": {}}, "garbage"):
            write_row(parent.dag_id, parent.run_id, "hand_over", record, key=RECORD_KEY)
            triggered.run(conf=conf)
            outcomes.refused("rows", EnvelopeError, "'hand_over'", "Clear and re-run task 'hand_over'")

    def test_triggering_another_run_withdraws_the_hand_over(self, outcomes, triggered):
        with a_dag() as dag:
            ExclusiveTriggerDagRunOperator(
                task_id="hand_over",
                exclusive_keys={"rows": extract()},
                trigger_dag_id=triggered.child.dag_id,
                trigger_run_id="{{ dag_run.conf['run_id'] }}",
                logical_date="{{ dag_run.conf['when'] }}",
            )
        another = Triggered(triggered.child)

        def trigger(one):
            Run(dag, **triggered.same_date, run_conf={"run_id": one.run_id, "when": one.when.isoformat()})

        trigger(triggered)
        triggered.run()
        assert outcomes["rows"] == "rows"

        trigger(another)
        triggered.run()

        outcomes.refused("rows", HandOverError, "withdrawn", "triggered another run since", "Re-run the caller")

    def test_outside_a_task_there_is_nothing_to_ask(self, mocker):
        mocker.patch.object(running_task, "_last_seen", None)

        with pytest.raises(
            HandOverError, match=r"outside a running task.*exclusive_input\.overriding\(\{'rows': …\}\)"
        ):
            get_exclusive_input("rows")

    @pytest.mark.parametrize("name", ["", None, 7])
    def test_a_name_that_is_none_is_refused_when_the_dag_is_parsed(self, name):
        with pytest.raises(InvalidScopeError, match="'rows'"):
            exclusive_input(name)


class TestSourcesThatChanged:
    def test_each_change_has_its_error_or_its_new_value(self, outcomes, triggered):
        parent = hand_over(triggered, rows="first")
        conf = triggered.dag_run.conf
        reference = Reference.from_row(parent.xcom_rows()["extract_rows", -1, "return_value"])
        store = wiring.current_store()

        def put(value, store=store, **changes):
            written = {"producer": reference.producer, "key": reference.key, "scope": reference.scope} | changes
            row = store.put(value, **written).to_row()
            write_row(parent.dag_id, parent.run_id, "extract_rows", row)

        put("second")
        triggered.run(conf=conf)
        assert outcomes["rows"] == "second"

        put("third", scope=replace(reference.scope, clauses=()))
        triggered.run(conf=conf)
        outcomes.refused("rows", AccessDeniedError, "nobody but its producer")

        put("fourth", key="another")
        triggered.run(conf=conf)
        outcomes.refused("rows", EnvelopeError, "copied there")

        long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        put("fifth" * 500, replace(store, clock=lambda: long_ago, ttl_seconds=60))
        triggered.run(conf=conf)
        outcomes.refused("rows", PayloadNotFoundError, "2020-01-01", "extract_rows")

        write_row(parent.dag_id, parent.run_id, "extract_rows", "planted")
        triggered.run(conf=conf)
        outcomes.refused("rows", EnvelopeError, "found a plain value", "extract_rows")

    def test_a_missing_source_is_an_error_despite_a_default(self):
        outcomes, pushed = Outcomes(), ["value"]
        with a_dag() as child:
            outcomes.task("parts", rows="default")()
        triggered = Triggered(child)
        with a_dag() as dag:
            source = exclusive_task(consumers="hand_over", task_id="source")(lambda: pushed[0])()
            parts = exclusive_task(consumers="hand_over", task_id="parts")(lambda x: pushed[0]).expand(x=[1])
            ExclusiveTriggerDagRunOperator(
                task_id="hand_over",
                exclusive_keys={"rows": source, "parts": parts},
                reset_dag_run=True,
                **triggered.target,
            )
        Run(dag, **triggered.same_date)
        triggered.run()
        assert outcomes == {"rows": "value", "parts": ["value"]}
        conf = triggered.dag_run.conf

        pushed[0] = None
        assert Run(dag, **triggered.same_date).state == "success"
        triggered.run(conf=conf)

        for name, task_id in {"rows": "source", "parts": "parts"}.items():
            outcomes.refused(
                name, HandOverError, f"handed '{name}'", "cleared since", f"Re-run task '{task_id}' of that run"
            )


class TestWhatWasHandedOver:
    def test_inputs_reach_every_argument_and_nothing_airflow_keeps(self, capfd, tmp_path):
        canary, seen = f"canary-{uuid.uuid4()}", {}

        class Query(BaseOperator):
            template_fields = ("query",)

            def __init__(self, query, **kwargs):
                super().__init__(**kwargs)
                self.query = query

            def execute(self, context):
                seen["field"] = self.query

        def keep(place):
            return lambda one, two=None: seen.update({place: (one, two)})

        with a_dag() as child:
            rows, default = exclusive_input("rows"), exclusive_input("absent", default=["default"])
            task(task_id="taskflow")(keep("taskflow"))(rows, default)
            task(task_id="nested")(keep("nested"))({"list": [1, rows]}, [{"deep": default}])
            task(task_id="partial")(lambda value, number: seen.update({f"partial_{number}": value})).partial(
                value=rows
            ).expand(number=[1, 2])
            PythonOperator(task_id="op_args", python_callable=keep("op_args"), op_args=[rows, "constant"])
            PythonOperator(
                task_id="jinja",
                python_callable=keep("jinja"),
                op_kwargs={"one": "{{ exclusive_input('rows') | upper }} {{ exclusive_input('absent', 'fallback') }}"},
            )
            BashOperator(
                task_id="bash",
                bash_command=f'printf "$ROWS" > {tmp_path}/bash',
                env={"ROWS": "{{ exclusive_input('rows') }}"},
            )
            Query(task_id="field", query={"where": rows})

            @task(on_success_callback=lambda context: seen.update(callback=get_exclusive_input("rows")))
            def code():
                seen["code"] = (get_exclusive_input("rows"), get_exclusive_input("absent", default=None))

            code()
        triggered = Triggered(child)
        # By a closure: an argument would be in the serialized Dag of the producer.
        hand_over(triggered, rows=exclusive_task(lambda: canary, task_id="extract_rows"))

        run = triggered.run()

        assert run.state == "success", run.states
        assert seen == {
            "taskflow": (canary, ["default"]),
            "nested": ({"list": [1, canary]}, [{"deep": ["default"]}]),
            "partial_1": canary,
            "partial_2": canary,
            "op_args": (canary, "constant"),
            "jinja": (f"{canary.upper()} fallback", None),
            "field": {"where": canary},
            "code": (canary, None),
            "callback": canary,
        }
        assert (tmp_path / "bash").read_text() == canary
        shown = "".join(capfd.readouterr())
        for kept in (everything_kept(), shown.encode()):
            assert canary.encode() not in kept
            assert canary.upper().encode() not in kept
        for task_id, field in {"taskflow": "op_args", "jinja": "op_kwargs", "bash": "env", "field": "query"}.items():
            assert "exclusive extract_rows['return_value']" in str(run.rendered_fields(task_id)[field])
        assert "constant" in str(run.rendered_fields("op_args")["op_args"])

    def test_mapped_plain_and_empty_outputs_arrive_as_they_are(self):
        outcomes = Outcomes()
        names = ("mapped", "plain", "plain_mapped", "none", "part")
        with a_dag() as child:
            outcomes.task(*names, none_or="default")()
        triggered = Triggered(child)
        with a_dag() as parent:
            pushed = exclusive_task(consumers="hand_over", task_id="pushed")(
                lambda ti=None: ti.xcom_push("none", None)
            )()
            several = exclusive_task(consumers="hand_over", task_id="several", multiple_outputs=True)(
                lambda: {"part": (1, 2), "rest": 3}
            )()
            keys = {
                "mapped": extract.expand(value=["a", "b", "c"]),
                "plain": task(task_id="plain")(lambda: {"plain": [1]})(),
                "plain_mapped": task(task_id="plain_mapped")(lambda x: x).expand(x=[1, 2]),
                "none": ("pushed", "none"),
                "none_or": pushed["none"],
                "part": several["part"],
            }
            ExclusiveTriggerDagRunOperator(task_id="hand_over", exclusive_keys=keys, **triggered.target)

        assert Run(parent).state == "success"
        triggered.run()

        assert outcomes == {
            "mapped": ["a", "b", "c"],
            "plain": {"plain": [1]},
            "plain_mapped": [1, 2],
            "none": None,
            "none_or": None,
            "part": (1, 2),
        }

    def test_the_instances_of_a_mapped_group_hand_over_their_own(self):
        outcomes = Outcomes()
        with a_dag() as child:
            outcomes.task("rows")()
        runs = [Triggered(child), Triggered(child)]
        with a_dag() as parent:

            @task_group
            def group(run):
                ExclusiveTriggerDagRunOperator(
                    task_id="hand_over",
                    trigger_dag_id=child.dag_id,
                    trigger_run_id=task(task_id="id")(lambda run: run[0])(run),
                    logical_date=task(task_id="date")(lambda run: run[1])(run),
                    exclusive_keys={"rows": extract(task(task_id="value")(lambda run: f"of {run[0]}")(run))},
                )

            group.expand(run=[[run.run_id, run.when.isoformat()] for run in runs])

        assert Run(parent).state == "success"

        for run in runs:
            run.run()
            assert outcomes["rows"] == f"of {run.run_id}"
        runs[1].run(conf=runs[0].dag_run.conf)
        outcomes.refused("rows", HandOverError)


class TestTestValues:
    def test_test_values_replace_inputs_while_the_block_runs(self, outcomes):
        seen = []
        with a_dag() as dag:
            task(task_id="taskflow")(lambda rows: seen.append(rows))(exclusive_input("rows"))
            PythonOperator(task_id="jinja", python_callable=seen.append, op_args=["{{ exclusive_input('other') }}"])
            outcomes.task(rows="default", absent="default")()

        with exclusive_input.overriding({"rows": 3, "other": 1}), exclusive_input.overriding({"other": None}):
            assert Run(dag).state == "success"
            assert get_exclusive_input("rows") == 3

        assert sorted(map(str, seen)) == ["3", "None"]
        assert outcomes == {"rows": 3, "absent": "default"}
        assert Run(dag).states["taskflow"] == "failed"

    @pytest.mark.parametrize("parsing", [{}, {"_AIRFLOW_PARSING_CONTEXT_TASK_ID": "write"}])
    def test_templates_know_inputs_once_any_component_parsed_a_dag(self, tmp_path, monkeypatch, mocker, parsing):
        mocker.patch.object(DAG, "get_template_env", inspect.unwrap(DAG.get_template_env))
        for name, value in parsing.items():
            monkeypatch.setenv(name, value)
        template = "{{ exclusive_input('rows') }}"
        with a_dag() as unparsed, pytest.raises(UndefinedError):
            unparsed.get_template_env().from_string(template).render()
        (tmp_path / "file.py").write_text("from airflow.sdk import DAG\ndag = DAG('parsed', schedule=None)")

        dag = BundleDagBag(tmp_path, bundle_name="bundle", bundle_path=tmp_path).dags["parsed"]

        with exclusive_input.overriding({"rows": "3 rows"}):
            assert dag.get_template_env().from_string(template).render() == "3 rows"

    def test_a_macro_of_the_dag_by_that_name_comes_first(self):
        dag = a_dag(user_defined_macros={"exclusive_input": lambda name: f"my {name}"})

        assert dag.get_template_env().from_string("{{ exclusive_input('rows') }}").render() == "my rows"


def test_a_pointer_holds_coordinates_only():
    identity = running_task.TaskIdentity("parent", "run", "hand_over", 3, "an id that is no coordinate")

    assert to_pointer(identity) == {"dag_id": "parent", "run_id": "run", "task_id": "hand_over", "map_index": 3}
