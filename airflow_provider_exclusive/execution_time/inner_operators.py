"""
Operators that a task runs inside its own ``execute``.

What an inner operator returns is pushed, if at all, by the task around it. So its lines are treated as the lines of
that task, and a scope of its own would not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from airflow_provider_exclusive.compat.replace import UnsupportedAirflowError
from airflow_provider_exclusive.compat.task_runner import watch_operators
from airflow_provider_exclusive.exceptions import ConfigurationError, InvalidScopeError
from airflow_provider_exclusive.execution_time import redaction, running_task
from airflow_provider_exclusive.execution_time.failures import failing_without_retry


def watch(find_scope: Callable[[Any], Any]) -> None:
    """
    Look at every operator that begins to execute in this process; what is called later replaces what was called before.

    :param find_scope: returns the hook by which an operator was given a scope, or None.
    :raises ConfigurationError: if this Airflow does not say which operator executes.
    """
    try:
        watch_operators(partial(_begin, find_scope))
    except UnsupportedAirflowError as unsupported:
        raise ConfigurationError(
            f"Unsupported Airflow version: expected {unsupported.expected}, not found. Refusing scopes, because a "
            "scope could be lost without an error. Use a version of airflow-provider-exclusive that supports this "
            "Airflow."
        ) from unsupported


def _begin(find_scope: Callable[[Any], Any], operator: Any) -> None:
    running = running_task.current()
    if running is None:
        return
    scope = find_scope(operator)
    if operator is running.task:
        # An expanded task may have dropped its hook, which does this otherwise.
        is_due = scope is not None and running.outputs is None
    elif scope is None:
        is_due = running.outputs is not None
    else:
        with failing_without_retry():
            raise InvalidScopeError(_does_not_hold(operator.task_id, running.identity.task_id, scope.declared_at))
    if is_due:
        redaction.redact_results(operator)


def _does_not_hold(inner: str, outer: str, declared_at: object) -> str:
    place = f" (declared at {declared_at})" if declared_at else ""
    return (
        f"Task {outer!r} runs the operator {inner!r} inside, which was given a scope{place}. That scope would have no "
        f"effect: {outer!r} pushes what {inner!r} returns. Give the scope to {outer!r}, and remove it from {inner!r}."
    )
