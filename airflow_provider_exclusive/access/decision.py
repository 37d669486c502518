"""The one decision about who may read; everything that denies access uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airflow_provider_exclusive.access.hand_over import HandOver, HandOverLookup, NoHandOverLookup, Withdrawn
from airflow_provider_exclusive.exceptions import AccessDeniedError, HandOverWithdrawnError
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import TaskIdentity

_NO_HAND_OVERS: Final = NoHandOverLookup()

LONGEST_CHAIN: Final = 8
"""A run may hand on what it was handed, so its trigger is checked in turn. Runs that trigger each other end here."""


@dataclass(frozen=True, slots=True)
class Permission:
    """
    Why a reader may read.

    :param reason: a stable word for programs: ``open``, ``producer``, ``in-scope``, ``caller`` or ``handed-over``.
    :param trigger: the task that handed the output to the reader's run, if that is the reason.
    """

    reason: str
    trigger: TaskIdentity | None = None


_OPEN: Final = Permission("open")
_PRODUCER: Final = Permission("producer")
_IN_SCOPE: Final = Permission("in-scope")
_CALLER: Final = Permission("caller")


def decide(
    reader: TaskIdentity | None, reference: Reference, hand_overs: HandOverLookup = _NO_HAND_OVERS
) -> Permission:
    """
    Return why ``reader`` may read, or raise AccessDeniedError.

    Permitted are the producer, the readers in the reference's scope, the task that triggered the producer's run if the
    scope says ``"caller"``, and the tasks of a run to which the output was handed by a task that may read it itself.
    All others are denied.

    :param reader: the task instance that requests the value, or None if it is unknown.
    :param reference: a reference whose row was found at the coordinates that it names.
    :param hand_overs: looks up what a run was handed; used only if the scope alone does not permit ``reader``.
    :raises HandOverWithdrawnError: if a hand-over that may have permitted it is withdrawn.
    :raises AccessDeniedError: otherwise, naming the reader, the output, and who may read it.
    """
    if reference.scope.is_open:
        return _OPEN
    if reader is None:
        raise AccessDeniedError(
            f"Access to {_name(reference)} denied: this process has no running task instance, so the reader is "
            "unknown. Pull the value in a task and pass it on (a subprocess, a thread pool in another process and the "
            "callback of a Dag have no task instance).",
            reason="unknown-reader",
        )
    search = _Search(reference, hand_overs)
    permission = search.find_permission(reader, steps=LONGEST_CHAIN)
    if permission is not None:
        return permission
    if search.withdrawn is not None:
        raise HandOverWithdrawnError(
            f"Access denied for now: {reader} requested {_name(reference)}, and may have been handed it by "
            f"{search.withdrawn.source}, {search.withdrawn.cure}"
        )
    raise AccessDeniedError(
        f"Access denied: {reader} requested {_name(reference)}, which may be read by: {reference.scope}. To let it "
        f"read, add {reader.named_by(reference.producer)} to the consumers of {reference.key!r} in "
        f"{reference.producer.task_id!r}, then clear and re-run {reference.producer.task_id!r}"
        f"{_other_way(reader, reference)}."
    )


def _name(reference: Reference) -> str:
    return f"the exclusive output {reference.key!r} of {reference.producer}"


@dataclass(slots=True)
class _Search:
    """
    The search for somebody on whose right a read rests.

    :param withdrawn: a hand-over that is missing now, and may have been that right.
    """

    reference: Reference
    hand_overs: HandOverLookup
    withdrawn: Withdrawn | None = None

    def find_permission(self, reader: TaskIdentity, *, steps: int) -> Permission | None:
        """Return why ``reader`` may read: by itself, or because a task that may read has handed it the output."""
        if reader.is_same_task(self.reference.producer):
            return _PRODUCER
        if self.reference.scope.permits(reader):
            return _IN_SCOPE
        if self._is_caller(reader):
            return _CALLER
        hand_over = self._find_hand_over(reader, steps=steps)
        return Permission("handed-over", hand_over.trigger) if hand_over is not None else None

    def _is_caller(self, reader: TaskIdentity) -> bool:
        if not self.reference.scope.admits_caller:
            return False
        found = self.hand_overs.find(self.reference.producer.dag_id, self.reference.producer.run_id)
        if found is None or not found.trigger.is_same_task_instance(reader):
            return False
        return self._note(found) is not None

    def _find_hand_over(self, reader: TaskIdentity, *, steps: int) -> HandOver | None:
        producer = self.reference.producer
        if not steps or (reader.dag_id, reader.run_id) == (producer.dag_id, producer.run_id):
            return None
        hand_over = self._note(self.hand_overs.find(reader.dag_id, reader.run_id))
        if hand_over is None or not hand_over.covers(self.reference):
            return None
        return hand_over if self.find_permission(hand_over.trigger, steps=steps - 1) is not None else None

    def _note(self, found: HandOver | Withdrawn | None) -> HandOver | None:
        if isinstance(found, Withdrawn):
            self.withdrawn = found
            return None
        return found


def _other_way(reader: TaskIdentity, reference: Reference) -> str:
    producer = reference.producer
    if reference.scope.admits_caller and reader.dag_id != producer.dag_id:
        return "; 'caller' means only the task that triggered this run with ExclusiveTriggerDagRunOperator"
    if reader.run_id != producer.run_id or reader.dag_id != producer.dag_id:
        return ", or hand the output to the reader's run with ExclusiveTriggerDagRunOperator(exclusive_keys=…)"
    return ""
