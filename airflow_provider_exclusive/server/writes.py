"""
Writes of XComs: open what a worker sealed before Airflow's route stores the row, and wrap it.

The guard has already checked that the task writes at its own coordinates. A row with our marker that is no reference,
or whose secret is protected under a key that this API server does not hold, is refused.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from airflow_provider_exclusive.access.hand_over import RECORD_KEY
from airflow_provider_exclusive.access.hand_over_record import check_record_row
from airflow_provider_exclusive.compat.replace import Create, Function
from airflow_provider_exclusive.format.reference import is_escaped, is_reference_row
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.server import responses
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
        # If the writer is unknown, what it sealed is stored as it is, and nobody can open it.
        is_ours = is_reference_row(arguments["value"]) or arguments["key"] == RECORD_KEY
        if xcom_request is not None and xcom_request.writer is not None and is_ours:
            requested = Coordinate(*(arguments[name] for name in _COORDINATES))
            with responses.http_errors("write", requested, xcom_request, arguments["session"], trail) as look_up:
                look_up.note(xcom_request.writer)
                arguments["value"] = _accept(decisions, arguments["value"], requested, xcom_request.writer.identity)
        return original(**arguments)

    return write


def _accept(decisions: Decisions, row: Any, requested: Coordinate, writer: TaskIdentity) -> Any:
    if requested.key == RECORD_KEY:
        check_record_row(row)
    if is_escaped(row):
        return row
    return decisions.accept(row, writer=writer, target=requested)
