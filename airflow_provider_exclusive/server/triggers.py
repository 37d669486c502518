"""
Triggers of runs: a pointer to a hand-over record is accepted only from the task that it names.

Any task may trigger any run, with any ``conf``. Otherwise a task could create the run that another is about to trigger,
with a ``conf`` chosen by itself, and that run would be handed the other's outputs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow_provider_exclusive.access.hand_over import has_pointer, read_pointer
from airflow_provider_exclusive.compat.replace import Create, Function
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.server import callers, responses
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.callers import Caller, XComRequest


def create_trigger(trail: AuditTrail) -> Create:
    """Return the replacement of the function by which a task triggers a run."""
    return partial(_create_trigger, trail)


def _create_trigger(trail: AuditTrail, original: Function) -> Function:
    def trigger_dag_run(**arguments: Any) -> Any:
        conf = getattr(arguments["payload"], "conf", None)
        if has_pointer(conf):
            session, token = arguments["session"], arguments["token"]
            asked = Coordinate(arguments["dag_id"], arguments["run_id"])
            request = XComRequest(token.id, "POST")
            with responses.http_errors("write", asked, request, session, trail):
                with callers.borrowed_connection(session) as connection:
                    caller = callers.find_caller(token.id, connection)
                check_pointer(conf, caller)
        return original(**arguments)

    return trigger_dag_run


def check_pointer(conf: object, caller: Caller | None) -> None:
    """
    Check that a run points to the task that triggers it.

    :raises AccessDeniedError: if it points to another one, or to none.
    """
    trigger = read_pointer(conf)
    if caller is None or trigger is None or not trigger.is_same_task_instance(caller.identity):
        who = "a task that Airflow does not know" if caller is None else caller.identity
        raise AccessDeniedError(
            f"The conf of this run points to the hand-over of {trigger or 'no task'}, and {who} triggers it. Only "
            "ExclusiveTriggerDagRunOperator adds that key to conf, for its own task; use another key.",
            reason="foreign-pointer",
        )
