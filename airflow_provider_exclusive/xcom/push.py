"""
Push and purge as a task sees them: which values are exclusive, and whose they are.

Errors leave here as Airflow should treat them: only an unreachable store is worth a retry.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_exclusive.access.coordinates import Target
from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver
from airflow_provider_exclusive.crypto.sealing import MAX_PAYLOAD_BYTES
from airflow_provider_exclusive.definitions import consumers
from airflow_provider_exclusive.definitions.consumers import ConsumersHook
from airflow_provider_exclusive.exceptions import AccessDeniedError, InvalidScopeError
from airflow_provider_exclusive.execution_time import running_task
from airflow_provider_exclusive.execution_time.failures import failing_without_retry
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.format.reference import escape, is_reference_row
from airflow_provider_exclusive.scopes.declaration import RETURN_KEY
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN
from airflow_provider_exclusive.store import purge as purge_payload
from airflow_provider_exclusive.wiring import current_driver, current_store, offload_threshold
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
    with failing_without_retry():
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
    reference = current_store().put_encoded(
        [payload], codec="serde", length=None, producer=running.identity, key=target.key, scope=OPEN
    )
    return reference.to_row()


def _hook_of(running: RunningTask) -> ConsumersHook | None:
    if running.outputs is None and running.task is not None:
        return consumers.find_hook(running.task)
    hook: ConsumersHook | None = running.outputs
    return hook


def _serialize(value: Any) -> Any:
    return BaseXCom.serialize_value(value)
