"""
Push, pull and purge as a task sees them: which values are exclusive, whose they are, and what a row may be taken for.

Errors leave here as Airflow should treat them: only an unreachable store is worth a retry.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_exclusive.access.coordinates import Requested, Target
from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver, HandOvers, NoHandOvers
from airflow_provider_exclusive.crypto.sealing import MAX_PAYLOAD_BYTES
from airflow_provider_exclusive.definitions import consumers
from airflow_provider_exclusive.definitions.consumers import ConsumersHook
from airflow_provider_exclusive.exceptions import AccessDeniedError, EnvelopeError, InvalidScopeError
from airflow_provider_exclusive.execution_time import dag_runs, redaction, running_task
from airflow_provider_exclusive.execution_time.failures import final_errors
from airflow_provider_exclusive.execution_time.running_task import Opened, RunningTask
from airflow_provider_exclusive.format.reference import Reference, escape, is_escaped, is_reference_row
from airflow_provider_exclusive.scopes.declaration import RETURN_KEY
from airflow_provider_exclusive.scopes.scope import OPEN, TaskIdentity
from airflow_provider_exclusive.store import purge as purge_payload
from airflow_provider_exclusive.wiring import current_audit, current_driver, current_store, offload_threshold
from airflow_provider_exclusive.xcom import declared

log = logging.getLogger(__name__)


def push(value: Any, target: Target) -> Any:
    """
    Return what the row at ``target`` holds for ``value``.

    :raises AccessDeniedError: if an exclusive task writes elsewhere than at its own coordinates.
    :raises ExclusiveError: if the value cannot be encoded, sealed or stored.
    """
    running = running_task.current()
    if declared.is_airflows_own(target.key, running.task if running else None):
        return _serialize(value)
    with final_errors():
        if target.key == RECORD_KEY:
            return _push_record(value, target, running)
        hook = None if running is None else _hook_of(running)
        if running is None or hook is None:
            return _push_plain(value, target, running)
        if not target.belongs_to(running.identity):
            raise AccessDeniedError(
                f"{running.identity} is exclusive and may write only its own XComs; it tried to write key "
                f"{target.key!r} of {target.dag_id}.{target.task_id} (run {target.run_id}).",
                reason="foreign-coordinate",
            )
        return _push_exclusive(value, str(target.key), running, hook)


def pull(rows: Sequence[Any], requested: Requested | None) -> list[Any]:
    """
    Return the values of ``rows``, opening those that are references.

    :param requested: what was asked for, or None for an item of a lazy sequence, of which Airflow says nothing.
    :raises AccessDeniedError: if this process's task may not read one of them.
    :raises ExclusiveError: if one cannot be opened, or is not what stands at that coordinate.
    """
    with final_errors():
        running = running_task.current()
        references = {
            position: _checked_reference(row, requested, running)
            for position, row in enumerate(rows)
            if is_reference_row(row) and not is_escaped(row)
        }
        if requested is not None and requested.map_index is None:
            _require_order_of_map_indexes(list(references.values()))
        opened = dict(zip(references, _open(list(references.values()), running), strict=True))
        return [
            opened[position] if position in opened else _plain_value(row, requested, running)
            for position, row in enumerate(rows)
        ]


def purge(row: Any, target: Target) -> None:
    """Remove the payload behind ``row``, which stood at ``target``; never raises, so that clearing always works."""
    at = row.get("at") if is_reference_row(row) else None
    if not isinstance(at, str):
        return
    try:
        map_index = -1 if target.map_index is None else target.map_index
        owner = TaskIdentity(str(target.dag_id), str(target.run_id), str(target.task_id), map_index)
        purge_payload(current_driver(), at, owner=owner, key=target.key_as_pushed(row))
    except Exception:
        # Whatever is broken, from settings to the store: clearing the task is how it gets mended.
        log.warning("Could not purge %s; the payload stays until it expires.", at, exc_info=True)


def _push_exclusive(value: Any, key: str, running: RunningTask, hook: ConsumersHook) -> dict[str, Any]:
    is_whole = key == RETURN_KEY and getattr(running.task, "multiple_outputs", False) and isinstance(value, Mapping)
    scope = hook.declaration.resolve(
        key,
        producer=running.identity,
        downstream=consumers.downstream_of(running.task),
        parts=list(value) if is_whole else None,
    )
    reference = current_store().put(value, producer=running.identity, key=key, scope=scope, codec=hook.codec)
    return reference.to_row()


def _push_record(value: Any, target: Target, running: RunningTask | None) -> dict[str, Any]:
    if not isinstance(value, HandOver) or running is None or not target.belongs_to(running.identity):
        raise InvalidScopeError(
            f"The XCom key {RECORD_KEY!r} is reserved for the record that ExclusiveTriggerDagRunOperator writes about "
            "its own task. Push under another key."
        )
    # The API server reads it and knows no store, so it rides in the row. It holds coordinates, which are no secret;
    # the seal is there to say who wrote them.
    store = replace(current_store(), inline_bytes=MAX_PAYLOAD_BYTES)
    return store.put(value, producer=running.identity, key=RECORD_KEY, scope=OPEN).to_row()


def _push_plain(value: Any, target: Target, running: RunningTask | None) -> Any:
    row = _serialize(value)
    if is_reference_row(row):
        row = escape(row)
    if running is None or target.key is None or not target.belongs_to(running.identity):
        return row
    threshold = offload_threshold()
    payload = json.dumps(row).encode() if threshold and isinstance(row, (str, list, dict)) else b""
    if not threshold or len(payload) < threshold:
        return row
    # Encoded as Airflow itself would, so that a plain task gets back exactly what it would get from Airflow.
    reference = current_store().put_payload(
        [payload], codec="serde", length=None, producer=running.identity, key=target.key, scope=OPEN
    )
    return reference.to_row()


def _open(references: list[Reference], running: RunningTask | None) -> list[Any]:
    if not references:
        return []
    secret = [reference for reference in references if not reference.scope.is_open]
    if secret:
        redaction.prepare()
    reader = running.identity if running else None
    try:
        values = current_store().get_many(references, reader=reader, hand_overs=_hand_overs(running))
    except AccessDeniedError as denied:
        _audit("denied", secret, reader)
        raise AccessDeniedError(f"{denied}{_declared_at(secret, running)}", reason=denied.reason) from None
    _audit("read", secret, reader)
    if running is not None:
        for reference, value in zip(references, values, strict=True):
            if not reference.scope.is_open:
                running.note(Opened(reference.producer.task_id, reference.key, value, reference.size))
    return values


def _hand_overs(running: RunningTask | None) -> HandOvers:
    return NoHandOvers() if running is None else dag_runs.hand_overs_of(running)


def _audit(event: str, references: Sequence[Reference], reader: TaskIdentity | None) -> None:
    """Write who read or was denied what to the task's log, as far as ``[exclusive] audit`` asks for it."""
    if current_audit() != "all" and (event, current_audit()) != ("denied", "denied"):
        return
    for reference in references:
        log.info("exclusive.%s: %s asked for %r of %s", event, reader, reference.key, reference.producer)


