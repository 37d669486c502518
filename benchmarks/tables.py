"""
``python -m benchmarks.tables``: print the published figures as the tables of ``docs/performance.md``.

A test checks the page against them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from benchmarks.payloads import PAYLOADS
from benchmarks.results import DIRECTIONS, medians, read_published

_OURS: Final = "e"
_FLOORS: Final = {
    "push": {"over the floor": "floor", "over that of a store": "floor_of_a_store"},
    "pull": {"over the floor": "floor"},
}
_DIGITS: Final = 3


def speed_ups(measured: Mapping[str, Any]) -> str:
    """Return how many times as fast as Airflow's own backend the hardened one is, if both can serialize the value."""
    payloads = measured["stacks"][_OURS]["payloads"]
    rows = ([PAYLOADS[name].title, *_ratios(found)] for name, found in payloads.items() if not found["refusals"])
    return _table(["value", *DIRECTIONS], rows)


def latencies(measured: Mapping[str, Any]) -> str:
    """Return medians of the hardened backend in ms, with Airflow's own, and their ratios to the floors."""
    heading = ["value"]
    for what in DIRECTIONS:
        heading += [f"{what}, own", what, "times", *_FLOORS[what]]
    rows = (
        [PAYLOADS[name].title, *(cell for what in DIRECTIONS for cell in _latency(found, what))]
        for name, found in measured["stacks"][_OURS]["payloads"].items()
    )
    return _table(heading, rows)


def backends(measured: Mapping[str, Any]) -> str:
    """Return how many times as fast as Airflow's own each backend is."""
    stacks = measured["stacks"]
    rows = (
        [PAYLOADS[name].title, *(", ".join(_ratios(stack["payloads"][name])) for stack in stacks.values())]
        for name, found in stacks[_OURS]["payloads"].items()
        if not found["refusals"]
    )
    return _table(["value", *(stack["backend"] for stack in stacks.values())], rows)


def _latency(found: Mapping[str, Any], what: str) -> Iterator[str]:
    own, theirs = medians(found[what])
    yield "cannot" if own is None else _figure(own)
    yield "cannot" if theirs is None else _figure(theirs)
    yield _ratio(own, theirs)
    for floor in _FLOORS[what].values():
        yield "" if theirs is None else f"{theirs / found[what][floor]:.2f}"


def _ratios(found: Mapping[str, Any]) -> list[str]:
    return [_ratio(*medians(found[what])) for what in DIRECTIONS]


def _ratio(own: float | None, theirs: float | None) -> str:
    return "" if own is None or theirs is None else _figure(own / theirs)


def _figure(number: float) -> str:
    """Return a number with three digits, or with all digits before the decimal point."""
    before_point = max(0, math.floor(math.log10(number))) + 1
    return f"{number:,.{max(0, _DIGITS - before_point)}f}"


def _table(heading: list[str], rows: Iterable[list[str]]) -> str:
    first, *others = (f"| {' | '.join(cells)} |" for cells in (heading, *rows))
    return "\n".join([first, "|---" * len(heading) + "|", *others]) + "\n"


if __name__ == "__main__":
    for table in (speed_ups, latencies, backends):
        print(f"{table.__doc__}\n\n{table(read_published())}")
