"""
Payloads read from Redis straight into memory of their size.

redis-py hands over what its parser has collected piece by piece, which for 64 MB takes twice as long and twice the
memory. Only the replies to ``GET`` are read here; commands, connections and every other reply are redis-py's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from redis import Redis

_CHUNK_BYTES: Final = 65536
_END: Final = b"\r\n"


def get_many(client: Redis, names: Sequence[str]) -> list[bytearray | None]:
    """
    Return the values of ``names`` in their order, read in one round trip; None for each that is not there.

    :raises redis.RedisError: as redis-py does. The connection is then given up, for its replies are out of step.
    """
    with _connection_of(client) as connection:
        connection.send_packed_command(connection.pack_commands([("GET", name) for name in names]))
        replies = _Replies(connection)
        return [replies.read() for _ in names]


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
    """Reads bulk replies of RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""

    def __init__(self, connection: Any) -> None:
        self._server = f"{connection.host}:{connection.port}"
        self._socket = connection._sock  # noqa: SLF001  # redis-py reads it only by way of its parser
        self._ahead = b""

    def read(self) -> bytearray | None:
        from redis.connection import DefaultParser
        from redis.exceptions import InvalidResponse

        parser: Any = DefaultParser
        line = self._line()
        if line[:1] == b"-":
            raise parser.parse_error(line[1:].decode("utf-8", "replace"))
        if line[:1] != b"$" or not line[1:].lstrip(b"-").isdigit():
            raise InvalidResponse(f"Protocol error: {line[:20]!r} is no bulk reply")
        size = int(line[1:])
        if size < 0:
            return None
        payload = self._exactly(size)
        self._exactly(len(_END))
        return payload

    def _line(self) -> bytes:
        while _END not in self._ahead:
            self._ahead += self._receive()
        line, _, self._ahead = self._ahead.partition(_END)
        return line

    def _receive(self) -> bytes:
        received: bytes = self._socket.recv(_CHUNK_BYTES)
        self._require(len(received))
        return received

    def _exactly(self, size: int) -> bytearray:
        payload = bytearray(size)
        position = min(size, len(self._ahead))
        payload[:position], self._ahead = self._ahead[:position], self._ahead[position:]
        rest = memoryview(payload)
        while position < size:
            received = self._socket.recv_into(rest[position:])
            self._require(received)
            position += received
        return payload

    def _require(self, received: int) -> None:
        from redis.exceptions import ConnectionError as RedisConnectionError

        if not received:
            raise RedisConnectionError(f"Connection closed by {self._server}")
