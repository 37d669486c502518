"""Which pulls are read off a Dag: in templates and in functions of its file, if their names are literal."""

from __future__ import annotations

import ast
import functools
import logging

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, get_current_context, task

from airflow_provider_exclusive import exclusive_task
from airflow_provider_exclusive.definitions import pulls
from airflow_provider_exclusive.definitions.declared_dag import Input


@pytest.fixture
def dag():
    with DAG("etl", schedule=None) as dag:
        yield dag


def taken(dag):
    return [(pull.taken.dag_id, pull.taken.task_id, pull.taken.key) for pull in pulls.read(dag)]


RETURNED = ("etl", "extract", "return_value")


class TestTemplates:
    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("{{ ti.xcom_pull(task_ids='extract') }}", [RETURNED]),
            ("{{ task_instance.xcom_pull('extract') }}", [RETURNED]),
            ("{{ ti.xcom_pull(['extract', 'other'], key='rows') }}", [("etl", "extract", "rows"), ("etl", "other", "rows")]),
            ("{{ ti.xcom_pull(task_ids=('extract',), dag_id='sales') }}", [("sales", "extract", "return_value")]),
            ("{{ ti.xcom_pull('extract', 'sales', 'rows') }}", [("sales", "extract", "rows")]),
            ("{{ ti.xcom_pull('extract', none, 'rows') }}", [("etl", "extract", "rows")]),
            ("{{ ti.xcom_pull('ex' ~ 'tract') }}", [RETURNED]),
            ("{% for x in ti.xcom_pull(task_ids='extract')['rows'] | list %}{{ x }}{% endfor %}", [RETURNED]),
            ("{% if ti.xcom_pull(task_ids='extract') %}{% endif %}{{ ti.xcom_pull('extract') }}", [RETURNED]),
        ],
    )  # fmt: skip
    def test_one_with_literal_names_is_read(self, dag, template, expected):
        BashOperator(task_id="load", bash_command=template)
        assert taken(dag) == expected

    @pytest.mark.parametrize(
        "template",
        [
            "{{ ti.xcom_pull(task_ids=params.task) }}",
            "{{ ti.xcom_pull(task_ids='extract', key=params.key) }}",
            "{{ ti.xcom_pull(task_ids='extract', dag_id=params.dag) }}",
            "{{ ti.xcom_pull(task_ids=[params.task]) }}",
            "{{ ti.xcom_pull(task_ids=none) }}",
            "{{ ti.xcom_pull(key='rows') }}",
            "{{ ti.xcom_pull(task_ids=7) }}",
            "{{ ti.xcom_pull(*params.all) }}",
            "{{ ti.xcom_pull(**params.all) }}",
            "{# ti.xcom_pull(task_ids='extract') #}",
            "{% raw %}{{ ti.xcom_pull(task_ids='extract') }}{% endraw %}",
            "{{ 'ti.xcom_pull(1)' }}",
            "{{ xcom_pull('extract') }}",
            "{{ ti.xcom_pull(task_ids='extract' }}",
            "ti.xcom_pull(task_ids='extract')",
        ],
    )
    def test_another_is_not(self, dag, template):
        BashOperator(task_id="load", bash_command=template)
        assert taken(dag) == []

    def test_it_is_found_at_any_depth(self, dag):
        nested = {"a": ["{{ ti.xcom_pull('extract') }}", 7], "b": ("{{ ti.xcom_pull('extract') }}",)}
        PythonOperator(task_id="load", python_callable=print, op_kwargs={"x": nested})
        assert pulls.read(dag) == [pulls.Pull("load", Input(*RETURNED), "its template field 'op_kwargs'")]

    def test_it_is_found_in_a_mapped_task(self, dag):
        BashOperator.partial(task_id="one", env={"x": "{{ ti.xcom_pull('extract') }}"}).expand(bash_command=["a"])
        BashOperator.partial(task_id="two").expand(bash_command=["{{ ti.xcom_pull('extract') }}"])
        BashOperator.partial(task_id="three").expand_kwargs([{"bash_command": "{{ ti.xcom_pull('extract') }}"}])
        assert [pull.reader for pull in pulls.read(dag)] == ["one", "two", "three"]

    def test_a_template_that_pulls_nothing_is_not_parsed(self, dag, mocker):
        parse = mocker.patch("jinja2.Environment.parse")
        BashOperator(task_id="load", bash_command="{{ ds }}")
        assert taken(dag) == []
        parse.assert_not_called()


