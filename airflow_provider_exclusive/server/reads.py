"""
Reads of XComs: decide what the caller may read of the rows that Airflow's route has found.

The decision follows the route: in its thread, on its database connection and with the parameters that it used. Only a
row with our marker costs anything; every other row passes unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from airflow_provider_exclusive.access.error_codes import HELD_KEYS, PROBE_DAG
from airflow_provider_exclusive.compat.execution_api import create_xcom_response
from airflow_provider_exclusive.compat.replace import Create, Function
from airflow_provider_exclusive.format.reference import is_reference_row
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.server import audit, callers, metrics, responses
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.callers import XCOM_REQUEST, XComRequest
from airflow_provider_exclusive.server.decisions import Decisions, Readers
from airflow_provider_exclusive.server.hand_overs import ServerHandOverLookup

DECIDED: Final = "exclusive_decided"
"""A key in the ASGI scope of a request: everything in its response was decided here."""


@dataclass(frozen=True, slots=True)
class _Route:
    """
    How a route answers.

    :param field: of its response, which holds the rows.
    :param is_list: whether it holds a list of rows instead of one.
    :param map_index: returns the requested map index from the arguments of the route.
    """

    field: str
    is_list: bool = False
    map_index: Callable[[Mapping[str, Any]], int | None] = lambda _: None

    def rows(self, response: Any) -> list[Any]:
        found = getattr(response, self.field)
        return list(found) if self.is_list else [found]

    def put_rows(self, response: Any, rows: list[Any]) -> None:
        setattr(response, self.field, rows if self.is_list else rows[0])

    def requested(self, arguments: Mapping[str, Any]) -> Coordinate:
        includes_earlier_runs = getattr(arguments.get("params"), "include_prior_dates", False)
        return Coordinate(
            dag_id=arguments["dag_id"],
            run_id=None if includes_earlier_runs else arguments["run_id"],
            task_id=arguments["task_id"],
            map_index=self.map_index(arguments),
            key=arguments["key"],
        )


def _map_index_of_one(arguments: Mapping[str, Any]) -> int | None:
    params = arguments["params"]
    return int(params.map_index) if params.offset is None else None


_ROUTES: Final = {
    "get_xcom": _Route("value", map_index=_map_index_of_one),
    "get_mapped_xcom_by_index": _Route("root"),
    "get_mapped_xcom_by_slice": _Route("root", is_list=True),
}


def create_reads(decisions: Decisions, trail: AuditTrail) -> dict[str, Create]:
    """Return the replacements of Airflow's read routes, by the name of the route."""
    reads: dict[str, Create] = {name: partial(_create_read, route, decisions, trail) for name, route in _ROUTES.items()}
    return reads | {"get_xcom": partial(_create_answer, decisions, reads["get_xcom"])}


def _create_answer(decisions: Decisions, create: Create, original: Function) -> Function:
    """Return what answers with the ids of the private keys where these are requested, and reads otherwise."""
    read = create(original)

    def read_or_answer(**arguments: Any) -> Any:
        if (arguments["dag_id"], arguments["task_id"]) != (PROBE_DAG, HELD_KEYS):
            return read(**arguments)
        return create_xcom_response(arguments["key"], decisions.keyring.key_ids if decisions.keyring else [])

    return read_or_answer


def _create_read(route: _Route, decisions: Decisions, trail: AuditTrail, original: Function) -> Function:
    def read(**arguments: Any) -> Any:
        response = original(**arguments)
        xcom_request: XComRequest | None = arguments["session"].info.get(XCOM_REQUEST)
        if xcom_request is None:
            return response  # the middleware refuses it if it contains our marker
        rows = route.rows(response)
        if any(map(is_reference_row, rows)):
            requested = route.requested(arguments)
            route.put_rows(response, _decide(decisions, trail, rows, requested, xcom_request, arguments["session"]))
        xcom_request.scope[DECIDED] = True
        return response

    return read


def _decide(
    decisions: Decisions,
    trail: AuditTrail,
    rows: Sequence[Any],
    requested: Coordinate,
    xcom_request: XComRequest,
    session: Any,
) -> list[Any]:
    with responses.http_errors("read", requested, xcom_request, session, trail) as look_up:
        with metrics.timed(metrics.DECISION):
            # No connection is held while many rows are opened, or while deciding: whoever wrote the rows also decides
            # how long that takes. A single row is opened sooner than a connection is borrowed again.
            if len(rows) > 1:
                callers.release_connection(session)
            opened = decisions.open(rows, requested)
            scoped = opened.scoped
            with callers.borrowed_connection(session) as connection:
                readers = Readers()
                if scoped:
                    readers = Readers(*callers.find_reader(xcom_request.ti_id, requested, scoped, connection))
                    look_up.note(readers.caller)
            answer = decisions.answer(opened, readers, ServerHandOverLookup(decisions.keyring, session))
        if (permission := answer.permission) is not None:
            trail.record(
                audit.READ,
                readers.caller,
                requested=requested,
                reason=permission.reason,
                method=xcom_request.method,
                trigger=permission.trigger,
            )
    return answer.rows
