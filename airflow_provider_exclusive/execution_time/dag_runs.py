"""
What a running task finds out about Dag runs: what a run was handed, and outputs by their coordinates.

Everything goes through Airflow's own supervisor and XCom backend, so it is decided and opened like any other pull.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver, read_pointer
from airflow_provider_exclusive.compat.task_runner import find_conf
from airflow_provider_exclusive.exceptions import EnvelopeError
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.scopes.identity import TaskIdentity

_UNMAPPED = -1

MISSING: Any = object()
"""What :func:`pull_output` returns where no XCom is."""


@dataclass(slots=True)
class WorkerHandOverLookup:
    """
    Looks up hand-overs for the task of this process, each at most once.

    :param running: the task of this process.
    """

    running: RunningTask
    _found: dict[tuple[str, str], HandOver | None] = field(default_factory=dict)
    _lock: RLock = field(default_factory=RLock, repr=False)

    def find(self, dag_id: str, run_id: str) -> HandOver | None:
        """
        See :class:`~airflow_provider_exclusive.access.hand_over.HandOverLookup`.

        :raises EnvelopeError: if the run points to a record that is none.
        """
        run = (dag_id, run_id)
        with self._lock:  # what is found so far is for this thread alone, until all is found
            if run not in self._found:
                # A record with a scope of its own would be decided by what this run was handed: itself, without end.
                self._found[run] = None
                try:
                    self._found[run] = self._look_up(dag_id, run_id)
                except BaseException:
                    del self._found[run]
                    raise
            return self._found[run]

    def known(self, dag_id: str, run_id: str) -> HandOver | None:
        """Return what :meth:`find` has found before."""
        with self._lock:
            return self._found.get((dag_id, run_id))

    def _look_up(self, dag_id: str, run_id: str) -> HandOver | None:
        trigger = read_pointer(self.conf_of(dag_id, run_id))
        record = None if trigger is None else _pull_record(trigger)
        if trigger is None or record is None:
            return None
        try:
            hand_over = HandOver.from_record(record, trigger=trigger)
        except (TypeError, ValueError) as malformed:
            raise EnvelopeError(
                f"Run {run_id} of {dag_id} points to the hand-over record of {trigger}, and what lies there is none. "
                f"Clear task {trigger.task_id!r} of that run to write it anew."
            ) from malformed
        return hand_over if hand_over.is_for(dag_id, run_id) else None

    def conf_of(self, dag_id: str, run_id: str) -> Mapping[str, Any] | None:
        """Return the ``conf`` of a run; None if it has none or there is no such run."""
        own = self.running.identity
        if (dag_id, run_id) == (own.dag_id, own.run_id) and (context := _current_context()) is not None:
            conf: Mapping[str, Any] | None = context["dag_run"].conf
            return conf
        return find_conf(dag_id, run_id)


def hand_overs_of(running: RunningTask) -> WorkerHandOverLookup:
    """Return where this process looks up hand-overs, with what it has found so far."""
    if running.hand_overs is None:
        running.hand_overs = WorkerHandOverLookup(running)
    found: WorkerHandOverLookup = running.hand_overs
    return found


def pull_output(where: Mapping[str, str], map_index: int | None) -> Any:
    """
    Return an output, or a list of those of all map indexes.

    :param where: ``dag_id``, ``run_id``, ``task_id`` and ``key``.
    :param map_index: -1 for an unmapped task; None for all map indexes.
    :return: :data:`MISSING` if there is none.
    :raises ExclusiveError: as any pull.
    """
    from airflow.sdk.execution_time.xcom import XCom

    if map_index is not None and (value := XCom.get_one(**where, map_index=map_index)) is not None:
        return value
    values = XCom.get_all(**where)
    if values is None:
        return MISSING
    # Airflow answers None for a missing XCom and for one that holds None; only here they can be told apart.
    return values if map_index is None else None


def pull_result(where: Mapping[str, str]) -> Any:
    """
    Return an output of another Dag, of which is not known whether its task is mapped; of a mapped one, a list.

    :param where: as in :func:`pull_output`.
    :return: :data:`MISSING` if there is none.
    :raises ExclusiveError: as any pull.
    """
    from airflow.sdk.execution_time.xcom import XCom

    if (value := XCom.get_one(**where, map_index=_UNMAPPED)) is not None:
        return value
    values = XCom.get_all(**where)
    if values is None:
        return MISSING
    return None if len(values) == 1 and values[0] is None else values


def _pull_record(trigger: TaskIdentity) -> Any:
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_one(
        key=RECORD_KEY,
        dag_id=trigger.dag_id,
        run_id=trigger.run_id,
        task_id=trigger.task_id,
        map_index=trigger.map_index,
    )


def _current_context() -> Any:
    from airflow.sdk import get_current_context

    try:
        return get_current_context()
    except RuntimeError:
        return None
