"""An opened exclusive value appears nowhere in what Airflow keeps or logs about a task."""

from __future__ import annotations

import uuid

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import (
    PythonOperator,
    ShortCircuitOperator,
)
from airflow.sdk import BaseOperator, task

from airflow_provider_exclusive import consumers, exclusive_task
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.execution_time import redaction
from tests.airflow.running import Run, a_dag, everything_kept


@pytest.fixture
def canary():
    return f"canary-{uuid.uuid4()}"


@pytest.fixture
def concealed(canary, capfd):
    """Run a Dag and check that the canary reached its readers and nothing else."""

    def run(dag, seen: list, **kwargs) -> Run:
        finished = Run(dag, **kwargs)
        output = "".join(capfd.readouterr())
        assert finished.state == "success", output[-3000:]
        assert canary in str(seen)
        assert canary.encode() not in everything_kept()
        assert canary not in output
        return finished

    return run


@pytest.fixture
def extract(canary):
    @exclusive_task
    def extract():
        return canary

    return extract


def test_a_taskflow_argument_is_withheld_and_named(extract, concealed):
    seen = []
    with a_dag() as dag:

        @task
        def load(value, limit):
            seen.append(value)

        load({"nested": [extract()]}, limit=3)

    run = concealed(dag, seen)

    fields = run.rendered_fields("load")
    assert "extract['return_value']" in str(fields["op_args"])
    assert fields["op_kwargs"] == {"limit": 3}


def test_jinja_is_withheld(extract, concealed):
    seen = []
    with a_dag() as dag:
        value = extract()
        load = PythonOperator(
            task_id="load",
            python_callable=lambda text: seen.append(text),
            op_kwargs={"text": "got {{ ti.xcom_pull(task_ids='extract') | upper | lower }}"},
        )
        value >> load

    fields = concealed(dag, seen).rendered_fields("load")

    assert "withheld" in fields["op_kwargs"]["text"]
    assert "extract['return_value']" in fields["op_kwargs"]["text"]


def test_op_args_of_a_classic_operator_are_withheld(canary, concealed):
    seen = []
    with a_dag() as dag:
        extract = PythonOperator(task_id="extract", python_callable=lambda: canary, pre_execute=consumers("load"))
        PythonOperator(task_id="load", python_callable=seen.append, op_args=[extract.output])

    concealed(dag, seen)


def test_partial_arguments_are_withheld(extract, concealed):
    seen = []
    with a_dag() as dag:

        @task
        def load(value, number):
            seen.append(value)

        load.partial(value=extract()).expand(number=[1, 2])

    fields = concealed(dag, seen).rendered_fields("load", 1)

    assert "withheld" in str(fields)


def test_expanded_arguments_and_their_label_are_withheld(canary, concealed):
    seen = []
    with a_dag() as dag:

        @exclusive_task
        def extract():
            return [canary + "-0", canary + "-1"]

        @task(map_index_template="{{ task.op_kwargs['value'] }}")
        def load(value):
            seen.append(value)

        load.expand(value=extract())

    run = concealed(dag, seen)

    assert run.label("load", 1) == "1"


def test_expand_kwargs_are_withheld(canary, concealed):
    seen = []
    with a_dag() as dag:

        @exclusive_task
        def extract():
            return [{"op_kwargs": {"value": canary}}]

        PythonOperator.partial(task_id="load", python_callable=lambda value: seen.append(value)).expand_kwargs(
            extract()
        )

    concealed(dag, seen)


def test_a_label_that_pulls_by_itself_is_withheld(extract, concealed):
    seen = []
    with a_dag() as dag:

        @task(map_index_template="{{ ti.xcom_pull(task_ids='extract') }}")
        def load(number, ti=None):
            seen.append(ti.xcom_pull(task_ids="extract"))

        extract() >> load.expand(number=[1])

    run = concealed(dag, seen)

    assert run.label("load", 0) == "0"


def test_a_label_rendered_before_any_value_was_opened_stays(extract, concealed):
    seen = []
    with a_dag() as dag:

        @task(map_index_template="number {{ task.op_kwargs['number'] }}")
        def load(number, ti=None):
            seen.append(ti.xcom_pull(task_ids="extract"))

        extract() >> load.expand(number=[7])

    assert concealed(dag, seen).label("load", 0) == "number 7"


