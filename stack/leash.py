"""
Run a command that cannot outlive its owner: ``python leash.py SIGNAL GRACE COMMAND…``.

The owner holds the other end of this process's standard input. When that pipe closes, however the owner died, the
command gets ``SIGNAL`` and ``GRACE`` seconds; then it and everything that it ever started is killed. Airflow starts
each task in a new process group, so a signal to one group is not enough: on Linux this process adopts orphans and walks
the tree of its descendants.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.1


def main(arguments: list[str]) -> int:
    """
    Run the command until it or its owner ends.

    :param arguments: name of the signal that asks the command to stop, seconds to wait, and the command.
    :return: the exit code of the command.
    """
    stop_signal, grace, *command = arguments
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # This process has one thread, so running Python between fork and exec is safe.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_parent)  # noqa: PLW1509
    try:
        while child.poll() is None and not _owner_is_gone():
            pass
    finally:
        _stop(child, getattr(signal, stop_signal), float(grace))
    return child.returncode


def _owner_is_gone() -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], _POLL_SECONDS)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1)


def _stop(child: subprocess.Popen[bytes], stop_signal: signal.Signals, grace: float) -> None:
    if child.poll() is None:
        child.send_signal(stop_signal)
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace)
    # Outside Linux there is no tree to walk, so only the group is killed.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    while survivors := list(_descendants(os.getpid())):
        for pid in survivors:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap(child)
        time.sleep(_POLL_SECONDS / 10)
    child.wait()


def _reap(child: subprocess.Popen[bytes]) -> None:
    child.poll()
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _descendants(ancestor: int) -> Iterator[int]:
    parents = dict(_running())
    for pid, parent in parents.items():
        elder = parent
        while elder in parents and elder != ancestor:
            elder = parents[elder]
        if elder == ancestor:
            yield pid


def _running() -> Iterator[tuple[int, int]]:
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, parent = status.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                yield int(status.parent.name), int(parent)


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
