"""
Seal and open hand-over records, in the worker and in the API server alike.

The trigger task seals the record; each reader opens it with its data keys. This module is separate from
:mod:`~airflow_provider_exclusive.access.hand_over` because parsing a Dag must not load cryptography.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Final

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver
from airflow_provider_exclusive.crypto import sealing
from airflow_provider_exclusive.crypto.data_keys import DataKeys
from airflow_provider_exclusive.exceptions import EnvelopeError
from airflow_provider_exclusive.format.fields import to_timestamp
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN

_CODEC: Final = "hand-over"


def seal_record(hand_over: HandOver, *, producer: TaskIdentity, keys: DataKeys, now: datetime) -> Reference:
    """
    Return the reference of a record, with the record inline, because the API server reads it and has no store.

    :param producer: the trigger task, in its current try.
    :param now: the current time, with a time zone.
    """
    content = json.dumps(hand_over.to_record()).encode()
    reference = Reference(
        producer=producer,
        key=RECORD_KEY,
        scope=OPEN,  # coordinates are not secret; the seal proves who wrote them
        codec=_CODEC,
        size=len(content),
        length=None,
        created_at=to_timestamp(now),
        expires_at=None,
        at=None,
    )
    data_key = sealing.new_data_key()
    payload = sealing.seal(content, data_key=data_key, context=reference.context())
    return replace(keys.protect(data_key, reference), inline=payload)


def open_record(reference: Reference, *, keys: DataKeys) -> HandOver:
    """
    Return the content of a record.

    :param reference: of a record, found at the coordinates that it names.
    :raises EnvelopeError: if :func:`seal_record` did not write it for the producer that it names.
    :raises ConfigurationError: as :meth:`~airflow_provider_exclusive.crypto.data_keys.DataKeys.recover`.
    """
    is_record = (reference.key, reference.codec, reference.scope) == (RECORD_KEY, _CODEC, OPEN)
    if reference.inline is None or not is_record:
        raise _invalid(reference)
    data_key = keys.recover(reference)
    content = sealing.open_sealed(reference.inline, data_key=data_key, context=reference.context())
    try:
        return HandOver.from_record(json.loads(bytes(content)), trigger=reference.producer)
    except (TypeError, ValueError, RecursionError) as malformed:
        raise _invalid(reference) from malformed


def _invalid(reference: Reference) -> EnvelopeError:
    return EnvelopeError(
        f"The XCom {reference.key!r} of {reference.producer} is not a valid hand-over record. Clear and "
        f"re-run task {reference.producer.task_id!r} of that run."
    )
