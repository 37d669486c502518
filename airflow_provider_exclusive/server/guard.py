"""
The rule on writes, where Airflow's routing has resolved path and token.

Airflow's own check is asked first. Reads pass here: whether one is permitted depends on the row, which
:mod:`airflow_provider_exclusive.server.middleware` sees on its way out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, NoReturn

from airflow_provider_exclusive.coordinates import Requested
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.scopes import TaskIdentity
from airflow_provider_exclusive.server import audit, callers, decisions
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.callers import Caller
from airflow_provider_exclusive.server.seam import Check

log = logging.getLogger(__name__)

LETTER: Final = "exclusive_letter"
"""Where the middleware leaves the reference of a letter that it opened, in the ASGI scope."""

PROBE_DAG: Final = "airflow_provider_exclusive"
"""No task may read or write an XCom of this Dag: ``airflow exclusive doctor`` asks for one to see itself refused."""

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_UNMAPPED: Final = "-1"


def create_guard(original: Check, trail: AuditTrail) -> Check:
    """Return the check that takes the place of ``original``, Airflow's ``has_xcom_access``."""

    def has_xcom_access(
        dag_id: str, run_id: str, task_id: str, xcom_key: str, request: Any, session: Any, token: Any
    ) -> bool:
        permitted = original(dag_id, run_id, task_id, xcom_key, request, session, token)
        if dag_id == PROBE_DAG:
            _forbid(AccessDeniedError("This is how the plugin refuses.", reason="exclusive-probe"))
        if request.method not in _READS:
            target = TaskIdentity(dag_id, run_id, task_id, _map_index(request))
            _check_write(token.id, target, xcom_key, request, trail)
        return permitted

    return has_xcom_access


def map_index_of(query: Mapping[str, str]) -> int:
    """
    Read the map index as FastAPI reads it for the route: the last one counts, and ``1.0`` is 1.

    :raises ValueError: if it is no integer.
    """
    return int(_integers().validate_python(query.get("map_index", _UNMAPPED)))


@cache
def _integers() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(int)


def _check_write(ti_id: Any, target: TaskIdentity, key: str, request: Any, trail: AuditTrail) -> None:
    try:
        writer = _writer(ti_id)
        decisions.check_write(writer, target, key)
        if (letter := request.scope.get(LETTER)) is not None and writer is not None:
            decisions.check_letter(letter, writer, key)
    except AccessDeniedError as denied:
        asked = Requested(target.dag_id, target.run_id, target.task_id, target.map_index, key)
        trail.record(audit.WRITE_DENIED, _find_caller(ti_id), asked, reason=denied.reason, method=request.method)
        _forbid(denied)
    except Exception as trouble:
        log.exception("Could not decide about a write of an XCom.")
        message = "The API server could not decide about this write; see its log."
        _answer(503, reason="undecided", message=message, cause=trouble)


def _writer(ti_id: Any) -> TaskIdentity | None:
    try:
        return callers.identity_of(ti_id)
    except LookupError:
        return None


def _find_caller(ti_id: Any) -> Caller | None:
    try:
        return callers.find_caller(ti_id)
    except Exception:
        # The refusal stands, whoever it was.
        log.exception("Could not find out for the audit log who was refused.")
        return None


def _map_index(request: Any) -> int:
    try:
        return map_index_of(request.query_params)
    except ValueError:
        _forbid(AccessDeniedError("The map index is no integer.", reason="foreign-coordinate"))


def _forbid(denied: AccessDeniedError) -> NoReturn:
    _answer(403, reason=denied.reason, message=str(denied), cause=denied)


def _answer(status: int, *, reason: str, message: str, cause: Exception) -> NoReturn:
    from fastapi import HTTPException

    raise HTTPException(status, detail={"reason": reason, "message": message}) from cause
