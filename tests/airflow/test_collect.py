"""What a trigger brings back from its run: the results it names, if they let it, and for whom they are then."""

from __future__ import annotations

import re

import pytest
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunLink
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_exclusive import ExclusiveTriggerDagRunOperator, consumers, exclusive_input, exclusive_task
from airflow_provider_exclusive.access.hand_over import read_pointer
from airflow_provider_exclusive.exceptions import AccessDeniedError, HandOverError
from airflow_provider_exclusive.format.reference import is_reference_row
from tests.airflow.handing_over import Triggered
from tests.airflow.running import Run, a_dag, read_rows

LINK_KEY = TriggerDagRunLink().xcom_key


@exclusive_task(consumers=["hand_over"])
def extract():
    return "rows"


@pytest.fixture
def triggered():
    """A run with results of all kinds, which the trigger waits for."""
    with a_dag() as child:
        exclusive_task(consumers="caller", task_id="summarise")(lambda rows: f"{rows}!")(exclusive_input("rows"))
        exclusive_task(consumers=[], task_id="closed")(lambda: "secret")()
        task(task_id="silent")(lambda: None)()

        @task
        def skipped():
            raise AirflowSkipException

        skipped()
    return Triggered(child)


def collecting(triggered, collect, **kwargs):
    """Define the operator under test and what it hands over."""
    return ExclusiveTriggerDagRunOperator(
        task_id="hand_over", exclusive_keys={"rows": extract()}, collect=collect, **triggered.target, **kwargs
    )


def run_alone(triggered, collect, **kwargs) -> Run:
    with a_dag() as dag:
        collecting(triggered, collect, **kwargs)
    return Run(dag)


class TestResultsThatAreNotToBeHad:
    @pytest.fixture
    def errors(self):
        return []

    @pytest.fixture
    def fail(self, triggered, errors):
        """Run, expect the trigger to fail, and return the error."""

        def fail(collect, **kwargs):
            callback = lambda context: errors.append(context["exception"])  # noqa: E731  # it is an argument
            run = run_alone(triggered, collect, on_failure_callback=callback, **kwargs)
            assert run.states["hand_over"] == "failed"
            assert ("hand_over", -1, "return_value") not in run.xcom_rows()
            assert "secret" not in str(errors[0])
            return errors[0]

        return fail

    @pytest.mark.parametrize(
        ("where", "kind", "fragments"),
        [
            ("closed", AccessDeniedError, [".closed", "may be read by: nobody"]),
            ("silent", HandOverError, ["'silent'", "is 'success' and has not pushed 'return_value'"]),
            ("skipped", HandOverError, ["'skipped'", "is 'skipped' and has not pushed"]),
            (("summarise", "other"), HandOverError, ["'summarise'", "has not pushed 'other'"]),
            ("absent", HandOverError, ["'absent'", "does not exist, or was mapped"]),
        ],
    )
    def test_the_task_fails_and_says_why(self, triggered, fail, where, kind, fragments):
        error = fail({"fine": "summarise", "result": where})

        assert isinstance(error, kind), repr(error)
        for fragment in (*fragments, triggered.run_id):
            assert fragment in str(error)

    def test_a_child_that_fails_fails_the_trigger(self, fail):
        error = fail({"summary": "summarise"}, allowed_states=["failed"], failed_states=["success"])

        assert re.search(r"failed with failed state success: run manual__", str(error))

    def test_a_run_that_exists_already_is_not_waited_for(self, triggered, fail):
        triggered.run(conf={})

        assert "exists already" in str(fail({"summary": "summarise"}))

        run = run_alone(triggered, {"summary": "summarise"}, skip_when_already_exists=True)
        assert run.states["hand_over"] == "skipped"