def _checked_reference(row: Mapping[str, Any], requested: Requested | None, running: RunningTask | None) -> Reference:
    reference = Reference.from_answer(row)
    here = requested or _lazy_sequence_of(running)
    if here is not None and not here.matches(reference):
        raise EnvelopeError(
            f"The XCom row that was asked for holds the reference of another one, {reference.key!r} of "
            f"{reference.producer}: it was copied there. Clear the producer task to write it anew."
        )
    return reference


def _require_order_of_map_indexes(references: Sequence[Reference]) -> None:
    """Refuse copies between map indexes: Airflow answers a pull of all of them in their order, each of a run once."""
    places = [(reference.producer.run_id, reference.producer.map_index) for reference in references]
    is_ordered = all(before <= after for (_, before), (_, after) in pairwise(places))
    if not is_ordered or len(set(places)) < len(places):
        raise EnvelopeError(
            f"Among the map indexes of key {references[0].key!r} of task {references[0].producer.task_id!r}, a row "
            "holds the reference of another one: it was copied there. Clear the producer task to write them anew."
        )


def _lazy_sequence_of(running: RunningTask | None) -> Requested | None:
    """Return all that is known about an item of a lazy sequence: Airflow only makes them within one run of one Dag."""
    if running is None:
        return None
    return Requested(running.identity.dag_id, running.identity.run_id, None, None, None)


def _plain_value(row: Any, requested: Requested | None, running: RunningTask | None) -> Any:
    producer = declared.exclusive_producer(requested, running)
    if producer is not None:
        raise EnvelopeError(
            f"An output of task {producer!r} was asked for and a plain value lies there, but that task is exclusive: "
            "the value was not written by it through this backend (but by REST, another backend, a subprocess, or "
            "before the task became exclusive). Clear the task to write it anew."
        )
    return _deserialize(row["value"] if is_reference_row(row) else row)


def _hook_of(running: RunningTask) -> ConsumersHook | None:
    if running.outputs is None and running.task is not None:
        return consumers.find_hook(running.task)
    hook: ConsumersHook | None = running.outputs
    return hook


def _declared_at(references: Sequence[Reference], running: RunningTask | None) -> str:
    """Name the line of the scope, if the producer is in the Dag that this process has parsed."""
    dag = getattr(running.task, "dag", None) if running else None
    if dag is None:
        return ""
    for reference in references:
        task = dag.task_dict.get(reference.producer.task_id) if reference.producer.dag_id == dag.dag_id else None
        hook = consumers.find_hook(task) if task is not None else None
        if hook is not None and hook.declared_at is not None:
            return f" The scope is declared at {hook.declared_at}."
    return ""


def _serialize(value: Any) -> Any:
    return BaseXCom.serialize_value(value)


def _deserialize(row: Any) -> Any:
    return BaseXCom.deserialize_value(_Stored(row))


@dataclass(frozen=True, slots=True)
class _Stored:
    """What Airflow's own deserialisation takes: something with a value."""

    value: Any
