"""
Writes of XComs: a sealed key is opened before Airflow's route stores it, and its data key wrapped.

By then the guard has found that the task writes at its own coordinates. What holds no sealed key passes untouched.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from airflow_provider_exclusive.access.coordinates import Requested
from airflow_provider_exclusive.compat.replace import Create, Function
from airflow_provider_exclusive.exceptions import AccessDeniedError, ExclusiveError
from airflow_provider_exclusive.format.reference import holds_sealed_key
from airflow_provider_exclusive.server import callers, responses
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.callers import XCOM_REQUEST, XComRequest
from airflow_provider_exclusive.server.decisions import Decisions

_COORDINATES: Final = ("dag_id", "run_id", "task_id", "map_index", "key")


def create_writes(decisions: Decisions, trail: AuditTrail) -> dict[str, Create]:
    """Return, by name of a route of Airflow, what takes its place."""
    return {"set_xcom": partial(_create_write, decisions, trail)}


def _create_write(decisions: Decisions, trail: AuditTrail, original: Function) -> Function:
    def write(**arguments: Any) -> Any:
        xcom_request: XComRequest | None = arguments["session"].info.get(XCOM_REQUEST)
        # Without knowing who asks a sealed key stays one, and opens for nobody.
        if xcom_request is not None and holds_sealed_key(arguments["value"]):
            requested = Requested(*(arguments[name] for name in _COORDINATES))
            arguments["value"] = _accept_sealed_key(
                decisions, trail, arguments["value"], requested, xcom_request, arguments["session"]
            )
        return original(**arguments)

    return write


def _accept_sealed_key(
    decisions: Decisions, trail: AuditTrail, row: Any, requested: Requested, xcom_request: XComRequest, session: Any
) -> dict[str, Any]:
    with responses.http_errors("write", requested, xcom_request, session, trail):
        writer = callers.identity_of(xcom_request.ti_id, session)
        try:
            return decisions.accept_sealed_key(row, writer=writer, key=str(requested.key))
        except AccessDeniedError:
            raise
        except ExclusiveError as refused:
            message = f"This sealed key cannot be taken in: {refused}"
            raise AccessDeniedError(message, reason="sealed-key-refused") from refused
