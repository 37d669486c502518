"""Look up who calls the execution API, by the id of the task instance in the token."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID

from airflow_provider_exclusive.compat.execution_api import (
    earlier_tries_statement,
    present_tries_statement,
    task_instance_statements,
    tries_statement,
)
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity

log = logging.getLogger(__name__)

_NOT_BEGUN: Final = frozenset({None, "scheduled", "queued", "up_for_retry"})
"""States in which the present try of a task has not begun, so that what the one before it wrote still counts."""
_DEFAULT_TOKEN_SECONDS: Final = 600
_TRIES_AT_ONCE: Final = 1000
"""How many ids one statement names; databases bound that."""

XCOM_REQUEST: Final = "exclusive_xcom_request"
"""Where an :class:`XComRequest` is stored for the route: a key of ``info`` of the request's database session."""


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


@dataclass(frozen=True, slots=True)
class XComRequest:
    """
    Who requests an XCom, or triggers a run.

    :param ti_id: the task instance that the token names.
    :param method: of HTTP.
    :param scope: the ASGI scope of the request, for the middleware; nothing reads that of a trigger.
    :param writer: who writes, for a write that is permitted.
    """

    ti_id: UUID
    method: str
    scope: MutableMapping[str, Any] = field(default_factory=dict, repr=False)
    writer: Caller | None = None


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
    return None if row is None else _caller(row)


@dataclass(slots=True)
class LookUp:
    """
    The look-up of a caller, which a refusal does not repeat.

    :param caller: who was found, if it is done; None if nobody was.
    """

    caller: Caller | None = None
    is_done: bool = False

    def note(self, caller: Caller | None) -> None:
        """Keep what the block of a request has found."""
        self.caller, self.is_done = caller, True


def find_refused_caller(ti_id: UUID, session: Any, look_up: LookUp) -> Caller | None:
    """
    Return the refused caller for the audit log; None if it is not found. The refusal stands in any case.

    The request holds no connection afterwards.
    """
    try:
        if look_up.is_done:
            release_connection(session)
        else:
            with borrowed_connection(session) as connection:
                look_up.note(find_caller(ti_id, connection))
    except Exception:
        log.exception("Could not look up the refused caller for the audit log.")
    return look_up.caller


def find_writer(ti_id: UUID, at: Coordinate, connection: Any) -> tuple[Caller | None, frozenset[str]]:
    """
    Return who writes at ``at``, and the ids of the tries that stand there.

    Looked up for each write: a task instance gets another id with each try, and one may be deleted.
    """
    for row in connection.execute(tries_statement(), {"ti_ids": [ti_id]}).all():
        writer = _caller(row)
        if at.belongs_to(writer.identity):
            return writer, frozenset({str(ti_id)})
    return find_caller(ti_id, connection), _standing(at, [str(at.run_id)], connection)


def find_reader(
    ti_id: UUID, at: Coordinate, references: Sequence[Reference], connection: Any
) -> tuple[Caller | None, frozenset[str | None]]:
    """
    Return who reads, and the ids of the tries that stand of those that wrote ``references``.

    Those are the present ones, and the last that began where one waits. What another try wrote is superseded, also if
    somebody puts it back.

    :param at: what was requested.
    :param references: that were found there, each vouched for by a key.
    """
    wrote = {reference.producer.ti_id: reference.producer for reference in references if reference.producer.ti_id}
    caller, standing = None, set[str | None]()
    for some in _batches([str(ti_id), *wrote]):
        for row in connection.execute(tries_statement(), {"ti_ids": some}).all():
            if row.ti_id == ti_id:
                caller = _caller(row)
            standing.add(str(row.ti_id))
    if wrote.keys() - standing:
        run_ids = sorted({producer.run_id for producer in wrote.values()})
        standing |= _standing(at, run_ids, connection)
    return caller or find_caller(ti_id, connection), frozenset(standing)


def _standing(at: Coordinate, run_ids: Sequence[str], connection: Any) -> frozenset[str]:
    """Return the ids of the tries that stand at ``at``: the last that began where the present one waits."""
    present = list(connection.execute(present_tries_statement(), _place(at, run_ids)).all())
    standing = {str(row.ti_id) for row in present}
    waiting = {(row.run_id, row.stored_index) for row in present if row.state in _NOT_BEGUN}
    if waiting:
        latest: dict[tuple[str, int], str] = {}
        for row in connection.execute(earlier_tries_statement(), _place(at, run_ids)).all():
            latest.setdefault((row.run_id, row.stored_index), str(row.ti_id))
        standing |= {latest[place] for place in waiting & latest.keys()}
    return frozenset(standing)


def _batches(ti_ids: Iterable[str]) -> Iterator[list[UUID]]:
    remaining = map(UUID, ti_ids)
    while batch := list(islice(remaining, _TRIES_AT_ONCE)):
        yield batch


def _place(at: Coordinate, run_ids: Sequence[str]) -> dict[str, Any]:
    return {
        "dag_id": at.dag_id,
        "run_ids": run_ids,
        "task_id": at.task_id,
        "map_index": -1 if at.map_index is None else at.map_index,
        "any_map_index": at.map_index is None,
    }


def _find_row(ti_id: UUID, connection: Any) -> Any:
    for statement in task_instance_statements():
        if (found := connection.execute(statement, {"ti_id": ti_id}).first()) is not None:
            return found
    return None


def _caller(row: Any) -> Caller:
    identity = TaskIdentity(row.dag_id, row.run_id, row.task_id, row.map_index, str(row.ti_id))
    return Caller(identity, row.try_number, is_live=_is_live(row))


def _is_live(row: Any) -> bool:
    from airflow.utils.state import State

    return row.state not in State.finished or _ended_recently(row.end_date)


def _ended_recently(end_date: datetime | None) -> bool:
    from airflow.configuration import conf

    # As long as a token is valid without renewal: callbacks and listeners run after the end was reported.
    seconds = conf.getint("execution_api", "jwt_expiration_time", fallback=_DEFAULT_TOKEN_SECONDS)
    # The worker reports this time: a time in the future must not let a task read forever.
    return end_date is not None and abs(datetime.now(UTC) - end_date) <= timedelta(seconds=seconds)
