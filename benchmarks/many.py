"""
Measure many small values: the growth of the XCom table, and fan-in of up to 10,000 outputs, in a quarter of an hour.

Usage: ``python -m benchmarks.many [--mapped 10 100 …] [--scalar-runs 200]`` with Redis and PostgreSQL's programs
installed. It is the part of ``make bench`` that concerns them, on the hardened backend alone, and writes
``benchmarks/results/many.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks import load, machine
from benchmarks.plan import FULL_PLAN
from benchmarks.results import RESULTS
from benchmarks.stacks import running
from stack.processes import stop_on_sigterm

_HARDENED: Final = "e"
_MEMORY: Final = "api_server_bytes"


def main(arguments: list[str]) -> None:
    """Measure; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many", description=__doc__)
    parser.add_argument("--mapped", nargs="+", type=int, choices=FULL_PLAN.mapped, default=FULL_PLAN.mapped)
    parser.add_argument("--scalar-runs", type=int, default=FULL_PLAN.scalar_runs)
    options = parser.parse_args(arguments)
    plan = replace(FULL_PLAN, mapped=tuple(options.mapped), scalar_runs=options.scalar_runs)
    begin, console = time.monotonic(), Console(width=120)

    def say(line: str) -> None:
        console.print(f"[{time.monotonic() - begin:5.0f} s] {line}", markup=False, highlight=False)

    with stop_on_sigterm(), running(_HARDENED, say) as bench:
        measured = {"measured_with": machine.describe(), "scalars": load.measure_scalars(bench, plan)}
        before = _memory(bench.api_server)
        measured["mapped"] = load.measure_mapped(bench, plan)
        measured[_MEMORY] = {"before": before, "after": _memory(bench.api_server)}
    say(f"memory of the API server: {measured[_MEMORY]}")
    (RESULTS / "many.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def _memory(pids: list[int]) -> int:
    """Return the resident memory of processes in bytes."""
    lines = (line for pid in pids for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines())
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    main(sys.argv[1:])
