"""
Measure what importing ``exclusive_task`` adds to importing Airflow's own authoring interface.

``python benchmarks/import_time.py [--rounds 7] [--most 30]`` starts fresh interpreters, taking turns with and without
the import, and prints medians in milliseconds of processor time, which other work on the machine disturbs least. Both
are timed from inside, so starting Python does not count. Importing Airflow takes seconds and varies by more than the
difference, so the import statement alone is timed as well; the promise is about that one. The exit status is 1 if the
promise is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PROMISED_MILLISECONDS: Final = 30
ROUNDS: Final = 7
PROGRAM: Final = """
import json, sys, time
start = time.process_time()
import airflow.sdk
from airflow.sdk import dag, task
between, loaded = time.process_time(), set(sys.modules)
{statement}
end = time.process_time()
print(json.dumps([1000 * (end - start), 1000 * (end - between), sorted(set(sys.modules) - loaded)]))
"""
WITHOUT: Final = PROGRAM.format(statement="")
WITH: Final = PROGRAM.format(statement="from airflow_provider_exclusive import exclusive_task")


@dataclass(frozen=True, slots=True)
class Import:
    """
    One fresh interpreter.

    :param total: all imports, in milliseconds.
    :param added: the last one alone, in milliseconds.
    :param modules: what the last one loaded.
    """

    total: float
    added: float
    modules: Sequence[str]


def measure(program: str, environment: dict[str, str]) -> Import:
    """Run ``program`` in a new interpreter."""
    done = subprocess.run([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, check=True)
    return Import(*json.loads(done.stdout.splitlines()[-1]))


def measure_all(rounds: int) -> tuple[list[Import], list[Import]]:
    """Measure with and without, taking turns, after one round that only compiles and warms the disk cache."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    runs: dict[str, list[Import]] = {WITH: [], WITHOUT: []}
    with tempfile.TemporaryDirectory(prefix="airflow-home-") as home:
        for turn in range(rounds + 1):
            for program in (WITH, WITHOUT) if turn % 2 else (WITHOUT, WITH):
                runs[program].append(measure(program, kept | {"AIRFLOW_HOME": home}))
    return runs[WITH][1:], runs[WITHOUT][1:]


def report(measured: list[Import], baseline: list[Import]) -> float:
    """Print the medians and return the one that the promise is about."""
    print(f"{len(measured)} rounds, processor time in ms: median (least to most)")
    print(f"  airflow.sdk, dag, task              {_summary([run.total for run in baseline])}")
    print(f"  the same and exclusive_task         {_summary([run.total for run in measured])}")
    print(f"  the import of exclusive_task alone  {_summary([run.added for run in measured])}")
    difference = statistics.median(run.total for run in measured) - statistics.median(run.total for run in baseline)
    print(f"difference of the first two: {difference:+.1f} ms")
    print(f"{len(measured[0].modules)} modules were added: {', '.join(measured[0].modules)}")
    return statistics.median(run.added for run in measured)


def _summary(milliseconds: list[float]) -> str:
    return f"{statistics.median(milliseconds):9.1f} ({min(milliseconds):.1f} to {max(milliseconds):.1f})"


def main() -> int:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--most", type=float, default=PROMISED_MILLISECONDS, help="what is promised, in ms")
    arguments = parser.parse_args()
    added = report(*measure_all(arguments.rounds))
    print(f"promise: at most {arguments.most:g} ms: {'kept' if added <= arguments.most else 'BROKEN'}")
    return int(added > arguments.most)


if __name__ == "__main__":
    sys.exit(main())
