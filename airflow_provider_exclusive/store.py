"""
Write and read exclusive values; the only module that knows the order of the steps.

``put``:  value → codec → encoded value → sealed under a fresh data key → payload → driver → reference.
``get``:  reference → decision → data key → driver → payload → opened → codec → value.

A small value needs no driver: encoded, it takes the place of the data key in its reference. ``get`` reverses the steps
of ``put``. ``put`` stores the payload before anybody sees the reference, so a crash leaves an orphaned payload and
never a dangling reference. This module does not depend on Airflow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import ConsumerScope
from airflow_provider_exclusive.storage.base import StorageDriver, Wanted
from airflow_provider_exclusive.storage.object_keys import new_object_id, object_key

_LIMIT: Final = "[exclusive] max_value_bytes"
_NO_HAND_OVERS: Final = NoHandOverLookup()


@dataclass(frozen=True, slots=True)
class ExclusiveStore:
    """
    A store that seals values, keeps them in a driver and opens them for readers that may read them.

    :param open_driver: returns the driver. It is called only for values that are not in the row: most are small, and to
        find the connection of the store takes a task as long as a pull.
    :param inline_bytes: sealed values up to this size are stored in the reference instead of the driver.
    :param ttl_seconds: how long a payload is kept; None means for ever.
    :param max_value_bytes: larger encoded values are neither stored nor fetched; None means what the store accepts.
    :param clock: returns the time in UTC.
    """

    open_driver: Callable[[], StorageDriver]
    keys: DataKeys
    codecs: CodecRegistry
    inline_bytes: int = 0
    ttl_seconds: int | None = None
    max_value_bytes: int | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def driver(self) -> StorageDriver:
        """
        The driver that has the payloads.

        :raises ConfigurationError: if the store is not set up.
        """
        return self.open_driver()

    def put(
        self,
        value: Any,
        *,
        producer: TaskIdentity,
        key: str,
        scope: ConsumerScope,
        codec: str | None = None,
        mask: bool = False,
    ) -> Reference:
        """
        Store ``value`` and return its reference.

        :param codec: name of the codec that the task requests; None chooses by the value's type.
        :param mask: whether whoever opens the value masks it in logs.
        :raises CodecError: if the value cannot be encoded.
        :raises StorageError: if the payload cannot be stored.
        """
        name, pieces = self.codecs.encode(value, codec=codec)
        return self.put_encoded(pieces, codec=name, producer=producer, key=key, scope=scope, mask=mask)

    def put_encoded(
        self,
        pieces: Sequence[Chunk],
        *,
        codec: str,
        producer: TaskIdentity,
        key: str,
        scope: ConsumerScope,
        mask: bool = False,
    ) -> Reference:
        """Store an encoded value, given in pieces, and return its reference; see :meth:`put`."""
        size = sum(map(len, pieces))
        is_inline = size + sealing.TAG_BYTES <= self.inline_bytes
        self._check_size(size, key, is_inline=is_inline)
        reference = Reference(
            producer=producer,
            key=key,
            scope=scope,
            codec=codec,
            size=size,
            expires_at=None if is_inline else self._expiry(),
            store=None if is_inline else self.driver.type,
            object_id=b"" if is_inline else new_object_id(),
            is_masked=mask,
        )
        return self._seal(pieces, reference)

    def get(
        self, reference: Reference, *, reader: TaskIdentity | None, hand_overs: HandOverLookup = _NO_HAND_OVERS
    ) -> Any:
        """Return the value if ``reader`` may read it; see :meth:`get_many`."""
        (value,) = self.get_many([reference], reader=reader, hand_overs=hand_overs)
        return value

    def get_many(
        self,
        references: Sequence[Reference],
        *,
        reader: TaskIdentity | None,
        hand_overs: HandOverLookup = _NO_HAND_OVERS,
        before_decode: Callable[[Reference], None] | None = None,
    ) -> list[Any]:
        """
        Return the values in the order of ``references``; if one of them fails, return none.

        All decisions are made and all data keys are recovered before the first byte is fetched.

        :param hand_overs: looks up what was handed to the reader's run.
        :param before_decode: called with each reference after its payload was authenticated; refuses by raising.
        :raises AccessDeniedError: if ``reader`` may not read one of the values.
        :raises EnvelopeError: if one cannot be opened.
        :raises StorageError: if a payload is missing or cannot be read.
        :raises CodecError: if one cannot be decoded here.
        """
        for reference in references:
            decision.decide(reader, reference, hand_overs)
        secrets = [self.keys.recover(reference) for reference in references]
        for reference in references:
            self._check_expiry(reference)
            self._check_fetched_size(reference)
        openings = deque(self._fetch(references, secrets))
        # Each is released as soon as it is decoded, so that large values are not all in memory twice.
        return [
            self._decode(reference, self._open(reference, openings.popleft(), secret), before_decode)
            for reference, secret in zip(references, secrets, strict=True)
        ]

    def _seal(self, pieces: Sequence[Chunk], reference: Reference) -> Reference:
        if reference.store is None:
            return self.keys.protect(b"".join(pieces), reference)
        data_key = sealing.new_data_key()
        protected = self.keys.protect(data_key, reference)
        sealed = Sealing(pieces, data_key=data_key, context=reference.context())
        self.driver.store(object_key_of(reference), sealed, ttl_seconds=self.ttl_seconds)
        return protected

    def _fetch(self, references: Sequence[Reference], secrets: Sequence[bytes]) -> list[Opening | None]:
        """Return the payloads of those values that are in the driver."""
        openings: list[Opening | None] = []
        wanted = []
        for reference, data_key in zip(references, secrets, strict=True):
            if reference.store is None:
                openings.append(None)
                continue
            self._check_driver(reference)
            opening = Opening(reference.size, data_key=data_key, context=reference.context())
            openings.append(opening)
            wanted.append(Wanted(object_key_of(reference), opening, reference.size + sealing.TAG_BYTES))
        if wanted:
            self.driver.read_many(wanted)
        return openings

    def _open(self, reference: Reference, opening: Opening | None, secret: bytes) -> bytearray | memoryview:
        """Return the encoded value, in memory that nothing else uses."""
        if opening is None:
            if len(secret) != reference.size:
                raise sealing.cannot_be_opened()
            return bytearray(secret)
        if not opening.has_begun:
            raise PayloadNotFoundError(
                f"{_describe(reference)} has no payload in the store: it was purged, evicted or lost, although it "
                f"should be kept until {reference.expires_at or 'it is purged'}. {_cure(reference)}"
            )
        try:
            return opening.finish()
        except EnvelopeError as failure:
            self._check_expiry(reference)  # a large payload is read piece by piece and may have expired meanwhile
            raise EnvelopeError(
                f"{_describe(reference)} cannot be opened: its payload is not what the producer wrote. "
                f"{_cure(reference)}"
            ) from failure

    def _decode(
        self,
        reference: Reference,
        encoded: bytearray | memoryview,
        before_decode: Callable[[Reference], None] | None,
    ) -> Any:
        if before_decode is not None:
            before_decode(reference)
        return self.codecs.decode(reference.codec, encoded)

    def _check_driver(self, reference: Reference) -> None:
        if reference.store != self.driver.type:
            raise StorageError(
                f"{_describe(reference)} was written to a store of type {reference.store!r}, but this process is "
                f"configured for {self.driver.type!r}. Set [exclusive] conn_id or storage to the store that holds the "
                "value, or clear and re-run the producer task."
            )

    def _check_expiry(self, reference: Reference) -> None:
        if reference.is_expired(self.clock()):
            raise PayloadNotFoundError(
                f"{_describe(reference)} expired at {reference.expires_at}. {_cure(reference)} To keep "
                "values longer, raise [exclusive] ttl_seconds."
            )

    def _check_fetched_size(self, reference: Reference) -> None:
        """Check the size that the producer stated, which is authenticated, before any memory is taken for it."""
        if self.max_value_bytes is not None and reference.size > self.max_value_bytes:
            raise StorageError(
                f"{_describe(reference)} is {reference.size:,} bytes encoded; {_LIMIT} allows at most "
                f"{self.max_value_bytes:,} here. Raise it where this task runs, or push the value in smaller parts."
            )

    def _check_size(self, size: int, key: str, *, is_inline: bool) -> None:
        if self.max_value_bytes is not None and size > self.max_value_bytes:
            raise StorageError(
                f"The value of key {key!r} is {size:,} bytes encoded; {_LIMIT} allows at most "
                f"{self.max_value_bytes:,}. Raise it in every component, split the value into several keys, or write "
                "it to object storage and push its URL."
            )
        if is_inline:
            return
        limits = [sealing.MAX_PAYLOAD_BYTES, (self.driver.max_payload_bytes or 2**63) - sealing.TAG_BYTES]
        if size > min(limits):
            raise StorageError(
                f"The value of key {key!r} is {size:,} bytes encoded; the {self.driver.type} store accepts at most "
                f"{min(limits):,}. Split it into several keys, or write it to object storage and push its URL."
            )

    def _expiry(self) -> str | None:
        return None if self.ttl_seconds is None else to_timestamp(self.clock() + timedelta(seconds=self.ttl_seconds))


def object_key_of(reference: Reference) -> str:
    """Return the object key of the payload of ``reference``, which is one of its own coordinate, whatever it says."""
    return object_key(reference.coordinate, reference.object_id)


def _describe(reference: Reference) -> str:
    return f"The exclusive output {reference.key!r} of {reference.producer}"


def _cure(reference: Reference) -> str:
    return f"Clear and re-run task {reference.producer.task_id!r} of that run."
