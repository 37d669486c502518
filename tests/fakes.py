"""Real, small drivers for tests: one that keeps payloads in memory, one that counts, one that fails on demand."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage.base import Payload, StorageDriver, StoredPayload, Wanted, joined
from airflow_provider_exclusive.storage.object_keys import check_object_key, check_prefix

EVERY_OPERATION = ("store", "read_many", "delete", "scan")


class InMemoryDriver(StorageDriver):
    """Keeps payloads in a dictionary; a forked child has a copy of its own."""

    type = "memory"

    def __init__(self, *, max_payload_bytes: int | None = None) -> None:
        self.max_payload_bytes = max_payload_bytes
        self.payloads: dict[str, bytes] = {}
        self.ttl_seconds: dict[str, int | None] = {}
        self._lock = threading.Lock()

    def store(self, key: str, payload: Payload, *, ttl_seconds: int | None) -> None:
        check_object_key(key)
        with self._lock:
            self.payloads[key] = joined(payload)
            self.ttl_seconds[key] = ttl_seconds

    def read_many(self, wanted: Sequence[Wanted]) -> None:
        for one in wanted:
            check_object_key(one.key)
        with self._lock:
            found = [self.payloads.get(one.key) for one in wanted]
        for one, payload in zip(wanted, found, strict=True):
            one.sink.restart()
            if payload is not None:
                one.sink.write(payload if one.size is None else payload[: one.size + 1])

    def delete(self, key: str) -> None:
        check_object_key(key)
        with self._lock:
            self.payloads.pop(key, None)

    def scan(self, prefix: str = "") -> Iterator[StoredPayload]:
        check_prefix(prefix)
        with self._lock:
            found = [StoredPayload(key, len(payload)) for key, payload in self.payloads.items()]
        return (stored for stored in found if stored.key.startswith(prefix))


class _Wrapper(StorageDriver):
    def __init__(self, inner: StorageDriver) -> None:
        self.inner = inner
        self.type = inner.type  # type: ignore[misc]  # a wrapper is of the type that it wraps
        self.max_payload_bytes = inner.max_payload_bytes

    def _before(self, operation: str) -> None:
        raise NotImplementedError

    def store(self, key: str, payload: Payload, *, ttl_seconds: int | None) -> None:
        self._before("store")
        self.inner.store(key, payload, ttl_seconds=ttl_seconds)

    def read_many(self, wanted: Sequence[Wanted]) -> None:
        self._before("read_many")
        self.inner.read_many(wanted)

    def delete(self, key: str) -> None:
        self._before("delete")
        self.inner.delete(key)

    def scan(self, prefix: str = "") -> Iterator[StoredPayload]:
        self._before("scan")
        return self.inner.scan(prefix)


class CountingDriver(_Wrapper):
    """Counts the calls of each operation in ``calls``, then does them."""

    def __init__(self, inner: StorageDriver | None = None) -> None:
        super().__init__(inner or InMemoryDriver())
        self.calls: Counter[str] = Counter()

    def _before(self, operation: str) -> None:
        self.calls[operation] += 1


class FailingDriver(_Wrapper):
    """
    Raises ``error`` instead of doing one of ``operations``; set ``error`` to None to mend it.

    :param working_calls: how many of those calls still succeed first.
    """

    def __init__(
        self,
        inner: StorageDriver | None = None,
        *,
        error: StorageError | None = None,
        operations: Collection[str] = EVERY_OPERATION,
        working_calls: int = 0,
    ) -> None:
        super().__init__(inner or InMemoryDriver())
        self.error: StorageError | None = error or StorageUnavailableError("The store of this test is down. Retry.")
        self.operations = frozenset(operations)
        self.working_calls = working_calls

    def _before(self, operation: str) -> None:
        if operation not in self.operations or self.error is None:
            return
        if self.working_calls > 0:
            self.working_calls -= 1
            return
        raise self.error
