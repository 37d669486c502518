"""What is done with an operator that begins to execute, by whether it is the task itself."""

from __future__ import annotations

from contextvars import ContextVar
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_exclusive.exceptions import ConfigurationError, InvalidScopeError
from airflow_provider_exclusive.execution_time import inner_operators, running_task
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.scopes.consumers import OutputDeclaration, ScopeDeclaration
from airflow_provider_exclusive.scopes.identity import TaskIdentity


@pytest.fixture(autouse=True)
def airflows_own(mocker):
    """A tracker of this test's own."""
    mocker.patch.object(ExecutorSafeguard, "tracker", ContextVar("a tracker"))


@pytest.fixture
def inner():
    return PythonOperator(task_id="inner", python_callable=lambda: "result")


@pytest.fixture
def running(mocker):
    """A scoped task runs."""
    outer = PythonOperator(task_id="outer", python_callable=print)
    running = RunningTask(TaskIdentity("etl", "run-1", "outer"), outer)
    running.outputs = OutputDeclaration(ScopeDeclaration.parse([]))
    mocker.patch.object(running_task, "current", return_value=running)
    return running


def watch(scope=None):
    inner_operators.watch(lambda operator: scope)


def declared(line="/dags/etl.py:7"):
    return SimpleNamespace(declared_at=line)


def test_outside_a_task_it_runs_as_ever(inner, mocker):
    mocker.patch.object(running_task, "current", return_value=None)
    watch(declared())
    assert inner.execute({}) == "result"
    assert inner.show_return_value_in_logs


def test_in_a_scoped_task_its_result_is_not_logged(inner, running):
    watch()
    assert inner.execute({}) == "result"
    assert not inner.show_return_value_in_logs


def test_in_a_plain_task_it_is(inner, running):
    running.outputs = None
    watch()
    assert inner.execute({}) == "result"
    assert inner.show_return_value_in_logs


@pytest.mark.parametrize(("line", "place"), [("/dags/etl.py:7", r" \(declared at /dags/etl.py:7\)"), (None, "")])
def test_a_scope_of_its_own_is_refused(inner, running, line, place):
    watch(declared(line))
    with pytest.raises(
        InvalidScopeError, match=rf"'outer' runs the operator 'inner' inside.*scope{place}\."
    ) as refusal:
        inner.execute({})
    assert isinstance(refusal.value, AirflowFailException)


def test_the_task_itself_may_have_one(running):
    watch(declared())
    running.outputs = None
    running.task.execute({})
    assert not running.task.show_return_value_in_logs


def test_the_last_watcher_counts(inner, running):
    watch(declared())
    watch()
    assert inner.execute({}) == "result"


def test_an_operator_that_ended_is_forgotten(inner, running):
    watch()
    inner.execute({})
    assert ExecutorSafeguard.tracker.get(None) is None


def test_another_airflow_is_refused(mocker):
    mocker.patch.object(ExecutorSafeguard, "tracker", None)
    with pytest.raises(ConfigurationError, match=r"expected airflow.sdk.bases.operator.ExecutorSafeguard.tracker"):
        watch()
