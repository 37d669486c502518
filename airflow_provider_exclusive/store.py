"""
The path of a value, and the only place that knows its order.

``put``:  value → codec → payload → sealed under a fresh data key → driver → reference.
``get``:  reference → decision → data key → driver → opened → codec → value.

``get`` is ``put`` read backwards. On ``put`` the bytes lie in the store before anybody sees the reference, so a crash
leaves an orphan and never a dangling reference. This module knows nothing of Airflow.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airflow_provider_exclusive.access import decision
from airflow_provider_exclusive.access.hand_over import HandOverLookup, NoHandOverLookup
from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.codecs.base import CodecRegistry
from airflow_provider_exclusive.crypto import sealing
from airflow_provider_exclusive.crypto.data_keys import DataKeys
from airflow_provider_exclusive.crypto.sealing import Opening, Sealing
from airflow_provider_exclusive.exceptions import EnvelopeError, PayloadNotFoundError, StorageError
from airflow_provider_exclusive.format.fields import to_timestamp
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import ConsumerScope
from airflow_provider_exclusive.storage.base import StorageDriver, Wanted
from airflow_provider_exclusive.storage.object_keys import is_own_object_key, object_key

log = logging.getLogger(__name__)

_NO_HAND_OVERS: Final = NoHandOverLookup()


@dataclass(frozen=True, slots=True)
class ExclusiveStore:
    """
    Seals values into a driver and opens them for those who may read.

    :param inline_bytes: sealed payloads up to this size ride in the reference instead of the driver.
    :param ttl_seconds: life of a payload; None means for ever.
    :param clock: returns the time in UTC.
    """

    driver: StorageDriver
    keys: DataKeys
    codecs: CodecRegistry
    inline_bytes: int = 0
    ttl_seconds: int | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def put(
        self,
        value: Any,
        *,
        producer: TaskIdentity,
        key: str,
        scope: ConsumerScope,
        codec: str | None = None,
    ) -> Reference:
        """
        Keep ``value`` and return its reference.

        :param codec: the codec that the task asks for; None chooses by the value's type.
        :raises CodecError: if the value cannot be encoded.
        :raises StorageError: if it cannot be kept.
        """
        name, pieces = self.codecs.encode(value, codec=codec)
        return self.put_encoded(pieces, codec=name, length=_length(value), producer=producer, key=key, scope=scope)

    def put_encoded(
        self,
        pieces: Sequence[Chunk],
        *,
        codec: str,
        length: int | None,
        producer: TaskIdentity,
        key: str,
        scope: ConsumerScope,
    ) -> Reference:
        """Keep an encoded value, given in pieces; see :meth:`put`."""
        size = sum(map(len, pieces))
        self._check_size(size, key)
        is_inline = size + sealing.TAG_BYTES <= self.inline_bytes
        now = self.clock()
        reference = Reference(
            producer=producer,
            key=key,
            scope=scope,
            codec=codec,
            size=size,
            length=length,
            created_at=to_timestamp(now),
            expires_at=self._expiry(now, is_inline=is_inline),
            at=None if is_inline else f"{self.driver.type}:{object_key(Coordinate.of(producer, key))}",
        )
        return self._seal(pieces, reference)

    def get(
        self, reference: Reference, *, reader: TaskIdentity | None, hand_overs: HandOverLookup = _NO_HAND_OVERS
    ) -> Any:
        """Return the value if ``reader`` may have it; see :meth:`get_many`."""
        (value,) = self.get_many([reference], reader=reader, hand_overs=hand_overs)
        return value

    def get_many(
        self,
        references: Sequence[Reference],
        *,
        reader: TaskIdentity | None,
        hand_overs: HandOverLookup = _NO_HAND_OVERS,
    ) -> list[Any]:
        """
        Return the values in the order of ``references``, or none of them.

        Every decision and every data key comes before the first byte is fetched.

        :param hand_overs: finds what the reader's run was handed.
        :raises AccessDeniedError: if ``reader`` may not have one of them.
        :raises EnvelopeError: if one cannot be opened.
        :raises StorageError: if one is not to be had.
        :raises CodecError: if one cannot be decoded here.
        """
        for reference in references:
            decision.decide(reader, reference, hand_overs)
        data_keys = [self.keys.recover(reference) for reference in references]
        for reference in references:
            self._check_expiry(reference)
        openings = deque(self._fetch(references, data_keys))
        # Each is let go as soon as it is decoded, so that large ones do not all lie in memory twice.
        return [self._open(reference, openings.popleft()) for reference in references]

    def _seal(self, pieces: Sequence[Chunk], reference: Reference) -> Reference:
        data_key = sealing.new_data_key()
        protected = self.keys.protect(data_key, reference)
        if reference.at is None:
            return replace(protected, inline=sealing.seal(*pieces, data_key=data_key, context=reference.context()))
        sealed = Sealing(pieces, data_key=data_key, context=reference.context())
        self.driver.store(_location(reference.at), sealed, ttl_seconds=self.ttl_seconds)
        return protected

    def _fetch(self, references: Sequence[Reference], data_keys: Sequence[bytes]) -> list[Opening]:
        openings, wanted = [], []
        for reference, data_key in zip(references, data_keys, strict=True):
            opening = Opening(reference.size, data_key=data_key, context=reference.context())
            openings.append(opening)
            if reference.inline is not None:
                opening.write(reference.inline)
            else:
                self._check_driver(reference)
                wanted.append(Wanted(_location(str(reference.at)), opening, reference.size + sealing.TAG_BYTES))
        if wanted:
            self.driver.read_many(wanted)
        return openings

    def _open(self, reference: Reference, opening: Opening) -> Any:
        if not opening.has_begun:
            raise PayloadNotFoundError(
                f"The payload of {_describe(reference)} is not in the store any more: it was purged, evicted or "
                f"lost, although it should live until {reference.expires_at or 'it is purged'}. {_cure(reference)}"
            )
        try:
            payload = opening.finish()
        except EnvelopeError as failure:
            self._check_expiry(reference)  # a large one is read piece by piece, and may have gone meanwhile
            raise EnvelopeError(
                f"{_describe(reference)} cannot be opened: its payload is not what the producer wrote. "
                f"{_cure(reference)}"
            ) from failure
        return self.codecs.decode(reference.codec, payload)

    def _check_driver(self, reference: Reference) -> None:
        kind = str(reference.at).partition(":")[0]
        if kind != self.driver.type:
            raise StorageError(
                f"{_describe(reference)} lies in a store of type {kind!r}, but this process is configured for "
                f"{self.driver.type!r}. Point [exclusive] conn_id or storage at the store it was written to, or clear "
                f"the producer task."
            )

    def _check_expiry(self, reference: Reference) -> None:
        if reference.expires_at is not None and datetime.fromisoformat(reference.expires_at) <= self.clock():
            raise PayloadNotFoundError(
                f"{_describe(reference)} expired at {reference.expires_at}. {_cure(reference)} For a longer life "
                "raise [exclusive] ttl_seconds."
            )

    def _check_size(self, size: int, key: str) -> None:
        limits = [sealing.MAX_PAYLOAD_BYTES, (self.driver.max_payload_bytes or 2**63) - sealing.TAG_BYTES]
        if size > min(limits):
            raise StorageError(
                f"The value of key {key!r} is {size:,} bytes encoded; the {self.driver.type} store takes at most "
                f"{min(limits):,}. Split it into several keys, or write it to object storage and push its URL."
            )

    def _expiry(self, now: datetime, *, is_inline: bool) -> str | None:
        if self.ttl_seconds is None or is_inline:
            return None
        return to_timestamp(now + timedelta(seconds=self.ttl_seconds))


def purge(driver: StorageDriver, at: str, *, owner: Coordinate) -> None:
    """
    Remove the payload at ``at``, the place that a reference names; needs no key, and reads nothing else of it.

    A reference can be forged, so it is believed only about payloads of the XCom that is being cleared: an object key
    is derived from its producer's coordinates.

    :param owner: the XCom that is cleared.
    :raises StorageError: if the store does not do it.
    """
    kind, _, location = at.partition(":")
    if kind == driver.type and is_own_object_key(location, owner):
        driver.delete(location)
    else:
        log.warning("Not purging %r: it is not a payload of %s.", at, owner)


def _location(at: str) -> str:
    return at.partition(":")[2]


def _length(value: Any) -> int | None:
    try:
        return len(value)
    except Exception:  # noqa: BLE001 - for people only: a value with a broken __len__ is a value all the same
        return None


def _describe(reference: Reference) -> str:
    return f"The exclusive output {reference.key!r} of {reference.producer}"


def _cure(reference: Reference) -> str:
    return f"Clear task {reference.producer.task_id!r} of that run to write it anew."
