"""Scopes that are written and that no task has: which are found, and which only look like that."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup, task
from airflow.sdk.definitions._internal.contextmanager import DagContext

from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag
from airflow_provider_exclusive.definitions.hook import consumers


def extract(x=None):
    """A function of the Dag's author."""


@pytest.fixture
def dag():
    with DAG("etl", schedule=None) as dag:
        yield dag


def unused(dag):
    return list(DeclaredDag.of(dag).unused_scopes)


class TestInTheBlockOfADag:
    def test_one_that_is_kept_is_found(self, dag):
        scope = consumers("load")
        assert unused(dag) == [scope.declared_at]

    def test_one_that_is_gone_is_found(self, dag):
        line = consumers("load").declared_at
        assert unused(dag) == [line]

    def test_a_line_is_named_once(self, dag):
        lines = [consumers("load").declared_at for _ in range(3)]
        assert unused(dag) == lines[:1]

    def test_one_in_another_argument_is_found(self, dag):
        scope = consumers("load")
        EmptyOperator(task_id="extract", post_execute=scope)
        assert unused(dag) == [scope.declared_at]

    def test_a_variable_called_like_the_argument_is_no_task(self, dag):
        namespace = {"consumers": consumers, "__name__": "etl"}
        exec(compile("pre_execute = consumers('load')", "/dags/etl.py", "exec"), namespace)
        assert [str(line) for line in unused(dag)] == ["/dags/etl.py:1"]

    def test_one_on_a_task_is_used(self, dag):
        EmptyOperator(task_id="extract", pre_execute=consumers("load"))
        assert unused(dag) == []

    def test_so_is_one_that_is_mapped(self, dag):
        task(pre_execute=consumers("load"))(extract).expand(x=[1])
        assert unused(dag) == []

    def test_so_is_a_default_that_is_replaced(self, dag):
        with TaskGroup("group", default_args={"pre_execute": consumers("load")}):
            EmptyOperator(task_id="extract", pre_execute=consumers("*"))
        assert unused(dag) == []

    def test_so_is_one_behind_a_condition_that_was_not_called(self, dag):
        scope = consumers("load")
        decorated = task.run_if(lambda _: True)(task(pre_execute=scope)(extract))
        assert unused(dag) == []
        assert decorated

    def test_another_dag_has_its_own(self, dag):
        with DAG("other", schedule=None) as other:
            scope = consumers("load")
        assert (unused(dag), unused(other)) == ([], [scope.declared_at])


class TestOutsideOfIt:
    @pytest.fixture
    def module(self, mocker):
        """Airflow parses a module, which is in this file."""
        module = ModuleType("unusual_prefix_etl")
        module.__file__ = __file__
        mocker.patch.dict(sys.modules, {module.__name__: module})
        mocker.patch.object(DagContext, "current_autoregister_module_name", module.__name__)
        return module

    def test_one_of_the_dags_file_is_found(self, module):
        scope = consumers("load")
        assert unused(DAG("etl", schedule=None)) == [scope.declared_at]

    def test_one_of_another_file_is_not_this_dags(self, module):
        namespace = {"consumers": consumers, "__name__": "lib"}
        exec(compile("consumers('load')", "/dags/lib.py", "exec"), namespace)
        assert unused(DAG("etl", schedule=None)) == []

    def test_one_that_a_task_of_another_dag_has_is_used(self, module):
        scope = consumers("load")
        with DAG("other", schedule=None):
            operator = EmptyOperator(task_id="extract", pre_execute=scope)
        assert unused(DAG("etl", schedule=None)) == []
        assert operator

    def test_one_of_an_earlier_parse_counts_no_more(self, module):
        consumers("load")
        del sys.modules[module.__name__], module
        DagContext.current_autoregister_module_name = None
        assert unused(DAG("etl", schedule=None)) == []

    def test_one_that_no_file_writes_is_nobodys(self):
        consumers("load")
        assert unused(DAG("etl", schedule=None)) == []
