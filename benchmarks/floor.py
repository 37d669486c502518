"""
The lower limits for every backend: the bytes through a loopback socket, and the codec alone.

The third part of the floor, Airflow's own round trip for a tiny value, is measured by :mod:`benchmarks.probe`.
"""

from __future__ import annotations

import multiprocessing
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Final

_HOST: Final = "127.0.0.1"
_REQUEST: Final = struct.Struct("!cQ")
_SEND, _RECEIVE, _KEEP, _DONE = b"s", b"r", b"k", b"."
_BLOCK: Final = 1 << 20


@contextmanager
def socket_server() -> Iterator[int]:
    """Run a process that sends and receives bytes, and yield its port; a thread would take time from its client."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield int(ours.recv())
    finally:
        process.terminate()
        process.join()


class Wire:
    """
    A connection to :func:`socket_server`.

    :param port: where it listens.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((_HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fetch(self, size: int) -> bytearray:
        """Request ``size`` bytes and return them in new memory, as every pull must."""
        self._socket.sendall(_REQUEST.pack(_SEND, size))
        received = bytearray(size)
        _receive_into(self._socket, memoryview(received))
        return received

    def send(self, payload: bytes, *, is_kept: bool = False) -> None:
        """Send bytes and wait until they are received; if ``is_kept``, into new memory, as every store must."""
        self._socket.sendall(_REQUEST.pack(_KEEP if is_kept else _RECEIVE, len(payload)))
        self._socket.sendall(payload)
        _receive_into(self._socket, memoryview(bytearray(1)))


def _serve(channel: Connection) -> None:
    with socket.create_server((_HOST, 0)) as listener:
        channel.send(listener.getsockname()[1])
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_answer, args=(client,), daemon=True).start()


def _answer(client: socket.socket) -> None:
    request, block = bytearray(_REQUEST.size), bytearray(_BLOCK)
    payload = bytearray()
    kept = []
    with client:
        while _receive_into(client, memoryview(request)):
            wish, size = _REQUEST.unpack(request)
            if wish == _SEND:
                payload = payload if len(payload) >= size else bytearray(size)
                client.sendall(memoryview(payload)[:size])
                continue
            if wish == _KEEP:
                kept.append(bytearray(size))
                _receive_into(client, memoryview(kept[-1]))
            else:
                for begin in range(0, size, _BLOCK):
                    _receive_into(client, memoryview(block)[: min(_BLOCK, size - begin)])
            client.sendall(_DONE)


def _receive_into(source: socket.socket, buffer: memoryview) -> bool:
    """Fill ``buffer``; return False if the other side has closed."""
    while buffer:
        count = source.recv_into(buffer)
        if not count:
            return False
        buffer = buffer[count:]
    return True
