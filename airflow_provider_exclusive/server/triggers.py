"""
Triggers of runs: a pointer to a hand-over record is accepted only from the task that it names, in its present try.

Any task may trigger any run, with any ``conf``. Otherwise a task could create the run that another is about to trigger,
with a ``conf`` chosen by itself, and that run would be handed the other's outputs.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, has_pointer, read_pointer
from airflow_provider_exclusive.compat.replace import Create, Function
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.server import callers, decisions, responses
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.callers import Caller, LookUp, XComRequest


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
            with responses.http_errors("write", asked, request, session, trail) as look_up:
                _check(read_pointer(conf), token.id, session, look_up)
        return original(**arguments)

    return trigger_dag_run


def _check(trigger: TaskIdentity | None, ti_id: UUID, session: Any, look_up: LookUp) -> None:
    at = Coordinate.of(trigger, RECORD_KEY) if trigger is not None else Coordinate()
    with callers.borrowed_connection(session) as connection:
        if trigger is None:
            caller, standing = callers.find_caller(ti_id, connection), frozenset[str]()
        else:
            caller, standing = callers.find_writer(ti_id, at, connection)
    look_up.note(caller)
    check_pointer(trigger, caller)
    # Whoever may not write the record any more must not make a run that looks for it.
    decisions.check_write(caller, at, standing)


def check_pointer(trigger: TaskIdentity | None, caller: Caller | None) -> None:
    """
    Check that a run points to the task that triggers it.

    :param trigger: to which it points; None if to none.
    :raises AccessDeniedError: if it points to another one, or to none.
    """
    if caller is None or trigger is None or not trigger.is_same_task_instance(caller.identity):
        who = "a task that Airflow does not know" if caller is None else caller.identity
        raise AccessDeniedError(
            f"The conf of this run points to the hand-over of {trigger or 'no task'}, and {who} triggers it. Only "
            "ExclusiveTriggerDagRunOperator adds that key to conf, for its own task; use another key.",
            reason="foreign-pointer",
        )
