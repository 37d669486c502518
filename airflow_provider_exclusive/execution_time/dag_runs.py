"""
Look up Dag runs for a running task: what a run was handed, and outputs by their coordinates.

Every look-up goes through Airflow's supervisor and XCom backend, and is decided on and opened like any other pull.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver, Withdrawn, read_pointer
from airflow_provider_exclusive.compat.task_runner import find_conf
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity

log = logging.getLogger(__name__)

_UNMAPPED = -1

MISSING: Any = object()
"""What :func:`pull_output` returns if there is no XCom."""


@dataclass(frozen=True, slots=True)
class WorkerHandOverLookup:
    """
    Looks up hand-overs for the task of this process, each at most once.

    :param running: the task of this process, which remembers them.
    """

    running: RunningTask

    def find(self, dag_id: str, run_id: str) -> HandOver | Withdrawn | None:
        """
        See :class:`~airflow_provider_exclusive.access.hand_over.HandOverLookup`.

        :raises EnvelopeError: if the run points to a record that is invalid.
        """
        run, found = (dag_id, run_id), self.running.hand_overs
        with self.running.lock:  # no other thread may see an unfinished look-up
            if run not in found:
                # Set first: a record that has a scope is decided on by this same look-up, which would never end.
                found[run] = None
                try:
                    found[run] = self._look_up(dag_id, run_id)
                except BaseException:
                    del found[run]
                    raise
            return found[run]

    def _look_up(self, dag_id: str, run_id: str) -> HandOver | Withdrawn | None:
        trigger = read_pointer(self.conf_of(dag_id, run_id))
        if trigger is None:
            return None
        hand_over = _pull_record(trigger)
        if hand_over is None:
            return Withdrawn(trigger)
        return hand_over if hand_over.is_for(dag_id, run_id) else None

    def conf_of(self, dag_id: str, run_id: str) -> Mapping[str, Any] | None:
        """Return the ``conf`` of a run; None if it has none or there is no such run."""
        own = self.running.identity
        if (dag_id, run_id) == (own.dag_id, own.run_id) and (context := _current_context()) is not None:
            conf: Mapping[str, Any] | None = context["dag_run"].conf
            return conf
        return find_conf(dag_id, run_id)


def pull_output(at: Coordinate) -> Any:
    """
    Return an output; without a map index, the list of the outputs of all map indexes.

    :return: :data:`MISSING` if there is none.
    :raises ExclusiveError: as any pull.
    """
    if at.map_index is not None and (value := _get_one(at)) is not None:
        return value
    values = _get_all(at)
    if values is None:
        return MISSING
    # Airflow returns None for a missing XCom and for one that holds None; only here the two can be distinguished.
    return values if at.map_index is None else None


def pull_result(at: Coordinate) -> Any:
    """
    Return an output of a task in another Dag, which may be mapped or not; for a mapped task, a list.

    :param at: without a map index.
    :return: :data:`MISSING` if there is none.
    :raises ExclusiveError: as any pull.
    """
    if (value := _get_one(replace(at, map_index=_UNMAPPED))) is not None:
        return value
    values = _get_all(at)
    if values is None:
        return MISSING
    return None if len(values) == 1 and values[0] is None else values


def _pull_record(trigger: TaskIdentity) -> HandOver | None:
    record: HandOver | None = _get_one(Coordinate.of(trigger, RECORD_KEY))
    return record


def withdraw_record(trigger: TaskIdentity) -> None:
    """Delete the hand-over record of the task of this process; never raises, so that the reason for it is raised."""
    from airflow.sdk.execution_time.xcom import XCom

    try:
        XCom.delete(**asdict(Coordinate.of(trigger, RECORD_KEY)))
    except Exception:
        log.warning("Could not withdraw the hand-over record of %s.", trigger, exc_info=True)


def _get_one(at: Coordinate) -> Any:
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_one(**asdict(at))


def _get_all(at: Coordinate) -> Any:
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_all(key=at.key, dag_id=at.dag_id, run_id=at.run_id, task_id=at.task_id)


def _current_context() -> Any:
    from airflow.sdk import get_current_context

    try:
        return get_current_context()
    except RuntimeError:
        return None
