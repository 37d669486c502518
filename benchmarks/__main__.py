"""``python -m benchmarks``: measure every backend beside Airflow's own, print ratios, write JSON and a chart."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks import latency, load, machine
from benchmarks.chart import draw
from benchmarks.payloads import PAYLOADS
from benchmarks.plan import FULL_PLAN, QUICK_PLAN, Plan
from benchmarks.report import print_report
from benchmarks.results import PUBLISHED, RESULTS
from benchmarks.stacks import BACKENDS, ROOT, Bench, Say, running
from stack.processes import ServerFailedError, stop_on_sigterm

_CHART: Final = ROOT / "docs" / "performance.svg"
_BROKEN, _INTERRUPTED = 2, 130
_WIDTH: Final = 170


def measure(plan: Plan, say: Say) -> dict[str, Any]:
    """
    Measure one backend after the other.

    :raises ServerFailedError: if a server or a run fails.
    """
    measured: dict[str, Any] = {"plan": plan.name, "measured_with": machine.describe(), "stacks": {}}
    for letter in plan.stacks:
        say(f"({letter}) {BACKENDS[letter]}")
        figures = measured["stacks"][letter] = {"backend": BACKENDS[letter]}
        with running(letter, say) as bench:
            for name, measure_part in _parts(plan, is_last=letter == plan.stacks[-1]).items():
                figures[name] = measure_part(bench, plan)
                _write(measured, RESULTS / "partial.json")  # keeps what is measured, even if the next part fails
    return measured


def _parts(plan: Plan, *, is_last: bool) -> dict[str, Callable[[Bench, Plan], Any]]:
    parts: dict[str, Callable[[Bench, Plan], Any]] = {
        "plain": latency.measure_plain,
        "payloads": latency.measure_payloads,
        "first": latency.measure_first,
    }
    if is_last and plan.with_load:
        parts |= {
            "scalars": load.measure_scalars,
            "readers": load.measure_readers,
            "mix": load.measure_mix,
            "mapped": load.measure_mapped,
        }
    return parts


def _write(measured: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def _targets(plan: Plan) -> tuple[Path, Path]:
    """Return the paths of JSON and chart; only a full measurement replaces the published ones."""
    if plan == FULL_PLAN:
        return PUBLISHED, _CHART
    name = "quick" if plan == QUICK_PLAN else "partial"
    return RESULTS / f"{name}.json", RESULTS / f"{name}.svg"


def main(arguments: list[str]) -> int:
    """Measure; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the essentials in three minutes")
    letters = ", ".join(f"{letter} = {backend}" for letter, backend in BACKENDS.items())
    parser.add_argument("--stacks", metavar="LETTERS", help=f"which backends, such as de: {letters}")
    parser.add_argument("--payloads", nargs="+", choices=PAYLOADS, help="only these, and no load")
    options = parser.parse_args(arguments)
    plan = QUICK_PLAN if options.quick else FULL_PLAN
    plan = replace(plan, stacks=options.stacks or plan.stacks)
    if options.payloads:
        plan = replace(plan, payloads=tuple(options.payloads), with_load=False)
    begin = time.monotonic()
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)

    def say(line: str) -> None:
        console.print(f"[{time.monotonic() - begin:5.0f} s] {line}", markup=False, highlight=False)

    with stop_on_sigterm():
        try:
            measured = measure(plan, say)
        except ServerFailedError as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return _BROKEN
        except KeyboardInterrupt:
            print("Interrupted; everything is stopped and removed.", file=sys.stderr)
            return _INTERRUPTED
    print_report(console, measured)
    results, picture = _targets(plan)
    _write(measured, results)
    draw(measured, picture)
    say(f"written: {results.relative_to(ROOT)}, {picture.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
