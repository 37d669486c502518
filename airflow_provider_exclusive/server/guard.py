"""
Enforce the rule on writes, once Airflow's routing has resolved path and token.

Airflow's own check runs first. Reads pass here: whether one is permitted depends on the row, which
:mod:`airflow_provider_exclusive.server.reads` sees once Airflow's route has found it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any, Final

from airflow_provider_exclusive.access.error_codes import HELD_KEYS, PROBE_DAG, PROBED
from airflow_provider_exclusive.compat.replace import Create, Function
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.format.fields import database_text
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.server import callers, decisions, responses
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.callers import XCOM_REQUEST, XComRequest

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_UNMAPPED: Final = "-1"
_MAX_MAP_INDEX: Final = 2**31 - 1
"""What an INTEGER of a database holds."""


def create_guards(trail: AuditTrail, keyring: Keyring | None) -> dict[str, Create]:
    """
    Return the replacement of Airflow's check, which every XCom route calls first.

    :param keyring: whose key ids are reported to the probe.
    """
    return {"has_xcom_access": partial(_create_guard, trail, keyring)}


def _create_guard(trail: AuditTrail, keyring: Keyring | None, original: Function) -> Function:
    def has_xcom_access(
        dag_id: str, run_id: str, task_id: str, xcom_key: str, request: Any, session: Any, token: Any
    ) -> bool:
        permitted: bool = original(dag_id, run_id, task_id, xcom_key, request, session, token)
        if dag_id == PROBE_DAG and task_id == HELD_KEYS and request.method in _READS:
            return permitted  # see the reads
        if dag_id == PROBE_DAG:
            key_ids = keyring.key_ids if keyring is not None else []
            message = (
                f"The plugin 'exclusive' refused the probe. Ids of its private keys: {', '.join(key_ids) or 'none'}."
            )
            responses.forbid(AccessDeniedError(message, reason=PROBED))
        session.info[XCOM_REQUEST] = xcom_request = XComRequest(token.id, request.method, request.scope)
        if request.method not in _READS:
            requested = Coordinate(dag_id, run_id, task_id, _map_index(request), xcom_key)
            _check_write(xcom_request, requested, session, trail)
        return permitted

    return has_xcom_access


@cache
def _integers() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(int)


def _check_write(xcom_request: XComRequest, requested: Coordinate, session: Any, trail: AuditTrail) -> None:
    with responses.http_errors("write", requested, xcom_request, session, trail) as look_up:
        _check_names(requested)
        writer, standing = callers.find_writer(xcom_request.ti_id, requested, session.connection())
        look_up.note(writer)
        decisions.check_write(writer, requested, standing)
        session.info[XCOM_REQUEST] = replace(xcom_request, writer=writer)


def _check_names(requested: Coordinate) -> None:
    """Refuse what no database takes, which would answer with an error of its own."""
    try:
        for name in (requested.dag_id, requested.run_id, requested.task_id):
            database_text(name)
    except ValueError:
        raise AccessDeniedError("The coordinates of this write are invalid.", reason="malformed-request") from None
    if requested.map_index is None or not -_MAX_MAP_INDEX <= requested.map_index <= _MAX_MAP_INDEX:
        raise AccessDeniedError(
            "The map index of this write is invalid; expected an integer.", reason="malformed-request"
        )


def _map_index(request: Any) -> int | None:
    """Return the map index as FastAPI reads it for the route: the last one counts, ``1.0`` is 1. None if invalid."""
    try:
        return int(_integers().validate_python(request.query_params.get("map_index", _UNMAPPED)))
    except ValueError:
        return None
