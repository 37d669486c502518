"""A scope that is written and would not hold is an error where it is written, never a value in plain text."""

from __future__ import annotations

import functools

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import BaseOperator, TaskGroup, setup, task, task_group, teardown

from airflow_provider_exclusive import Consumer, consumers, exclusive_task
from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag
from airflow_provider_exclusive.definitions.parse_check import find_contradictions
from airflow_provider_exclusive.exceptions import InvalidScopeError
from airflow_provider_exclusive.execution_time import redaction
from airflow_provider_exclusive.format.reference import is_reference_row
from tests.airflow.running import Run, a_dag


def function() -> str:
    return "canary-4711"


def in_dag(dag):
    return find_contradictions(DeclaredDag.of(dag))


class TestDecoratorsBelow:
    """Airflow copies what the inner decorator set over what the outer one set."""

    @pytest.mark.parametrize(
        ("make", "cure"),
        [
            (lambda: task(function), r"Write @task\(pre_execute=consumers\(…\)\) alone"),
            (lambda: task(retries=2)(function), r"Write @task\("),
            (lambda: task.bash(function), r"by @task.bash.*Write @task.bash\(pre_execute="),
            (lambda: task.short_circuit(function), r"Write @task.short_circuit\("),
            (lambda: task.sensor(function), r"Write @task.sensor\("),
            (lambda: task.run_if(lambda _: True)(task(function)), r"Write @task\("),
            (lambda: setup(function), "by @setup.*Swap the two decorators: @setup above @exclusive_task"),
            (lambda: teardown(function), "@teardown above @exclusive_task"),
            (lambda: exclusive_task(consumers="a")(function), "by @task.exclusive.*Write one scope"),
            (lambda: functools.partial(task(function)), "is a task already"),
            (lambda: functools.partial(functools.partial(task.bash(function))), "by @task.bash"),
        ],
    )
    @pytest.mark.parametrize(
        "decorate",
        [lambda f: exclusive_task(consumers=[])(f), exclusive_task, task.exclusive, lambda f: exclusive_task([])(f)],
    )
    def test_a_task_below_is_refused_with_the_right_spelling(self, make, cure, decorate):
        with pytest.raises(InvalidScopeError, match=cure) as refusal:
            decorate(make())
        assert str(refusal.value).startswith(f"{__file__}:")

    @pytest.mark.parametrize("above", [setup, teardown, task.run_if(lambda _: True)])
    def test_the_scope_holds_where_it_is_innermost(self, above):
        with a_dag() as dag:
            above(exclusive_task(consumers=[])(function)).override(task_id="extract")()

        run = Run(dag)

        assert is_reference_row(run.xcom_rows()["extract", -1, "return_value"])


class Swallowing(PythonOperator):
    """An operator whose ``__init__`` forgets what it is given."""

    def __init__(self, task_id, pre_execute=None, **kwargs):
        super().__init__(task_id=task_id, python_callable=function)


class Forgetful(BaseOperator):
    def __init__(self, *, value=None, pre_execute=None, **kwargs):
        super().__init__(**kwargs)
        self.value = value

    def execute(self, context):
        return "canary-4711"


class TestOperatorsThatSwallow:
    def test_an_operator_that_drops_the_hook_is_refused(self):
        with a_dag() as dag:
            Swallowing(task_id="extract", pre_execute=consumers("load"))
            PythonOperator(task_id="load", python_callable=function)
        (message,) = in_dag(dag)
        assert "Swallowing.__init__ does not pass pre_execute on" in message

    def test_so_is_one_that_takes_it_by_name(self):
        with a_dag() as dag:
            Forgetful(task_id="extract", pre_execute=consumers([]))
        (message,) = in_dag(dag)
        assert "Forgetful.__init__" in message

    def test_a_mapped_one_still_seals(self):
        with a_dag() as dag:
            Forgetful.partial(task_id="extract", pre_execute=consumers([])).expand(value=[1, 2])

        assert in_dag(dag) == []
        redaction.prepare()  # as the cluster policy does in a worker that parses a Dag
        run = Run(dag)

        assert [is_reference_row(row) for row in run.xcom_rows().values()] == [True, True]


class TestWhatAuthorsTryFirst:
    """``consumers=[load]`` with the task itself: one line says what to write."""

    @pytest.fixture
    def things(self):
        with a_dag():

            @task
            def load(): ...

            @task_group
            def group():
                task(task_id="report")(function)()

            made, called = load(), group()
            operator = PythonOperator(task_id="operator", python_callable=function)
            with TaskGroup("classic") as classic:
                PythonOperator(task_id="inner", python_callable=function)
            return {
                "decorated": load,
                "output": made,
                "operator": operator,
                "group": group,
                "called": called,
                "classic": classic,
                "function": function,
            }

    @pytest.mark.parametrize(
        ("name", "written"),
        [
            ("decorated", "load"),
            ("output", "load"),
            ("operator", "operator"),
            ("group", "group.*"),
            ("called", "group.*"),
            ("classic", "classic.*"),
            ("function", "function"),
        ],
    )
    @pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: x, lambda x: {"rows": [x]}, lambda x: Consumer(task=x)])
    def test_the_thing_itself_is_answered_with_its_id(self, things, name, written, wrap):
        for declare in (lambda spec: exclusive_task(consumers=spec)(function), consumers):
            with pytest.raises(InvalidScopeError, match=rf"write '{written}'".replace("*", r"\*")) as refusal:
                declare(wrap(things[name]))
            assert "_TaskDecorator(" not in str(refusal.value)
            assert str(refusal.value).startswith(f"{__file__}:")
            assert str(refusal.value).count(__file__) == 1

    def test_another_dag_is_written_with_a_colon(self):
        with a_dag() as dag:
            PythonOperator(task_id="extract", python_callable=function, pre_execute=consumers("other_dag.load"))
        (message,) = in_dag(dag)
        assert "for a task of another Dag write 'other_dag:load'" in message

    def test_case_does_not_hide_the_right_name(self):
        with a_dag() as dag:
            PythonOperator(task_id="extract", python_callable=function, pre_execute=consumers("LOAD"))
            PythonOperator(task_id="load", python_callable=function)
        (message,) = in_dag(dag)
        assert "did you mean 'load'?" in message

    def test_a_misspelled_key_is_named(self):
        with a_dag() as dag:
            out = exclusive_task(consumers={"row": ["load"]}, multiple_outputs=True)(lambda: {"rows": 1})
            task(task_id="load")(lambda rows: rows)(out.override(task_id="extract")()["rows"])
        (message,) = in_dag(dag)
        assert "it names the key 'row', did you mean 'rows'?" in message


