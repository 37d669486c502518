"""
Pull values for a task: check that each row is the requested one, and open it for this process's task.

Errors are raised as classes that Airflow does not retry, except when the store is unreachable.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final

from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOverLookup, NoHandOverLookup
from airflow_provider_exclusive.access.hand_over_record import open_record
from airflow_provider_exclusive.exceptions import AccessDeniedError, CodecError, EnvelopeError, naming_producer
from airflow_provider_exclusive.execution_time import dag_runs, masking, redaction, running_task
from airflow_provider_exclusive.execution_time.failures import failing_without_retry
from airflow_provider_exclusive.execution_time.running_task import Opened, RunningTask
from airflow_provider_exclusive.format.reference import Reference, is_escaped, is_reference_row
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.wiring import current_audit, current_store
from airflow_provider_exclusive.xcom import declared

log = logging.getLogger(__name__)

_RUNS_CODE: Final = "cloudpickle"


def pull(rows: Sequence[Any], requested: Coordinate | None) -> list[Any]:
    """
    Return the values of ``rows``, opening those that are references.

    :param requested: the requested coordinate; None if it is unknown, as it may be for an item of a lazy sequence.
    :raises AccessDeniedError: if this process's task may not read one of them.
    :raises ExclusiveError: if one cannot be opened, or does not belong at that coordinate.
    """
    with failing_without_retry():
        running = running_task.current()
        with naming_producer({requested.task_id} if requested is not None else ()):
            references = {
                position: _checked_reference(row, requested, running)
                for position, row in enumerate(rows)
                if is_reference_row(row) and not is_escaped(row)
            }
            if requested is not None and requested.map_index is None:
                _require_order_of_map_indexes(list(references.values()))
        with naming_producer({reference.producer.task_id for reference in references.values()}):
            opened = dict(zip(references, _open(list(references.values()), running), strict=True))
        return [
            opened[position] if position in opened else _plain_value(row, requested, running)
            for position, row in enumerate(rows)
        ]


def _checked_reference(row: Mapping[str, Any], requested: Coordinate | None, running: RunningTask | None) -> Reference:
    reference = Reference.from_answer(row)
    here = requested or _lazy_sequence_of(running)
    if here is not None and not here.covers(reference.coordinate):
        raise EnvelopeError(
            f"The requested XCom row holds the reference of another one, {reference.key!r} of {reference.producer}: it "
            "was copied there. Clear and re-run the producer task of the requested XCom."
        )
    return reference


def _require_order_of_map_indexes(references: Sequence[Reference]) -> None:
    """Refuse copies between map indexes: Airflow returns the map indexes of a run in order, each of them once."""
    places = [(reference.producer.run_id, reference.producer.map_index) for reference in references]
    is_ordered = all(before <= after for (_, before), (_, after) in pairwise(places))
    if not is_ordered or len(set(places)) < len(places):
        raise EnvelopeError(
            f"Key {references[0].key!r} of task {references[0].producer.task_id!r}: the row of one map index holds the "
            "reference of another one, because it was copied there. Clear and re-run the producer task."
        )


def _lazy_sequence_of(running: RunningTask | None) -> Coordinate | None:
    """Return what is known about an item of a lazy sequence: Airflow creates it within one run of one Dag."""
    if running is None:
        return None
    return Coordinate(running.identity.dag_id, running.identity.run_id)


def _open(references: list[Reference], running: RunningTask | None) -> list[Any]:
    """Return the values in the order of ``references``; a hand-over record becomes a :class:`HandOver`."""
    records = [reference for reference in references if reference.key == RECORD_KEY]
    if records:
        opened = iter(_open_values([one for one in references if one.key != RECORD_KEY], running))
        keys = current_store().keys
        return [open_record(one, keys=keys) if one.key == RECORD_KEY else next(opened) for one in references]
    return _open_values(references, running)


def _open_values(references: list[Reference], running: RunningTask | None) -> list[Any]:
    if not references:
        return []
    secret = [reference for reference in references if not reference.scope.is_open]
    if secret:
        redaction.prepare()
    reader = running.identity if running else None
    try:
        values = current_store().get_many(
            references,
            reader=reader,
            hand_overs=_hand_overs(running),
            before_decode=partial(_check_agreement, running),
        )
    except AccessDeniedError as denied:
        _audit("denied", secret, reader)
        raise type(denied)(f"{denied}{_declared_at(secret, running)}", reason=denied.reason) from None
    _audit("read", secret, reader)
    for reference, value in zip(references, values, strict=True):
        _note(reference, value, running)
    return values


def _note(reference: Reference, value: Any, running: RunningTask | None) -> None:
    if reference.is_masked:
        masking.mask(value)
    if running is not None and not reference.scope.is_open:
        running.note(Opened(reference.producer.task_id, reference.key, value, reference.size))


def _check_agreement(running: RunningTask | None, reference: Reference) -> None:
    """
    Refuse to unpickle what only its producer wants unpickled: that would let every producer run code in its readers.

    :raises CodecError: unless this Dag declares the producer's codec, or the reading task asks for it.
    """
    if reference.codec != _RUNS_CODE:
        return
    hook = declared.hook_of(reference.producer, running)
    declarations = (hook.outputs if hook is not None else None, declared.outputs_of(running) if running else None)
    if reference.scope.is_open or not any(one is not None and one.codec == _RUNS_CODE for one in declarations):
        raise CodecError(
            f"The output {reference.key!r} of {reference.producer} was pickled, and loading it would run code of its "
            "producer here. Neither the scope of that task in this Dag nor the one of this task says "
            "codec='cloudpickle'. Add it to the task that reads, if it trusts the producer."
        )


def _hand_overs(running: RunningTask | None) -> HandOverLookup:
    return NoHandOverLookup() if running is None else dag_runs.WorkerHandOverLookup(running)


def _audit(event: str, references: Sequence[Reference], reader: TaskIdentity | None) -> None:
    """Log in the task's log who read or was denied what, as far as ``[exclusive] audit`` requires it."""
    if current_audit() != "all" and (event, current_audit()) != ("denied", "denied"):
        return
    for reference in references:
        log.info("exclusive.%s: %s requested %r of %s", event, reader, reference.key, reference.producer)


def _plain_value(row: Any, requested: Coordinate | None, running: RunningTask | None) -> Any:
    producer = declared.exclusive_producer(requested, running)
    if producer is not None:
        raise EnvelopeError(
            f"Expected an exclusive output of task {producer!r}, found a plain value that the task did not write "
            "through this backend (but by REST, another backend or a subprocess, or before the task became exclusive). "
            f"Clear and re-run task {producer!r}."
        )
    return plain_value_of(row)


def _declared_at(references: Sequence[Reference], running: RunningTask | None) -> str:
    """Return a sentence that names the line of the scope, if this process has parsed the producer's Dag."""
    hooks = (declared.hook_of(reference.producer, running) for reference in references)
    line = next((hook.declared_at for hook in hooks if hook is not None and hook.declared_at is not None), None)
    return "" if line is None else f" The scope is declared at {line}."


def plain_value_of(row: Any) -> Any:
    """Return the value of a row that holds no reference; one that looks like a reference was escaped on push."""
    return BaseXCom.deserialize_value(_Stored(row["value"] if is_reference_row(row) else row))


@dataclass(frozen=True, slots=True)
class _Stored:
    """The argument of Airflow's own deserialisation: an object with a value."""

    value: Any
