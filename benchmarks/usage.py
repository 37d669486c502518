"""Resource usage of processes as Linux counts it: processor time in nanoseconds, and peak memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_RESET_HIGH_WATER_MARK: Final = "5"  # see proc(5), /proc/pid/clear_refs


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that all threads of some processes have used so far, in seconds."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(OSError):  # a thread that has just ended
                total += int(thread.read_text().split()[0])
    return total / 1e9


def peak_memory(operation: Callable[[], Any]) -> tuple[Any, int]:
    """Return what ``operation`` returns, and by how many bytes this process grew at most while it ran."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text(_RESET_HIGH_WATER_MARK, encoding="ascii")
    before = _status("VmRSS")
    result = operation()
    return result, _status("VmHWM") - before


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"/proc/self/status has no {field}; the benchmarks need Linux.")