def test_a_task_reads_its_own_output_of_an_earlier_run():
    seen = []
    with a_dag() as dag:

        @exclusive_task(consumers=[])
        def watermark(ti=None):
            seen.append(ti.xcom_pull(task_ids="watermark", include_prior_dates=True))
            return len(seen)

        watermark()

    assert [Run(dag).state for _ in range(3)] == ["success"] * 3
    assert seen == [None, 1, [1, 2]]  # as with any backend, more than one is a list


class TestScopesOnNoTask:
    """A scope that was written while the Dag was parsed, and that no task has."""

    @pytest.mark.parametrize(
        "lose",
        [
            lambda: consumers("load"),
            lambda: [consumers("load")],
            lambda: PythonOperator(task_id="extract", python_callable=function, post_execute=consumers("load")),
            lambda: PythonOperator(task_id="extract", python_callable=function, on_execute_callback=consumers("load")),
            lambda: task(on_failure_callback=[consumers("load")])(function)(),
        ],
    )
    def test_one_that_is_kept_or_misplaced_is_refused(self, lose):
        with a_dag() as dag:
            kept = lose()
            PythonOperator(task_id="load", python_callable=function)
        (message,) = in_dag(dag)
        assert f"consumers(…) at {__file__}:" in message
        assert "is on no task" in message
        assert kept is not None

    def test_one_that_is_gone_is_refused(self):
        def make(task_id, **kwargs):
            return PythonOperator(task_id=task_id, python_callable=function)

        with a_dag() as dag:
            make("extract", pre_execute=consumers("load"))
            PythonOperator(task_id="load", python_callable=function)
        (message,) = in_dag(dag)
        assert "is on no task" in message

    def test_used_shared_chained_and_default_scopes_are_fine(self):
        with a_dag(default_args={"pre_execute": consumers("*")}) as dag:
            PythonOperator(task_id="default", python_callable=function)
            shared = consumers("load")
            PythonOperator(task_id="one", python_callable=function, pre_execute=shared)
            PythonOperator.partial(task_id="two", pre_execute=shared).expand(python_callable=[function])
            task.run_if(lambda _: True)(task(task_id="three", pre_execute=consumers("load"))(function))()
            PythonOperator(task_id="load", python_callable=function)
        assert in_dag(dag) == []

    def test_a_default_that_every_task_replaces_is_fine(self):
        with a_dag() as dag, TaskGroup("group", default_args={"pre_execute": consumers("*")}):
            exclusive_task("*")(function)()
        assert in_dag(dag) == []

    def test_a_decorated_function_that_is_not_called_is_no_task(self):
        with a_dag() as dag:

            @task(
                pre_execute=consumers("load"),
            )
            def extract(): ...

            del extract
            kept = task(pre_execute=consumers("load"))(function)
            task(pre_execute=consumers("load"))(function)
        assert in_dag(dag) == []
        assert kept

    def test_a_scope_of_another_dag_is_not_this_ones(self):
        with a_dag() as first:
            scope = consumers("load")
        with a_dag() as second:
            PythonOperator(task_id="extract", python_callable=function, pre_execute=scope)
            PythonOperator(task_id="load", python_callable=function)
        assert in_dag(first) == in_dag(second) == []


FILE = """\
import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow_provider_exclusive import consumers

with DAG("first", schedule=None):
    EmptyOperator(task_id="extract")
    EmptyOperator(task_id="load")
{line}
with DAG("second", schedule=None):
    EmptyOperator(task_id="extract", pre_execute=shared)
    EmptyOperator(task_id="load")
"""


class TestScopesOfAFile:
    """Outside the block of a Dag, a scope may be for any Dag of the file."""

    def parse(self, folder, line):
        (folder / "two_dags.py").write_text(FILE.format(line=line))
        return DagBag(folder)

    def test_one_that_a_later_dag_uses_is_fine(self, tmp_path):
        bag = self.parse(tmp_path, 'shared = consumers("load")')
        assert (bag.import_errors, sorted(bag.dags)) == ({}, ["first", "second"])

    @pytest.mark.parametrize("lost", ['consumers("load")', 'forgotten = consumers("load")'])
    def test_one_that_no_dag_uses_is_an_import_error(self, tmp_path, lost):
        bag = self.parse(tmp_path, f"shared = None; {lost}")
        (message,) = bag.import_errors.values()
        assert f"consumers(…) at {tmp_path}/two_dags.py:9 is on no task" in message

    def test_a_file_that_was_mended_is_fine(self, tmp_path):
        assert self.parse(tmp_path, 'shared = None; consumers("load")').import_errors
        (tmp_path / "two_dags.py").unlink()
        assert self.parse(tmp_path, "shared = None").import_errors == {}