class TestWhoReadsTheResults:
    def test_downstream_tasks_of_the_trigger_read_the_results(self):
        with a_dag() as child:
            exclusive_task(consumers="caller", task_id="summarise")(lambda rows: f"{rows}!")(exclusive_input("rows"))
            exclusive_task(consumers="caller", task_id="each")(lambda x: x * 2).expand(x=[1, 2, 3])
            exclusive_task(consumers="caller", task_id="pushed")(lambda ti=None: ti.xcom_push("nothing", None))()

            @task(task_id="open")
            def look(dag_run=None):
                trigger = read_pointer(dag_run.conf)
                while_waiting.update(read_rows(trigger.dag_id, trigger.run_id))
                return "open"

            look()
        triggered = Triggered(child)
        while_waiting, seen, refused = {}, [], []

        def intrude(ti):
            with pytest.raises(AccessDeniedError):
                ti.xcom_pull(task_ids="hand_over")
            refused.append(ti.task_id)

        results = {
            "summary": "summarise",
            "parts": ["each", "return_value"],
            "none": ("pushed", "nothing"),
            "open": "open",
        }
        with a_dag() as dag:
            trigger = collecting(triggered, results)
            read = PythonOperator(task_id="read", python_callable=seen.append, op_args=[trigger.output])
            read >> PythonOperator(task_id="intruder", python_callable=intrude)

        run = Run(dag)

        assert run.state == "success", run.states
        assert seen == [{"summary": "rows!", "parts": [2, 4, 6], "none": None, "open": "open"}]
        assert refused == ["intruder"]
        rows = run.xcom_rows()
        assert rows["hand_over", -1, "return_value"]["consumers"] == "read"
        assert rows["hand_over", -1, "trigger_run_id"] == triggered.run_id
        assert "rows!" not in str(run.rendered_fields("read"))
        assert str(while_waiting["hand_over", -1, LINK_KEY]).endswith(triggered.run_id)

    def test_a_scope_of_its_own_decides_who_reads_them(self, triggered):
        hooks = []
        scope = consumers("extract", then=lambda context: hooks.append(context["ti"].task_id))

        run = run_alone(triggered, {"summary": "summarise"}, pre_execute=scope)

        assert hooks == ["hand_over"]
        assert run.xcom_rows()["hand_over", -1, "return_value"]["consumers"] == "extract"

    def test_after_deferral_it_collects_and_a_user_hook_still_runs(self, triggered):
        hooks, seen = [], []
        with a_dag() as dag:
            trigger = collecting(
                triggered,
                {"summary": "summarise"},
                deferrable=True,
                poke_interval=0,
                pre_execute=lambda context: hooks.append(context["ti"].task_id),
            )
            PythonOperator(task_id="read", python_callable=seen.append, op_args=[trigger.output])

        run = Run(dag)

        assert run.state == "success", run.states
        assert seen == [{"summary": "rows!"}]
        assert set(hooks) == {"hand_over"}
        assert is_reference_row(run.xcom_rows()["hand_over", -1, "return_value"])

    def test_one_mapped_frame_comes_as_a_list(self):
        import pandas as pd

        frame, seen = pd.DataFrame({"a": [1, 2]}), []
        with a_dag() as child:
            exclusive_task(consumers="caller", task_id="summarise")(lambda x: frame).expand(x=[0])
        triggered = Triggered(child)
        with a_dag() as dag:
            trigger = collecting(triggered, {"summary": "summarise"})
            PythonOperator(task_id="read", python_callable=seen.append, op_args=[trigger.output])

        assert Run(dag).state == "success"
        assert [part.equals(frame) for part in seen[0]["summary"]] == [True]

    @pytest.mark.parametrize("is_mapped", [False, True])
    def test_what_default_args_say_of_scope_and_collect_holds(self, triggered, is_mapped):
        defaults = {"pre_execute": consumers("extract"), "collect": {"summary": "summarise"}}
        arguments = {"task_id": "hand_over", "trigger_dag_id": triggered.child.dag_id, "logical_date": triggered.when}
        with a_dag(default_args=defaults):
            arguments["exclusive_keys"] = {"rows": extract()}
            if is_mapped:
                trigger = ExclusiveTriggerDagRunOperator.partial(**arguments).expand(trigger_run_id=[triggered.run_id])
            else:
                trigger = ExclusiveTriggerDagRunOperator(**arguments, trigger_run_id=triggered.run_id)

        run = Run(trigger.dag)

        assert run.state == "success", run.states
        row = run.xcom_rows()["hand_over", 0 if is_mapped else -1, "return_value"]
        assert row["consumers"] == "extract"

    def test_a_mapped_trigger_collects_for_each_of_its_instances(self, triggered):
        seen = []
        with a_dag() as dag:
            trigger = ExclusiveTriggerDagRunOperator.partial(
                task_id="hand_over",
                exclusive_keys={"rows": extract()},
                collect={"summary": "summarise"},
                trigger_dag_id=triggered.child.dag_id,
                logical_date=triggered.when,
            ).expand(trigger_run_id=[triggered.run_id])
            PythonOperator(
                task_id="read", python_callable=lambda results: seen.extend(results), op_args=[trigger.output]
            )

        run = Run(dag)

        assert run.state == "success", run.states
        assert seen == [{"summary": "rows!"}]
        assert is_reference_row(run.xcom_rows()["hand_over", 0, "return_value"])
