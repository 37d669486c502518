"""Servers as child processes that end with their owner."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from stack import leash

HOST = "127.0.0.1"


class ServerFailedError(RuntimeError):
    """A server did not start, or stopped by itself; the message ends with its last output."""


class LeashedProcess:
    """
    A running command whose whole process tree ends on :meth:`stop` or with this process, whichever is first.

    :param name: what to call it in messages.
    :param log: the file that receives its output.
    :param stop_signal: the signal that asks it to stop.
    :param grace: seconds to wait for that before it is killed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: float = 3.0,
    ) -> None:
        self.name = name
        self.log = log
        self._grace = grace
        holder = [sys.executable, "-I", "-S", leash.__file__, stop_signal.name, str(grace)]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*holder, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is for the owner, which then stops its servers in order
            )

    def check(self) -> None:
        """
        Return if the command is running.

        :raises ServerFailedError: if it has ended.
        """
        code = self._process.poll()
        if code is not None:
            raise ServerFailedError(f"{self.name} ended with exit code {code}:\n{self.log_tail()}")

    def finish(self, timeout: float) -> None:
        """
        Wait for a command that ends by itself.

        :param timeout: seconds.
        :raises ServerFailedError: if it fails or takes longer.
        """
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise ServerFailedError(f"{self.name} took more than {timeout:g} s:\n{self.log_tail()}") from None
        self.let_go()
        if code:
            raise ServerFailedError(f"{self.name} ended with exit code {code}:\n{self.log_tail()}")

    def let_go(self) -> None:
        """Ask it to stop without waiting, so that several can stop at once."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def stop(self) -> None:
        """Stop it and everything it started, and wait until they are gone."""
        self.let_go()
        self._process.wait(self._grace + 10)

    def log_tail(self, lines: int = 25) -> str:
        """Return the end of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def free_port() -> int:
    """Return a loopback port that no process listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(ready: Callable[[], bool], *, servers: Sequence[LeashedProcess], timeout: float, what: str) -> None:
    """
    Return as soon as ``ready()`` is true.

    :param servers: processes that must keep running meanwhile.
    :param timeout: seconds.
    :param what: what to call it in the message.
    :raises ServerFailedError: if time runs out or a server ends.
    """
    deadline = time.monotonic() + timeout
    while not ready():
        for server in servers:
            server.check()
        if time.monotonic() > deadline:
            tails = "\n".join(f"--- {server.name}:\n{server.log_tail()}" for server in servers)
            raise ServerFailedError(f"Waited {timeout:g} s for {what} without success.\n{tails}")
        time.sleep(0.1)


@contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that every ``with`` block cleans up."""

    def _raise(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
