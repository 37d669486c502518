"""
Writes of XComs: a letter is opened before Airflow's route stores it, and its data key wrapped.

By then the guard has found that the task writes at its own coordinates. What holds no letter passes untouched.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from airflow_provider_exclusive.access.coordinates import Requested
from airflow_provider_exclusive.compat.execution_api import Function, Replacement
from airflow_provider_exclusive.exceptions import AccessDeniedError, ExclusiveError
from airflow_provider_exclusive.format.reference import holds_letter
from airflow_provider_exclusive.server import callers, responses
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.callers import ASKING, Asking
from airflow_provider_exclusive.server.decisions import Decisions

_COORDINATES: Final = ("dag_id", "run_id", "task_id", "map_index", "key")


def create_writes(decisions: Decisions, trail: AuditTrail) -> dict[str, Replacement]:
    """Return, by name of a route of Airflow, what takes its place."""
    create = partial(_create_write, decisions, trail)
    return {"set_xcom": Replacement(create, parameters=(*_COORDINATES, "session", "value"))}


def _create_write(decisions: Decisions, trail: AuditTrail, original: Function) -> Function:
    def write(**arguments: Any) -> Any:
        asking: Asking | None = arguments["session"].info.get(ASKING)
        # Without knowing who asks a letter stays one, and opens for nobody.
        if asking is not None and holds_letter(arguments["value"]):
            requested = Requested(*(arguments[name] for name in _COORDINATES))
            arguments["value"] = _take_in(decisions, trail, arguments["value"], requested, asking, arguments["session"])
        return original(**arguments)

    return write


def _take_in(
    decisions: Decisions, trail: AuditTrail, row: Any, requested: Requested, asking: Asking, session: Any
) -> dict[str, Any]:
    with responses.deciding("write", requested, asking, session, trail):
        writer = callers.identity_of(asking.ti_id, session)
        try:
            return decisions.take_in(row, writer=writer, key=str(requested.key))
        except AccessDeniedError:
            raise
        except ExclusiveError as refused:
            message = f"This letter cannot be taken in: {refused}"
            raise AccessDeniedError(message, reason="letter-refused") from refused
