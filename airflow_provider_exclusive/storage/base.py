"""The narrow contract of a payload store. A driver sees sealed bytes and object keys, never values or scopes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from airflow_provider_exclusive.exceptions import PayloadNotFoundError

Payload = bytes | bytearray
"""Sealed bytes; what was read is in either form, as the driver comes by it without a copy."""


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
    def retrieve_many(self, keys: Sequence[str]) -> list[Payload | None]:
        """
        Return the objects in the order of ``keys``, None for each that is not there.

        :raises StorageUnavailableError: if a retry may help.
        :raises StorageError: if it will not.
        """

    def retrieve(self, key: str) -> Payload:
        """
        Return one object.

        :raises PayloadNotFoundError: if it is not there.
        """
        (payload,) = self.retrieve_many([key])
        if payload is None:
            raise PayloadNotFoundError(f"There is no payload at {self.type}:{key}.")
        return payload

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    @abstractmethod
    def scan(self, prefix: str = "") -> Iterator[StoredPayload]:
        """Yield every object whose key starts with ``prefix``, in no order."""
