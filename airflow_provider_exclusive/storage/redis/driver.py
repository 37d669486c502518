"""
Payloads in Redis or Valkey.

Nothing here is imported from redis-py before the first operation: the client costs a third of a second to import, and
most processes that load this module never use it. This module knows nothing of Airflow.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_random_exponential

from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage.base import Payload, StorageDriver, StoredPayload, Wanted
from airflow_provider_exclusive.storage.object_keys import check_object_key, check_prefix, is_object_key
from airflow_provider_exclusive.storage.redis import transfer
from airflow_provider_exclusive.storage.redis.errors import translated
from airflow_provider_exclusive.storage.redis.server_info import RedisFacts
from airflow_provider_exclusive.storage.redis.settings import RedisSettings, connect_single_node

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

__all__ = ["RedisDriver", "RedisSettings", "connect_single_node"]

_Name = TypeVar("_Name", str, bytes)
_Result = TypeVar("_Result")

_BATCH_KEYS: Final = 200
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 1.0
# A string of Redis ends here, whatever the server's memory.
_MAX_STRING_BYTES: Final = 512 * 1024 * 1024


class RedisDriver(StorageDriver):
    """
    Keeps each payload under a Redis key of its own, with an expiry.

    A write is a plain ``SET``: keys are unique for each write, so repeating it after a lost reply changes nothing,
    whereas ``NX`` would then report a failure that was none.

    Reads are pipelined ``GET`` and ``GETRANGE`` rather than ``MGET``, which a cluster would refuse across slots.

    :param connect: makes a client from the settings without connecting; Airflow's hook comes in here.
    """

    type: ClassVar[str] = "redis"
    max_payload_bytes: int | None = _MAX_STRING_BYTES

    def __init__(
        self, settings: RedisSettings, *, connect: Callable[[RedisSettings], Redis] = connect_single_node
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._clients: dict[int, Redis] = {}
        # No attempt begins that could hang beyond the deadline.
        last_start = stop_before_delay(settings.deadline_seconds - settings.attempt_seconds)
        self._retrying = Retrying(
            retry=retry_if_exception_type(StorageUnavailableError),
            stop=stop_after_attempt(settings.retries + 1) | last_start,
            wait=wait_random_exponential(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS),
            reraise=True,
        )

    def __repr__(self) -> str:
        return f"RedisDriver({self._settings.server!r}, key_prefix={self._settings.key_prefix!r})"

    def store(self, key: str, payload: Payload, *, ttl_seconds: int | None) -> None:
        """Set the key with its expiry in one command."""
        name = self._name(key)
        if len(payload) > _MAX_STRING_BYTES:
            raise StorageError(
                f"A payload of {len(payload):,} bytes does not fit: Redis takes at most {_MAX_STRING_BYTES:,}. Split "
                "the value into several keys, or keep it in object storage and push its URL."
            )
        expiry = None if ttl_seconds is None else ttl_seconds * 1000
        self._round_trip(lambda client: transfer.write(client, name, payload, expiry_ms=expiry))

    def read_many(self, wanted: Sequence[Wanted]) -> None:
        """Read the keys in round trips of bounded length."""
        named = [replace(one, key=self._name(one.key)) for one in wanted]
        for batch in _batches(iter(named)):
            self._round_trip(partial(transfer.read_many, wanted=batch))

    def contains_many(self, keys: Sequence[str]) -> list[bool]:
        """Ask for the lengths, in round trips of bounded length: each scan would walk the whole keyspace."""
        names = [self._name(key) for key in keys]
        return [size > 0 for batch in _batches(iter(names)) for size in self._sizes(batch)]

    def delete(self, key: str) -> None:
        """Unlink the key; the server frees the memory in the background."""
        name = self._name(key)
        self._round_trip(lambda client: transfer.delete(client, name))

    def scan(self, prefix: str = "") -> Iterator[StoredPayload]:
        """
        Walk the keyspace without blocking the server.

        An object that comes or goes meanwhile may or may not be seen; one that goes may show a size of 0.
        """
        check_prefix(prefix)
        pattern = f"{_glob_escaped(self._settings.key_prefix + prefix)}*"
        with translated(self._settings.server):
            found = self._client().scan_iter(match=pattern, count=_BATCH_KEYS, _type="STRING")
            # SCAN may return a key twice while the server resizes its table.
            for batch in _batches(_distinct(map(bytes, found))):
                for name, size in zip(batch, self._sizes(batch), strict=True):
                    key = name.decode("utf-8", "replace").removeprefix(self._settings.key_prefix)
                    if is_object_key(key):
                        yield StoredPayload(key, size)

    def inspect(self) -> RedisFacts:
        """
        Ask the server how it is set up.

        :raises StorageError: if it does not answer, or does not let its user ask.
        """
        info, settings = self._round_trip(lambda client: client.info()), self._settings
        return RedisFacts.from_info(info, settings.host, is_tls=settings.ssl, lets_anyone_in=self._lets_anyone_in())

    def _name(self, key: str) -> str:
        check_object_key(key)
        return self._settings.key_prefix + key

    def _lets_anyone_in(self) -> bool:
        stranger = self._connect(replace(self._settings, username=None, password=None))
        try:
            with translated(self._settings.server):
                return bool(stranger.ping())
        except StorageError:
            return False
        finally:
            stranger.close()

    def _client(self) -> Redis:
        # One client per process: a connection shared with a forked child would mix their answers. setdefault is atomic,
        # so no lock is needed that a fork could copy in the locked state; a surplus client has not connected yet.
        process = os.getpid()
        return self._clients.get(process) or self._clients.setdefault(process, self._connect(self._settings))

    def _sizes(self, names: Sequence[_Name]) -> list[int]:
        return self._pipelined(names, lambda pipeline, name: pipeline.strlen(name))

    def _pipelined(self, names: Sequence[_Name], queue: Callable[[Pipeline, _Name], object]) -> list[Any]:
        def read(client: Redis) -> list[Any]:
            with client.pipeline(transaction=False) as pipeline:
                for name in names:
                    queue(pipeline, name)
                return pipeline.execute()

        return self._round_trip(read)

    def _round_trip(self, operation: Callable[[Redis], _Result]) -> _Result:
        def attempt() -> _Result:
            with translated(self._settings.server):
                return operation(self._client())

        return self._retrying(attempt)


def _batches(names: Iterator[_Result]) -> Iterator[list[_Result]]:
    while batch := list(itertools.islice(names, _BATCH_KEYS)):
        yield batch


def _distinct(names: Iterator[bytes]) -> Iterator[bytes]:
    seen: set[bytes] = set()
    for name in names:
        if name not in seen:
            seen.add(name)
            yield name


def _glob_escaped(text: str) -> str:
    return "".join(f"\\{character}" if character in "*?[]^-\\" else character for character in text)
