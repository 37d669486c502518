"""
Writes of XComs: open a sealed key before Airflow's route stores the row, and wrap its data key.

The guard has already checked that the task writes at its own coordinates. A row without a sealed key passes unchanged.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from airflow_provider_exclusive.compat.replace import Create, Function
from airflow_provider_exclusive.exceptions import AccessDeniedError, ExclusiveError
from airflow_provider_exclusive.format.reference import holds_sealed_key
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.server import callers, responses
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.callers import XCOM_REQUEST, XComRequest
from airflow_provider_exclusive.server.decisions import Decisions

_COORDINATES: Final = ("dag_id", "run_id", "task_id", "map_index", "key")


def create_writes(decisions: Decisions, trail: AuditTrail) -> dict[str, Create]:
    """Return the replacements of Airflow's write routes, by the name of the route."""
    return {"set_xcom": partial(_create_write, decisions, trail)}


def _create_write(decisions: Decisions, trail: AuditTrail, original: Function) -> Function:
    def write(**arguments: Any) -> Any:
        xcom_request: XComRequest | None = arguments["session"].info.get(XCOM_REQUEST)
        # If the writer is unknown, the sealed key is stored as it is, and nobody can open it.
        if xcom_request is not None and holds_sealed_key(arguments["value"]):
            requested = Coordinate(*(arguments[name] for name in _COORDINATES))
            arguments["value"] = _accept_sealed_key(
                decisions, trail, arguments["value"], requested, xcom_request, arguments["session"]
            )
        return original(**arguments)

    return write


def _accept_sealed_key(
    decisions: Decisions, trail: AuditTrail, row: Any, requested: Coordinate, xcom_request: XComRequest, session: Any
) -> dict[str, Any]:
    with responses.http_errors("write", requested, xcom_request, session, trail):
        writer = callers.identity_of(xcom_request.ti_id, session)
        try:
            return decisions.accept_sealed_key(row, writer=writer, target=requested)
        except AccessDeniedError:
            raise
        except ExclusiveError as refused:
            message = f"This sealed key was refused: {refused}"
            raise AccessDeniedError(message, reason="sealed-key-refused") from refused
