"""The narrow contract of a payload store. A driver sees sealed bytes and object keys, never values or scopes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.exceptions import PayloadNotFoundError


class Chunks(Protocol):
    """
    Sealed bytes in pieces, the same each time they are asked for.

    A piece is good until the next one is asked for: it may be memory that is used again.
    """

    def __len__(self) -> int:
        """Return how many bytes they are together."""

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the pieces."""


Payload = bytes | bytearray | Chunks
"""Sealed bytes on their way into a store."""


class Sink(Protocol):
    """Takes sealed bytes as they come out of a store."""

    def restart(self) -> None:
        """Forget what came: reading begins, or begins anew after a failure."""

    def write(self, chunk: Chunk) -> None:
        """Take the next bytes, which are good during this call. An object without bytes comes as one empty piece."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    An object to be read.

    :param sink: where its bytes go; nothing is written to it if the object is not there.
    :param size: how many bytes are expected; None means all that are there. A driver reads at most one more, by which
        the sink notices a larger object: what somebody put into a store does not decide how much is read. Fewer may
        come, and an object without any may look like a missing one.
    """

    key: str
    sink: Sink
    size: int | None = None


def chunks_of(payload: Payload) -> Iterable[Chunk]:
    """Return the pieces of ``payload``."""
    return (payload,) if isinstance(payload, (bytes, bytearray)) else payload


def joined(payload: Payload) -> bytes:
    """Return ``payload`` in one piece, for a client that takes nothing else."""
    return b"".join(map(bytes, chunks_of(payload)))


@dataclass(frozen=True, slots=True)
class StoredPayload:
    """
    One stored object as :meth:`StorageDriver.scan` finds it.

    :param size: bytes.
    """

    key: str
    size: int


class StorageDriver(ABC):
    """
    Keeps sealed payloads under object keys.

    An object key is a relative path of URL-safe segments joined by ``/``; it is unique for each write, so an object is
    never overwritten. Drivers translate every error of their client into
    :class:`~airflow_provider_exclusive.exceptions.StorageError` or one of its subclasses, are safe to use from several
    threads, and survive a fork.
    """

    type: ClassVar[str]
    """A stable word for the kind of store; it goes into references, so it never changes."""

    max_payload_bytes: int | None = None
    """The largest object it takes, in bytes, or None if only space limits it."""

    @abstractmethod
    def store(self, key: str, payload: Payload, *, ttl_seconds: int | None) -> None:
        """
        Keep ``payload`` durably under ``key`` before returning.

        :param ttl_seconds: after this time the object may go; None means it stays.
        :raises StorageUnavailableError: if a retry may help.
        :raises StorageError: if it will not: no space, no permission, too large.
        """

    @abstractmethod
    def read_many(self, wanted: Sequence[Wanted]) -> None:
        """
        Pass the bytes of objects on as they come, for each at most one more than its expected size.

        :raises StorageUnavailableError: if a retry may help.
        :raises StorageError: if it will not.
        """

    def retrieve_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the objects in the order of ``keys``, None for each that is not there; raises as :meth:`read_many`."""
        sinks = [_Collected() for _ in keys]
        self.read_many([Wanted(key, sink) for key, sink in zip(keys, sinks, strict=True)])
        return [sink.payload() for sink in sinks]

    def retrieve(self, key: str) -> bytes:
        """
        Return one object.

        :raises PayloadNotFoundError: if it is not there.
        """
        (payload,) = self.retrieve_many([key])
        if payload is None:
            raise PayloadNotFoundError(f"There is no payload at {self.type}:{key}.")
        return payload

    def contains_many(self, keys: Sequence[str]) -> list[bool]:
        """
        Return whether each object is there, without reading it; an empty one, which nobody seals, may count as missing.

        :raises StorageError: if the store does not say.
        """
        return [any(stored.key == key for stored in self.scan(key)) for key in keys]

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    @abstractmethod
    def scan(self, prefix: str = "") -> Iterator[StoredPayload]:
        """Yield every object whose key starts with ``prefix``, in no order."""


class _Collected:
    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def restart(self) -> None:
        self._chunks.clear()

    def write(self, chunk: Chunk) -> None:
        self._chunks.append(bytes(chunk))

    def payload(self) -> bytes | None:
        return b"".join(self._chunks) if self._chunks else None
