"""Look up who calls the execution API, by the id of the task instance in the token."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Final
from uuid import UUID

from cachetools import LRUCache, cached

from airflow_provider_exclusive.compat.execution_api import task_instance_statements
from airflow_provider_exclusive.scopes.identity import TaskIdentity

log = logging.getLogger(__name__)

_REMEMBERED_CALLERS: Final = 10_000
_DEFAULT_TOKEN_SECONDS: Final = 600


XCOM_REQUEST: Final = "exclusive_xcom_request"
"""Where an :class:`XComRequest` is stored for the route: a key of ``info`` of the request's database session."""


@dataclass(frozen=True, slots=True)
class XComRequest:
    """
    Who requests an XCom.

    :param ti_id: the task instance that the token names.
    :param http: Starlette's request.
    """

    ti_id: UUID
    http: Any


@dataclass(frozen=True, slots=True)
class Caller:
    """
    The task instance that a token names.

    :param is_live: whether it runs, or ended so recently that its callbacks may still run. Airflow renews every token
        without checking, even that of a task that ended long ago.
    """

    identity: TaskIdentity
    try_number: int
    is_live: bool


def release_connection(session: Any) -> None:
    """
    Return the connection of a request's database session to the pool, before the request takes another.

    A request must not hold one connection while it waits for another (for an audit line, for example): many such
    requests would wait for each other forever.
    """
    session.rollback()


@contextmanager
def borrowed_connection(session: Any) -> Iterator[Any]:
    """Yield the connection of a request's database session, and return it to the pool afterwards."""
    try:
        yield session.connection()
    finally:
        release_connection(session)


def find_caller(ti_id: UUID, connection: Any) -> Caller | None:
    """Return the task instance in its current state, by the id of any of its tries; None if it does not exist."""
    row = _find_row(ti_id, connection)
    if row is None:
        return None
    from airflow.utils.state import State

    has_ended = row.state in State.finished
    return Caller(_identity(row, ti_id), row.try_number, is_live=not has_ended or _ended_recently(row.end_date))


def find_refused_caller(ti_id: UUID, session: Any) -> Caller | None:
    """Return the refused caller for the audit log; None if it is not found. The refusal stands in any case."""
    try:
        with borrowed_connection(session) as connection:
            return find_caller(ti_id, connection)
    except Exception:
        log.exception("Could not look up the refused caller for the audit log.")
        return None


@cached(LRUCache(_REMEMBERED_CALLERS), key=lambda ti_id, _: ti_id, lock=Lock())
def identity_of(ti_id: UUID, session: Any) -> TaskIdentity:
    """
    Return the coordinates of a task instance, which never change.

    :raises LookupError: if there is no such task instance.
    """
    with borrowed_connection(session) as connection:
        row = _find_row(ti_id, connection)
    if row is None:
        raise LookupError("no such task instance")
    return _identity(row, ti_id)


def _find_row(ti_id: UUID, connection: Any) -> Any:
    for statement in task_instance_statements():
        if (found := connection.execute(statement, {"ti_id": ti_id}).first()) is not None:
            return found
    return None


def _identity(row: Any, ti_id: UUID) -> TaskIdentity:
    return TaskIdentity(row.dag_id, row.run_id, row.task_id, row.map_index, str(ti_id))


def _ended_recently(end_date: datetime | None) -> bool:
    from airflow.configuration import conf

    # As long as a token is valid without renewal: callbacks and listeners run after the end was reported.
    seconds = conf.getint("execution_api", "jwt_expiration_time", fallback=_DEFAULT_TOKEN_SECONDS)
    # The worker reports this time: a time in the future must not let a task read forever.
    return end_date is not None and abs(datetime.now(UTC) - end_date) <= timedelta(seconds=seconds)