def pulls_plainly(ti):
    return ti.xcom_pull(task_ids="extract")


def pulls_by_position(**context):
    def inner():
        return context["ti"].xcom_pull(["extract", "other"], None, "rows")

    return inner()


async def pulls_from_the_context():
    return get_current_context()["task_instance"].xcom_pull("extract", dag_id="sales")


def pulls_what_nobody_can_read(ti, name, **more):
    return [
        ti.xcom_pull(task_ids=name), ti.xcom_pull("extract", key=name), ti.xcom_pull(), ti.xcom_pull(*name),
        ti.xcom_pull(**more), ti.xcom_pull({}[name]), ti.xcom_pull({[]}),
    ]  # fmt: skip


class TestFunctions:
    @pytest.mark.parametrize(
        ("function", "expected"),
        [
            (pulls_plainly, [RETURNED]),
            (pulls_by_position, [("etl", "extract", "rows"), ("etl", "other", "rows")]),
            (pulls_from_the_context, [("sales", "extract", "return_value")]),
            (pulls_what_nobody_can_read, []),
            (functools.partial(pulls_plainly, ti=None), [RETURNED]),
            (functools.wraps(pulls_plainly)(lambda *args: None), [RETURNED]),
            (lambda ti: ti.xcom_pull("extract"), [RETURNED]),
            (print, []),
            (ast.parse, []),
        ],
    )
    def test_literal_names_are_read(self, dag, function, expected):
        PythonOperator(task_id="load", python_callable=function)
        assert taken(dag) == expected

    def test_the_line_is_named(self, dag):
        PythonOperator(task_id="load", python_callable=pulls_plainly)
        (pull,) = pulls.read(dag)
        assert pull.where == f"{__file__}:{pulls_plainly.__code__.co_firstlineno + 1}"

    def test_decorated_and_mapped_functions_are_read(self, dag):
        @task
        def one(ti=None):
            return ti.xcom_pull(task_ids="extract")

        @exclusive_task(
            consumers=[],
        )
        def two(x, ti=None):
            return ti.xcom_pull(task_ids="extract")

        @task.branch
        def three(ti=None):
            return ti.xcom_pull(task_ids="extract")

        one()
        two.expand(x=[1])
        three()
        assert [pull.reader for pull in pulls.read(dag)] == ["one", "two", "three"]

    def test_two_lambdas_on_one_line_are_told_apart_by_nothing(self, dag):
        functions = [lambda ti: ti.xcom_pull("extract"), lambda ti: ti.xcom_pull("other")]
        PythonOperator(task_id="load", python_callable=functions[0])
        assert taken(dag) == []

    def test_a_function_of_another_file_is_not_read(self, dag):
        dag.fileloc = "/dags/etl.py"
        PythonOperator(task_id="load", python_callable=pulls_plainly)
        assert taken(dag) == []

    def test_without_the_method_no_source_is_read(self, dag, mocker):
        functions_of = mocker.patch.object(pulls.source, "functions_of")
        PythonOperator(task_id="load", python_callable=lambda ti: ti.xcom_push("a", 1))
        assert taken(dag) == []
        functions_of.assert_not_called()


def test_keys_of_airflow_itself_are_for_everybody(dag):
    TriggerDagRunOperator(task_id="extract", trigger_dag_id="child")
    BashOperator(task_id="load", bash_command="{{ ti.xcom_pull('extract', key='trigger_run_id') }}")
    assert taken(dag) == []


def test_a_pull_is_read_once(dag):
    BashOperator(task_id="load", bash_command="{{ ti.xcom_pull('extract') }}" * 3)
    EmptyOperator(task_id="extract")
    assert taken(dag) == [RETURNED]


def test_reading_says_nothing_itself(dag, caplog):
    caplog.set_level(logging.DEBUG)
    BashOperator(task_id="load", bash_command="{{ ti.xcom_pull( }}")
    assert taken(dag) == []
    assert caplog.records == []
