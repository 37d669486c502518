"""
Payloads to and from Redis in pieces: none is copied to be sent, and the sink works on one piece while the next arrives.

Large objects are read in blocks, a few of which are on their way at any time: a server that is asked for all at once
copies all of it before it sends the first byte. Commands are written and replies read as the protocol has them (RESP2,
https://redis.io/docs/latest/develop/reference/protocol-spec/); connections, and every reply but these, are redis-py's.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.storage.base import Payload, Sink, Wanted, chunks_of

if TYPE_CHECKING:
    from redis import Redis

_BLOCK_BYTES: Final = 1 << 20
_BATCHES_SENT: Final = 2
_RECEIVE_BYTES: Final = 1 << 18
_PACKET_BYTES: Final = 1 << 16  # shorter pieces go out together
_BATCH_COMMANDS: Final = 200
_LINE_BYTES: Final = 64  # what is looked at for the end of a line at once
_MAX_LINE_BYTES: Final = 1 << 16
_BULK_LENGTH: Final = re.compile(rb"\$(-1|\d{1,10})")
_END: Final = b"\r\n"


def write(client: Redis, name: str, payload: Payload, *, expiry_ms: int | None) -> None:
    """
    Set the key ``name``.

    :raises redis.RedisError: as redis-py does, and if the server does not say that it did.
    """
    with _connection_of(client) as connection:
        connection.send_packed_command(_set_command(name, payload, expiry_ms))
        if connection.read_response() != b"OK":
            raise _protocol_error("SET was not answered with OK")


def delete(client: Redis, name: str) -> None:
    """
    Unlink the key ``name``.

    :raises redis.RedisError: as redis-py does, and if the server does not say how many keys that were.
    """
    if client.unlink(name) not in (0, 1):
        raise _protocol_error("UNLINK was not answered with a number of keys")


def read_many(client: Redis, wanted: Sequence[Wanted]) -> None:
    """
    Pass the values of keys on in the order of ``wanted``; nothing for each that is not there.

    :raises redis.RedisError: as redis-py does. The connection is then given up, for its replies are out of step.
    """
    for one in wanted:
        one.sink.restart()
    with _connection_of(client) as connection:
        replies = _Replies(connection)
        sent: deque[list[_Part]] = deque()
        for batch in _batches(part for one in wanted for part in _parts(one)):
            connection.send_packed_command(connection.pack_commands([part.command for part in batch]))
            sent.append(batch)
            if len(sent) == _BATCHES_SENT:
                replies.pass_on(sent.popleft())
        for batch in sent:
            replies.pass_on(batch)


@dataclass(frozen=True, slots=True)
class _Part:
    """One command and where the bytes of its reply go; ``most`` is how many may come, None for all that are there."""

    command: tuple[str | int, ...]
    sink: Sink
    most: int | None


def _parts(one: Wanted) -> Iterator[_Part]:
    if one.size is None:
        yield _Part(("GET", one.key), one.sink, most=None)
        return
    most = one.size + 1  # so that bytes that somebody added are noticed
    for begin in range(0, most, _BLOCK_BYTES):
        end = min(begin + _BLOCK_BYTES, most)
        yield _Part(("GETRANGE", one.key, begin, end - 1), one.sink, most=end - begin)


def _batches(parts: Iterator[_Part]) -> Iterator[list[_Part]]:
    batch: list[_Part] = []
    for part in parts:
        size = sum(one.most or 0 for one in (*batch, part))
        if batch and (len(batch) == _BATCH_COMMANDS or size > _BLOCK_BYTES):
            yield batch
            batch = []
        batch.append(part)
    if batch:
        yield batch


def _set_command(name: str, payload: Payload, expiry_ms: int | None) -> Iterator[Chunk]:
    options = () if expiry_ms is None else (b"PX", str(expiry_ms).encode())
    packet = bytearray(b"*%d\r\n%s%s$%d\r\n" % (3 + len(options), _bulk(b"SET"), _bulk(name.encode()), len(payload)))
    for chunk in chunks_of(payload):
        if len(packet) + len(chunk) <= _PACKET_BYTES:
            packet += chunk
            continue
        yield packet
        yield chunk
        packet = bytearray()
    yield packet + _END + b"".join(map(_bulk, options))


def _bulk(argument: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(argument), argument)


@contextmanager
def _connection_of(client: Redis) -> Iterator[Any]:
    pool: Any = client.connection_pool
    connection = pool.get_connection()
    try:
        yield connection
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


class _Replies:
    """Reads bulk replies by way of one buffer."""

    def __init__(self, connection: Any) -> None:
        self._server = f"{connection.host}:{connection.port}"
        self._connection = connection
        self._buffer = memoryview(bytearray(_RECEIVE_BYTES))
        self._begin = self._end = 0

    def pass_on(self, parts: Sequence[_Part]) -> None:
        for part in parts:
            size = self._size()
            if size is None:
                continue
            if part.most is None:
                part.sink.write(b"")  # it is there, if empty
            elif size > part.most:
                raise _protocol_error(f"{size} bytes came where {part.most} were asked for")
            self._take(size, part.sink.write)
            self._end_value()

    def _size(self) -> int | None:
        from redis.connection import DefaultParser

        parser: Any = DefaultParser
        line = self._line()
        if line[:1] == b"-":
            raise parser.parse_error(line[1:].decode("utf-8", "replace"))
        length = _BULK_LENGTH.fullmatch(line)
        if length is None:
            raise _protocol_error(f"{line[:20]!r} is not a bulk reply")
        return None if length[1] == b"-1" else int(length[1])

    def _end_value(self) -> None:
        end = bytearray()
        self._take(len(_END), end.extend)
        if end != _END:
            raise _protocol_error("a value is longer than its length")

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(_END):
            if len(line) > _MAX_LINE_BYTES:
                raise _protocol_error("a line does not end")
            ahead = bytes(self._ahead(_LINE_BYTES))
            found = ahead[: ahead.find(_END[-1:]) + 1] or ahead
            self._begin += len(found)
            line += found
        return line[: -len(_END)]

    def _take(self, size: int, write: Callable[[memoryview], None]) -> None:
        while size:
            chunk = self._ahead(size)
            self._begin += len(chunk)
            size -= len(chunk)
            write(chunk)

    def _ahead(self, most: int) -> memoryview:
        """Return at least one byte of what comes next."""
        if self._begin == self._end:
            self._receive()
        return self._buffer[self._begin : min(self._end, self._begin + most)]

    def _receive(self) -> None:
        from redis.exceptions import ConnectionError as RedisConnectionError

        # redis-py reads its socket only by way of its parser.
        received = self._connection._sock.recv_into(self._buffer)  # noqa: SLF001
        if not received:
            raise RedisConnectionError(f"Connection closed by {self._server}")
        self._begin, self._end = 0, received


def _protocol_error(what: str) -> Exception:
    from redis.exceptions import InvalidResponse

    error: Exception = InvalidResponse(f"Protocol error: {what}")
    return error
