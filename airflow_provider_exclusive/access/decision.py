"""The one decision about who may read; every place that says no asks it."""

from __future__ import annotations

from typing import Final

from airflow_provider_exclusive.access.hand_over import HandOverLookup, NoHandOverLookup
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import TaskIdentity

_NO_HAND_OVERS: Final = NoHandOverLookup()
# A run that hands on what it was handed is looked into in turn. Runs that trigger each other in a circle end here.
_LONGEST_CHAIN: Final = 32


def decide(reader: TaskIdentity | None, reference: Reference, hand_overs: HandOverLookup = _NO_HAND_OVERS) -> None:
    """
    Let ``reader`` pass or raise.

    The producer passes; so do those whom the reference's scope permits, the task that triggered the producer's run if
    the scope says ``"caller"``, the tasks of a run to which the output was handed by a task that might read it itself,
    and nobody else.

    :param reader: the task instance that asks, or None if it is not known.
    :param reference: a reference whose row was found where the reference says it is.
    :param hand_overs: finds what a run was handed; asked only if the scope alone does not let ``reader`` pass.
    :raises AccessDeniedError: naming who asked, for what, and who may.
    """
    if reference.scope.is_open:
        return
    what = f"the exclusive output {reference.key!r} of {reference.producer}"
    if reader is None:
        raise AccessDeniedError(
            f"Access to {what} denied: no running task instance is known in this process, so there is nobody to "
            "check. Pull it in a task and pass the value on (a subprocess or a thread pool of another process has no "
            "task instance of its own).",
            reason="unknown-reader",
        )
    if not _may_read(reader, reference, hand_overs, steps=_LONGEST_CHAIN):
        raise AccessDeniedError(
            f"Access denied: {reader} asked for {what}, which may be read by: {reference.scope}. To let it read, add "
            f"{reader.named_by(reference.producer)} to the consumers of {reference.producer.task_id!r} and clear that "
            f"task{_other_way(reader, reference)}."
        )


def _may_read(reader: TaskIdentity, reference: Reference, hand_overs: HandOverLookup, *, steps: int) -> bool:
    if reader.is_same_task_instance(reference.producer) or reference.scope.permits(reader):
        return True
    return _is_caller(reader, reference, hand_overs) or _was_handed(reader, reference, hand_overs, steps=steps)


def _is_caller(reader: TaskIdentity, reference: Reference, hand_overs: HandOverLookup) -> bool:
    if not reference.scope.admits_caller:
        return False
    hand_over = hand_overs.find(reference.producer.dag_id, reference.producer.run_id)
    return hand_over is not None and hand_over.trigger.is_same_task_instance(reader)


def _was_handed(reader: TaskIdentity, reference: Reference, hand_overs: HandOverLookup, *, steps: int) -> bool:
    if not steps or (reader.dag_id, reader.run_id) == (reference.producer.dag_id, reference.producer.run_id):
        return False
    hand_over = hand_overs.find(reader.dag_id, reader.run_id)
    if hand_over is None or not hand_over.covers(reference):
        return False
    return _may_read(hand_over.trigger, reference, hand_overs, steps=steps - 1)


def _other_way(reader: TaskIdentity, reference: Reference) -> str:
    producer = reference.producer
    if reference.scope.admits_caller and reader.dag_id != producer.dag_id:
        return "; 'caller' is only the task that triggered this very run with ExclusiveTriggerDagRunOperator"
    if reader.run_id != producer.run_id or reader.dag_id != producer.dag_id:
        return ", or hand it to that run with ExclusiveTriggerDagRunOperator(exclusive_keys=…)"
    return ""
