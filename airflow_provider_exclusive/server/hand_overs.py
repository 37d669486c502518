"""Look up what a triggered Dag run was handed, in the metadata database and with the private key."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver, Withdrawn, read_pointer
from airflow_provider_exclusive.access.hand_over_record import open_record
from airflow_provider_exclusive.compat.execution_api import xcom_statement
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.exceptions import EnvelopeError
from airflow_provider_exclusive.format.reference import Reference, is_reference_row
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.server.callers import borrowed_connection

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ServerHandOverLookup:
    """
    Looks up hand-overs for one request, each at most once.

    :param keyring: None if the API server has no private key: then no record can be verified.
    :param session: the database session of the request, whose connection is held for each look-up only.
    """

    keyring: Keyring | None
    session: Any
    _found: dict[tuple[str, str], HandOver | Withdrawn | None] = field(default_factory=dict)

    def find(self, dag_id: str, run_id: str) -> HandOver | Withdrawn | None:
        """See :class:`~airflow_provider_exclusive.access.hand_over.HandOverLookup`."""
        run = (dag_id, run_id)
        if run not in self._found:
            self._found[run] = self._look_up(dag_id, run_id)
        return self._found[run]

    def _look_up(self, dag_id: str, run_id: str) -> HandOver | Withdrawn | None:
        if self.keyring is None:
            return None
        run = {"run_dag_id": dag_id, "run_run_id": run_id}
        with borrowed_connection(self.session) as connection:
            trigger = read_pointer(connection.execute(_confs(), run).scalar())
            if trigger is None:
                return None
            # Iterations of one task in a loop (Airflow 3.4) share their coordinates, so there may be several.
            found = connection.execute(xcom_statement(), {**_coordinates(trigger), "xcom_key": RECORD_KEY}).all()
        if not found:
            return Withdrawn(trigger)
        read = [_read(row, str(ti_id), trigger, self.keyring) for row, ti_id in found if is_reference_row(row)]
        hand_overs = (one for one in read if isinstance(one, HandOver) and one.is_for(dag_id, run_id))
        withdrawn = (one for one in read if isinstance(one, Withdrawn))
        return next(hand_overs, None) or next(withdrawn, None)


def _read(row: Any, ti_id: str, trigger: TaskIdentity, keyring: Keyring) -> HandOver | Withdrawn | None:
    try:
        reference = Reference.from_row(row)
        _check_place(reference, trigger)
        hand_over = open_record(reference, keys=LocalDataKeys(keyring))
    except EnvelopeError as failure:
        log.warning("A run points to the hand-over record of %s, which is invalid: %s", trigger, failure)
        return None
    # Another try wrote it: the task was cleared or retried since.
    return hand_over if reference.producer.ti_id == ti_id else Withdrawn(trigger)


def _check_place(reference: Reference, trigger: TaskIdentity) -> None:
    if not reference.producer.is_same_task_instance(trigger):
        raise EnvelopeError("it was copied from another task")


@cache
def _confs() -> Any:
    from airflow.models.dagrun import DagRun
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import bindparam, select

    # Users can start a run with any conf, by the API or the UI. A pointer is believed only in a run that a task
    # triggered, and then only if that task wrote it: see the guard of triggers.
    return select(DagRun.conf).where(
        DagRun.dag_id == bindparam("run_dag_id"),
        DagRun.run_id == bindparam("run_run_id"),
        DagRun.triggered_by == DagRunTriggeredByType.OPERATOR,
    )


def _coordinates(trigger: TaskIdentity) -> dict[str, str | int]:
    names = ("dag_id", "run_id", "task_id", "map_index")
    return {f"xcom_{name}": getattr(trigger, name) for name in names}