def test_a_value_pulled_in_execute_is_redacted_in_stored_fields(extract, concealed):
    seen = []

    class SqlLike(BaseOperator):
        template_fields = ("sql",)
        overwrite_rtif_after_execution = True

        def __init__(self, sql, **kwargs):
            super().__init__(**kwargs)
            self.sql = sql

        def execute(self, context):
            self.sql = "select '" + context["ti"].xcom_pull(task_ids="extract") + "'"
            seen.append(self.sql)

    with a_dag() as dag:
        extract() >> SqlLike(task_id="load", sql="select 1")

    fields = concealed(dag, seen).rendered_fields("load")

    assert "withheld" in fields["sql"]


def test_an_object_rendered_in_place_is_withheld(extract, concealed):
    seen = []

    class Query:
        template_fields = ("text",)

        def __init__(self, text):
            self.text = text

        def __repr__(self):
            return f"Query({self.text})"

    class Runner(BaseOperator):
        template_fields = ("query",)

        def __init__(self, query, **kwargs):
            super().__init__(**kwargs)
            self.query = query

        def execute(self, context):
            seen.append(str(self.query))

    with a_dag() as dag:
        value = extract()
        value >> Runner(task_id="load", query=Query("{{ ti.xcom_pull(task_ids='extract') }}"))

    concealed(dag, seen)


def test_task_bash_still_renders_and_is_withheld(extract, canary, tmp_path, capfd):
    target = tmp_path / "out"
    with a_dag() as dag:

        @task.bash(env={"SECRET": "{{ ti.xcom_pull(task_ids='extract') }}"})
        def load():
            return f"printf '%s {{{{ ti.task_id }}}}' \"$SECRET\" > {target}"

        extract() >> load()

    run = Run(dag)

    assert run.state == "success"
    assert target.read_text() == f"{canary} load"
    assert canary.encode() not in everything_kept()
    assert canary not in "".join(capfd.readouterr())
    assert "withheld" in run.rendered_fields("load")["bash_command"]


def test_a_bash_operator_gets_its_value_and_shows_none(extract, canary, tmp_path):
    target = tmp_path / "out"
    with a_dag() as dag:
        value = extract()
        BashOperator(task_id="load", bash_command=f'printf "$X" > {target}', env={"X": value})

    run = Run(dag)

    assert target.read_text() == canary
    assert canary.encode() not in everything_kept()
    fields = run.rendered_fields("load")
    assert fields["bash_command"] == f'printf "$X" > {target}'
    assert "extract['return_value']" in fields["env"]["X"]


class TestLogLines:
    def test_the_return_value_of_an_exclusive_task_is_not_logged(self, canary, concealed):
        seen = [canary]
        with a_dag() as dag:

            @exclusive_task
            def extract():
                return canary

            extract()

        concealed(dag, seen)

    def test_nor_that_of_a_classic_operator(self, canary, concealed):
        seen = [canary]
        with a_dag() as dag:
            PythonOperator(task_id="extract", python_callable=lambda: canary, pre_execute=consumers([]))

        concealed(dag, seen)

    @pytest.mark.parametrize("taskflow", [True, False])
    def test_nor_the_condition_of_a_short_circuit(self, canary, concealed, taskflow):
        seen = [canary]
        with a_dag() as dag:
            if taskflow:
                task.short_circuit(pre_execute=consumers([]))(lambda: canary).override(task_id="check")()
            else:
                ShortCircuitOperator(task_id="check", python_callable=lambda: canary, pre_execute=consumers([]))

        concealed(dag, seen)


def test_a_plain_task_shows_its_fields_as_ever(canary):
    with a_dag() as dag:

        @task
        def extract():
            return canary

        @task
        def load(value): ...

        load(extract())

    run = Run(dag)

    assert run.rendered_fields("load")["op_args"] == [canary]


class TestWrappedFunctions:
    @pytest.fixture
    def changed_airflow(self, mocker):
        from airflow.sdk.execution_time import task_runner

        def with_another_parameter(task, more): ...

        mocker.patch.object(task_runner, "_serialize_rendered_fields", with_another_parameter)

    def test_a_changed_airflow_is_refused_by_name(self, changed_airflow):
        with pytest.raises(ConfigurationError, match="_serialize_rendered_fields"):
            redaction.prepare()

    def test_no_exclusive_value_is_opened_on_a_changed_airflow(self, extract, changed_airflow):
        refused = []
        with a_dag() as dag:

            @task
            def load(ti=None):
                with pytest.raises(ConfigurationError, match="Refusing to decrypt") as caught:
                    ti.xcom_pull(task_ids="extract")
                refused.append(caught)

            extract() >> load()

        # The fields of the tasks themselves are rendered by the changed function, so only the reader matters here.
        from airflow.sdk.execution_time import task_runner

        task_runner._serialize_rendered_fields = _accepts_anything
        Run(dag)

        assert len(refused) == 1


def _accepts_anything(task, more=None):
    return {}
