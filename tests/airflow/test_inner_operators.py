"""An operator that another task runs inside: its lines are the task's, and a scope of its own does not hold."""

from __future__ import annotations

import uuid

import pytest
from airflow.providers.standard.operators.python import PythonOperator, ShortCircuitOperator
from airflow.sdk import BaseOperator, task

from airflow_provider_exclusive import consumers, exclusive_task
from airflow_provider_exclusive.format.reference import is_reference_row
from tests.airflow.running import Run, a_dag


@pytest.fixture
def canary():
    return f"canary-{uuid.uuid4()}"


class Outer(BaseOperator):
    """Runs another operator and returns its result."""

    def __init__(self, *, make, **kwargs):
        super().__init__(**kwargs)
        self.make = make

    def execute(self, context):
        return self.make().execute(context)


class Subclass(PythonOperator):
    def execute(self, context):
        return super().execute(context)


class TestWhatItLogs:
    @pytest.mark.parametrize("kind", [PythonOperator, ShortCircuitOperator, Subclass])
    def test_a_scoped_task_does_not_log_its_result(self, canary, capfd, kind):
        with a_dag() as dag:
            Outer(
                task_id="extract",
                make=lambda: kind(task_id="inner", python_callable=lambda: canary),
                pre_execute=consumers([]),
            )

        run = Run(dag)

        assert run.state == "success"
        assert is_reference_row(run.xcom_rows()["extract", -1, "return_value"])
        assert canary not in "".join(capfd.readouterr())

    def test_nor_does_a_decorated_one(self, canary, capfd):
        with a_dag() as dag:

            @exclusive_task(consumers=[])
            def extract(**context):
                return PythonOperator(task_id="inner", python_callable=lambda: canary).execute(context)

            extract()

        assert Run(dag).state == "success"
        assert canary not in "".join(capfd.readouterr())

    def test_a_plain_task_logs_it_as_ever(self, canary, capfd):
        with a_dag() as dag:
            Outer(task_id="extract", make=lambda: PythonOperator(task_id="inner", python_callable=lambda: canary))

        assert Run(dag).state == "success"
        assert f"Returned value was: {canary}" in "".join(capfd.readouterr())


class TestAScopeOfItsOwn:
    @pytest.mark.parametrize("outer_scope", [None, consumers([])])
    def test_the_task_fails_before_the_inner_operator_runs(self, outer_scope, capfd):
        ran = []
        with a_dag() as dag:
            Outer(
                task_id="extract",
                make=lambda: PythonOperator(
                    task_id="inner", python_callable=lambda: ran.append(1), pre_execute=consumers("load")
                ),
                pre_execute=outer_scope,
                retries=2,
            )

        run = Run(dag)

        assert (run.states, ran, run.xcom_rows()) == ({"extract": "failed"}, [], {})
        output = "".join(capfd.readouterr())
        assert "Task 'extract' runs the operator 'inner' inside, which was given a scope (declared at " in output
        assert "test_inner_operators.py" in output

    def test_so_it_does_if_a_decorated_function_makes_it(self):
        ran = []
        with a_dag() as dag:

            @task
            def extract(**context):
                inner = PythonOperator(
                    task_id="inner", python_callable=lambda: ran.append(1), pre_execute=consumers("load")
                )
                return inner.execute(context)

            extract()

        run = Run(dag)

        assert (run.states, ran, run.xcom_rows()) == ({"extract": "failed"}, [], {})


def test_a_mapped_task_that_drops_its_hook_logs_no_result(canary, capfd):
    class Dropping(PythonOperator):
        def __init__(self, *, pre_execute=None, **kwargs):
            super().__init__(**kwargs)

    with a_dag() as dag:
        Dropping.partial(task_id="extract", python_callable=lambda text: text, pre_execute=consumers([])).expand(
            op_args=[[canary]]
        )
    run = Run(dag)

    assert run.state == "success"
    assert is_reference_row(run.xcom_rows()["extract", 0, "return_value"])
    assert canary not in "".join(capfd.readouterr())
