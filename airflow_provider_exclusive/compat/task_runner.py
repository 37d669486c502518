"""What is private, or differs by version, in the process that runs a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from functools import cache
from http import HTTPStatus
from typing import Any

from airflow_provider_exclusive.compat.replace import Create, Replacement, UnsupportedAirflowError, replace_functions


def wrap_recorders(*, rendered_fields: Create, map_index: Create, wait: Create) -> None:
    """
    Wrap the functions that give Airflow what it stores about a task.

    A task can wait for a person since Airflow 3.3. Guarded by row 22 of ``docs/airflow-facts.md``.

    :param rendered_fields: for the one that returns the template fields of a ``task`` as they will be shown.
    :param map_index: for the one that renders the label of a map index.
    :param wait: for those that record with which arguments a task will resume.
    :raises UnsupportedAirflowError: if one of them is not as expected; then none is wrapped.
    """
    from airflow.sdk.execution_time import task_runner

    replace_functions(task_runner, _recorders(rendered_fields, map_index, wait))


@cache
def _recorders(rendered_fields: Create, map_index: Create, wait: Create) -> dict[str, Replacement]:
    from airflow.sdk import exceptions

    recorders = {
        "_serialize_rendered_fields": Replacement(rendered_fields, ("task",)),
        "_render_map_index": Replacement(map_index, ("context", "ti", "log")),
        "_defer_task": Replacement(wait, ("defer", "ti", "log")),
    }
    if hasattr(exceptions, "TaskAwaitingInput"):
        recorders["_await_input_task"] = Replacement(wait, ("awaiting", "ti", "log"))
    return recorders


class _WatchedTracker:
    """Airflow's record of the operator that executes; an operator that begins to is announced first."""

    def __init__(self, own: ContextVar[Any], begin: Callable[[Any], None]) -> None:
        self.own, self._begin = own, begin

    def get(self, *default: Any) -> Any:
        """See :meth:`contextvars.ContextVar.get`."""
        return self.own.get(*default)

    def set(self, operator: Any) -> Token[Any]:
        """See :meth:`contextvars.ContextVar.set`; what the watcher raises keeps the operator from executing."""
        self._begin(operator)
        return self.own.set(operator)

    def reset(self, token: Token[Any]) -> None:
        """See :meth:`contextvars.ContextVar.reset`."""
        self.own.reset(token)


def watch_operators(begin: Callable[[Any], None]) -> None:
    """
    Call ``begin`` with every operator of this process just before it executes, inside another one, too.

    A second call replaces the first. Guarded by row 42 of ``docs/airflow-facts.md``.

    :raises UnsupportedAirflowError: if Airflow does not record which operator executes.
    """
    from airflow.sdk.bases.operator import ExecutorSafeguard

    found: Any = getattr(ExecutorSafeguard, "tracker", None)
    own = found.own if isinstance(found, _WatchedTracker) else found
    if not isinstance(own, ContextVar):
        raise UnsupportedAirflowError("airflow.sdk.bases.operator.ExecutorSafeguard.tracker", found=None)
    ExecutorSafeguard.tracker = _WatchedTracker(own, begin)  # type: ignore[assignment]  # has all that is used of it


def find_conf(dag_id: str, run_id: str) -> Mapping[str, Any] | None:
    """
    Return the ``conf`` of a run, from the API server.

    Guarded by row 14 of ``docs/airflow-facts.md``.

    :return: None if there is no such run; an empty mapping if its ``conf`` is empty.
    """
    from airflow.sdk.api.client import ServerResponseError
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetDagRun

    try:
        found: Any = task_runner.SUPERVISOR_COMMS.send(GetDagRun(dag_id=dag_id, run_id=run_id))
    except AirflowRuntimeError as refused:
        if (refused.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return None
        raise
    except ServerResponseError as refused:  # the supervisor of dag.test() lets it through
        if refused.response.status_code == HTTPStatus.NOT_FOUND:
            return None
        raise
    conf: Mapping[str, Any] = getattr(found, "conf", None) or {}
    return conf


def find_xcom(dag_id: str, task_id: str) -> Any:
    """
    Return the row of an XCom as the API server answers with it, past every backend; None if there is none.

    Its run and key are of no importance. Guarded by row 12 of ``docs/airflow-facts.md``.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetXCom

    request = GetXCom(dag_id=dag_id, run_id="any", task_id=task_id, key="any")
    return getattr(task_runner.SUPERVISOR_COMMS.send(request), "value", None)


def has_supervisor() -> bool:
    """Return whether a task, trigger or Dag callback runs in this process, so that it can ask for XComs."""
    from airflow.sdk.execution_time import task_runner

    return hasattr(task_runner, "SUPERVISOR_COMMS")


def trigger_run(request: Any) -> bool:
    """
    Let the supervisor trigger a run, as the task runner does for a ``DagRunTriggerException``.

    Which fields the message has differs by version; those that ``request`` lacks are left out. Guarded by row 16 of
    ``docs/airflow-facts.md``.

    :param request: Airflow's ``DagRunTriggerException``.
    :return: whether the run was triggered; it is not if it exists already.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

    fields = ("logical_date", "run_after", "conf", "reset_dag_run", "note")
    answer: Any = task_runner.SUPERVISOR_COMMS.send(
        TriggerDagRun(
            dag_id=request.trigger_dag_id,
            run_id=request.dag_run_id,
            **{name: getattr(request, name) for name in fields if hasattr(request, name)},
        )
    )
    return not isinstance(answer, ErrorResponse)


def trigger_task_instance() -> Any:
    """
    Return the task instance for which a trigger acts in the triggerer, or None where no trigger runs.

    Airflow knows it since 3.4. Guarded by row 5 of ``docs/airflow-facts.md``.
    """
    from airflow.sdk.bases import xcom

    variable = getattr(xcom, "_current_trigger_ti", None)
    return variable.get() if variable is not None else None
