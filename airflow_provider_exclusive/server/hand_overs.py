"""Look up what a triggered Dag run was handed, in the metadata database and with the private key."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from airflow_provider_exclusive.access.decision import LONGEST_CHAIN
from airflow_provider_exclusive.access.hand_over import CONF_KEY, RECORD_KEY, HandOver, Withdrawn, read_task
from airflow_provider_exclusive.access.hand_over_record import open_record
from airflow_provider_exclusive.compat.execution_api import xcom_statement
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.exceptions import EnvelopeError
from airflow_provider_exclusive.format.reference import Reference, is_reference_row
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.server.callers import borrowed_connection

log = logging.getLogger(__name__)


_Run = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Stored:
    """
    What the database holds about the hand-over to a run.

    :param trigger: the task to which the run points.
    :param records: what is stored where that task keeps its record, each with the id of the present try. Iterations of
        one task in a loop (Airflow 3.4) share their coordinates, so there may be several.
    """

    trigger: TaskIdentity
    records: list[tuple[Any, str]]


@dataclass(slots=True)
class ServerHandOverLookup:
    """
    Looks up hand-overs for one request, each at most once, and those of a chain of triggered runs together.

    :param keyring: None if the API server has no private key: then no record can be verified.
    :param session: the database session of the request, whose connection is held for each look-up only.
    """

    keyring: Keyring | None
    session: Any
    _stored: dict[_Run, _Stored | None] = field(default_factory=dict)
    _found: dict[_Run, HandOver | Withdrawn | None] = field(default_factory=dict)

    def find(self, dag_id: str, run_id: str) -> HandOver | Withdrawn | None:
        """See :class:`~airflow_provider_exclusive.access.hand_over.HandOverLookup`."""
        run = (dag_id, run_id)
        if run not in self._found:
            self._found[run] = self._look_up(run, self.keyring) if self.keyring is not None else None
        return self._found[run]

    def _look_up(self, run: _Run, keyring: Keyring) -> HandOver | Withdrawn | None:
        if run not in self._stored:
            # Opening the records takes longer than fetching them, and needs no connection.
            with borrowed_connection(self.session) as connection:
                self._stored |= _fetch_chain(run, connection)
        stored = self._stored[run]
        if stored is None:
            return None
        if not stored.records:
            return Withdrawn(stored.trigger)
        read = [_read(row, ti_id, stored.trigger, keyring) for row, ti_id in stored.records if is_reference_row(row)]
        hand_overs = (one for one in read if isinstance(one, HandOver) and one.is_for(*run))
        withdrawn = (one for one in read if isinstance(one, Withdrawn))
        return next(hand_overs, None) or next(withdrawn, None)


def _fetch_chain(run: _Run, connection: Any) -> dict[_Run, _Stored | None]:
    """Return what is stored about the hand-over to ``run``, to the run that triggered it, and so on."""
    chain: dict[_Run, _Stored | None] = {}
    while run not in chain and len(chain) < LONGEST_CHAIN:
        stored = chain[run] = _fetch(run, connection)
        if stored is None or not stored.records:
            break
        run = (stored.trigger.dag_id, stored.trigger.run_id)
    return chain


def _fetch(run: _Run, connection: Any) -> _Stored | None:
    parameters = {"run_dag_id": run[0], "run_run_id": run[1]}
    trigger = read_task(connection.execute(_pointers(), parameters).scalar())
    if trigger is None:
        return None
    found = connection.execute(xcom_statement(), {**_coordinates(trigger), "xcom_key": RECORD_KEY}).all()
    return _Stored(trigger, [(row, str(ti_id)) for row, ti_id in found])


def _read(row: Any, ti_id: str, trigger: TaskIdentity, keyring: Keyring) -> HandOver | Withdrawn | None:
    try:
        reference = Reference.from_row(row)
        _check_place(reference, trigger)
        hand_over = open_record(reference, keys=LocalDataKeys(keyring), lazily=True)
    except EnvelopeError as failure:
        log.warning("A run points to the hand-over record of %s, which is invalid: %s", trigger, failure)
        return None
    # Another try wrote it: the task was cleared or retried since.
    return hand_over if reference.producer.ti_id == ti_id else Withdrawn(trigger)


def _check_place(reference: Reference, trigger: TaskIdentity) -> None:
    if not reference.producer.is_same_task_instance(trigger):
        raise EnvelopeError("it was copied from another task")


@cache
def _pointers() -> Any:
    from airflow.models.dagrun import DagRun
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import bindparam, select

    # Only the pointer leaves the database: whoever triggers a run decides how large the rest of its conf is.
    # Users can start a run with any conf, by the API or the UI. A pointer is believed only in a run that a task
    # triggered, and then only if that task wrote it: see the guard of triggers.
    return select(DagRun.conf[CONF_KEY]).where(
        DagRun.dag_id == bindparam("run_dag_id"),
        DagRun.run_id == bindparam("run_run_id"),
        DagRun.triggered_by == DagRunTriggeredByType.OPERATOR,
    )


def _coordinates(trigger: TaskIdentity) -> dict[str, str | int]:
    names = ("dag_id", "run_id", "task_id", "map_index")
    return {f"xcom_{name}": getattr(trigger, name) for name in names}
