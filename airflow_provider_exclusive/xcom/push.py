"""
Push and purge values for a task: decide which are exclusive, and check that they belong to the task.

Errors are raised as classes that Airflow does not retry, except when the store is unreachable.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver
from airflow_provider_exclusive.access.hand_over_record import seal_record
from airflow_provider_exclusive.compat.dag import downstream_of, is_airflows_own
from airflow_provider_exclusive.crypto.data_keys import ServerDataKeys
from airflow_provider_exclusive.exceptions import AccessDeniedError, EnvelopeError, InvalidScopeError
from airflow_provider_exclusive.execution_time import key_holder, masking, running_task
from airflow_provider_exclusive.execution_time.failures import failing_without_retry
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.format.reference import (
    Reference,
    escape,
    is_escaped,
    is_reference_row,
    without_answer,
)
from airflow_provider_exclusive.scopes.consumers import RETURN_KEY, OutputDeclaration
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.scopes.scope import OPEN
from airflow_provider_exclusive.store import ExclusiveStore, object_key_of
from airflow_provider_exclusive.wiring import current_driver, current_store, offload_threshold
from airflow_provider_exclusive.xcom import declared

log = logging.getLogger(__name__)


def push(value: Any, target: Coordinate) -> Any:
    """
    Return the content of the row at ``target`` for ``value``.

    :raises AccessDeniedError: if an exclusive task writes outside its own coordinates.
    :raises ExclusiveError: if the value cannot be encoded, sealed or stored.
    """
    running = running_task.current()
    if is_airflows_own(target.key, running.task if running else None):
        return _serialize(value)
    with failing_without_retry():
        if target.key == RECORD_KEY:
            return _push_record(value, target, running)
        outputs = None if running is None else declared.outputs_of(running)
        if running is None or outputs is None:
            return _push_plain(value, target, running)
        if target.key is None or not target.belongs_to(running.identity):
            raise AccessDeniedError(
                f"{running.identity} is exclusive and may write only its own XComs; it tried to write {target}.",
                reason="foreign-coordinate",
            )
        return _push_exclusive(value, target.key, running, outputs)


def purge(row: Any, target: Coordinate) -> None:
    """Remove the payload of ``row``, stored at ``target``; never raises, so that clearing always works."""
    try:
        # It came through the API server, which answers a producer that clears its row as any other reader.
        is_ours = is_reference_row(row) and not is_escaped(row)
        reference = Reference.from_row(without_answer(row)) if is_ours else None
    except EnvelopeError:
        return
    if reference is None or reference.store is None:
        return
    # Anybody may have written this row, so only a payload of the XCom that is being cleared is removed for it.
    if not target.covers(reference.coordinate):
        log.warning("Not purging the payload of %s: its reference was copied to %s.", reference.coordinate, target)
        return
    try:
        driver = current_driver()
        if driver.type == reference.store:
            driver.delete(object_key_of(reference))
    except Exception:
        # Clearing a task must work even if the settings or the store are broken.
        log.warning(
            "Could not purge the payload of %s; it stays until it expires.", reference.coordinate, exc_info=True
        )


def _push_exclusive(value: Any, key: str, running: RunningTask, outputs: OutputDeclaration) -> dict[str, Any]:
    if outputs.mask:
        masking.mask(value)  # first, so that no error or log line on the way shows it
    is_whole = key == RETURN_KEY and getattr(running.task, "multiple_outputs", False) and isinstance(value, Mapping)
    scope = outputs.scope.resolve(
        key,
        producer=running.identity,
        downstream=downstream_of(running.task),
        parts=list(value) if is_whole else None,
    )
    reference = _sealing_store().put(
        value, producer=running.identity, key=key, scope=scope, codec=outputs.codec, mask=outputs.mask
    )
    return reference.to_row()


def _push_record(value: Any, target: Coordinate, running: RunningTask | None) -> dict[str, Any]:
    if not isinstance(value, HandOver) or running is None or not target.belongs_to(running.identity):
        raise InvalidScopeError(
            f"The XCom key {RECORD_KEY!r} is reserved for the hand-over record of ExclusiveTriggerDagRunOperator. "
            "Push under another key."
        )
    store = _sealing_store()
    return seal_record(value, producer=running.identity, keys=store.keys).to_row()


def _push_plain(value: Any, target: Coordinate, running: RunningTask | None) -> Any:
    serialized = _serialize(value)
    row = escape(serialized) if is_reference_row(serialized) else serialized
    if running is None or target.key is None or not target.belongs_to(running.identity):
        return row
    threshold = offload_threshold()
    encoded = json.dumps(serialized).encode() if threshold and isinstance(serialized, (str, list, dict)) else b""
    if not threshold or len(encoded) < threshold:
        return row
    # Encoded as Airflow does, so that a plain task reads exactly what it would read without this backend.
    reference = _sealing_store().put_encoded(
        [encoded], codec="serde", producer=running.identity, key=target.key, scope=OPEN
    )
    return reference.to_row()


def _sealing_store() -> ExclusiveStore:
    """Return the store, once it is certain that somebody can open what is sealed here."""
    store = current_store()
    if isinstance(store.keys, ServerDataKeys):
        key_holder.require(store.keys.key_id)
    return store


def _serialize(value: Any) -> Any:
    return BaseXCom.serialize_value(value)
