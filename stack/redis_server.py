"""A throw-away Redis with a password, on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from stack.processes import HOST, LeashedProcess, ServerFailedError, free_port, wait_until

_BINARIES = ("redis-server", "valkey-server")


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A running server; it keeps nothing on disk."""

    port: int
    password: str = field(repr=False)

    @property
    def connection(self) -> str:
        """The Airflow connection of type ``exclusive`` that leads to it."""
        return f"exclusive://:{self.password}@{HOST}:{self.port}/0"


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """
    Run a Redis for as long as the context lasts.

    :param options: further options of redis-server, such as ``"--maxmemory", "10mb"``.
    :raises ServerFailedError: if redis-server is not installed or does not start.
    """
    server = RedisServer(free_port(), secrets.token_urlsafe(24))
    with TemporaryDirectory(prefix="exclusive-redis-") as folder:
        # The password is passed in a file: a command line can be read by every user of the machine.
        configuration = Path(folder, "redis.conf")
        configuration.touch(mode=0o600)
        configuration.write_text(
            f'bind {HOST}\nport {server.port}\nrequirepass {server.password}\nsave ""\nappendonly no\ndir {folder}\n'
        )
        process = LeashedProcess(
            "redis-server",
            [binary(), str(configuration), *options],
            environment={"PATH": os.environ.get("PATH", os.defpath)},
            folder=Path(folder),
            log=Path(folder, "redis.log"),
        )
        try:
            wait_until(lambda: _answers(server.port), servers=[process], timeout=10, what="redis-server to listen")
            yield server
        finally:
            process.stop()


def binary() -> str:
    """
    Return the path of redis-server or valkey-server.

    :raises ServerFailedError: if neither is installed.
    """
    for name in _BINARIES:
        if path := shutil.which(name):
            return path
    raise ServerFailedError(
        "redis-server is not installed. Install it with your system's package manager: package redis-server on Debian "
        "and Ubuntu, redis elsewhere (apk, brew), valkey on newer Fedora."
    )


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False
