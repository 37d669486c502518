"""
Seal and open hand-over records, in the worker and in the API server alike.

The trigger task seals the record; each reader opens it with its data keys. This module is separate from
:mod:`~airflow_provider_exclusive.access.hand_over` because parsing a Dag must not load cryptography.
"""

from __future__ import annotations

import json
from typing import Final

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver
from airflow_provider_exclusive.crypto.data_keys import DataKeys
from airflow_provider_exclusive.exceptions import EnvelopeError, HandOverError
from airflow_provider_exclusive.format.reference import MAX_INLINE_BYTES, Reference, is_reference_row
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN

MAX_RECORD_BYTES: Final = MAX_INLINE_BYTES
"""Of the content. A refused read may have to open one for each run of a chain of triggers."""

_CODEC: Final = "hand-over"


def seal_record(hand_over: HandOver, *, producer: TaskIdentity, keys: DataKeys) -> Reference:
    """
    Return the reference of a record, with the record inline, because the API server reads it and has no store.

    :param producer: the trigger task, in its current try.
    :raises HandOverError: if it names so many outputs that no API server takes it in.
    """
    content = json.dumps(hand_over.to_record()).encode()
    if len(content) > MAX_RECORD_BYTES:
        raise HandOverError(
            f"{producer.task_id!r} hands over {len(hand_over.sources):,} outputs, whose coordinates are "
            f"{len(content):,} bytes; expected at most {MAX_RECORD_BYTES:,}. Hand over fewer outputs: let one task "
            "return them in a dict or a list."
        )
    reference = Reference(
        producer=producer,
        key=RECORD_KEY,
        scope=OPEN,  # coordinates are not secret; the seal proves who wrote them
        codec=_CODEC,
        size=len(content),
    )
    return keys.protect(content, reference)


def open_record(reference: Reference, *, keys: DataKeys, lazily: bool = False) -> HandOver:
    """
    Return the content of a record.

    :param reference: of a record, found at the coordinates that it names.
    :param lazily: see :meth:`~airflow_provider_exclusive.access.hand_over.HandOver.from_record`.
    :raises EnvelopeError: if :func:`seal_record` did not write it for the producer that it names.
    :raises ConfigurationError: as :meth:`~airflow_provider_exclusive.crypto.data_keys.DataKeys.recover`.
    """
    is_record = (reference.key, reference.codec, reference.scope) == (RECORD_KEY, _CODEC, OPEN)
    if reference.store is not None or not is_record or reference.size > MAX_RECORD_BYTES:
        raise _invalid(reference)
    content = keys.recover(reference)
    try:
        return HandOver.from_record(json.loads(content), trigger=reference.producer, lazily=lazily)
    except (TypeError, ValueError, RecursionError) as malformed:
        raise _invalid(reference) from malformed


def check_record_row(row: object) -> None:
    """
    Refuse what cannot be the row of a record, before it is stored where every refused read of a run looks.

    :param row: that a task wants to store under :data:`RECORD_KEY`.
    :raises EnvelopeError: if it is no reference, or too large.
    """
    if not isinstance(row, dict) or not is_reference_row(row) or Reference.from_row(row).store is not None:
        raise EnvelopeError(f"The XCom key {RECORD_KEY!r} is reserved for hand-over records. Push under another key.")


def _invalid(reference: Reference) -> EnvelopeError:
    return EnvelopeError(
        f"The XCom {reference.key!r} of {reference.producer} is not a valid hand-over record. Clear and "
        f"re-run task {reference.producer.task_id!r} of that run."
    )
