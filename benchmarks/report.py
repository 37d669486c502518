"""The figures as tables for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.goals import Goal, judge
from benchmarks.load_probe import WALKS
from benchmarks.payloads import PAYLOADS
from benchmarks.probe import OWN, SIDES, THEIRS
from benchmarks.results import DIRECTIONS, medians

_MEGABYTE: Final = 1e6
_LEAST_FOR_PEAK: Final = 7e6  # below that, a process uses more memory anyway than the payload has


@dataclass(frozen=True, slots=True)
class Pair:
    """A figure of Airflow's own backend and of the measured one."""

    what: str
    own: float
    theirs: float
    more_is_better: bool = False

    @property
    def times_better(self) -> float:
        """How many times as good the measured one is; nan if that would divide by zero."""
        better, worse = (self.theirs, self.own) if self.more_is_better else (self.own, self.theirs)
        return better / worse if worse else math.nan


def print_report(console: Console, measured: Mapping[str, Any]) -> None:
    """Print everything that was measured; medians unless stated otherwise."""
    for name, what in measured["measured_with"].items():
        console.print(f"{name}: {what}", markup=False, highlight=False)
    for figures in measured["stacks"].values():
        console.print(_latencies(figures))
        console.print(_usage(figures))
    last = list(measured["stacks"].values())[-1]
    console.print(_pairs(f"{last['backend']}: small things, ms", _small(last)))
    if "readers" in last:
        console.print(_pairs("many at once", _load(last)))
        console.print(_pairs("mapped fan-in, ms", _mapped(last)))
    if goals := judge(measured):
        console.print(_goals(goals))


def _latencies(figures: Mapping[str, Any]) -> Table:
    columns = (
        "value",
        *(f"{what} {column}" for what in DIRECTIONS for column in ("own", "this", "times", "p95", "/floor")),
    )
    table = _table(f"{figures['backend']}: ms; own = Airflow's own backend in the same task", *columns)
    for name, found in figures["payloads"].items():
        cells = [cell for what in DIRECTIONS for cell in _latency_cells(found[what], found["refusals"])]
        table.add_row(PAYLOADS[name].title, *cells)
    return table


def _latency_cells(found: Mapping[str, Any], refusals: Mapping[str, str]) -> Iterator[str]:
    own, theirs = medians(found)
    yield "cannot" if OWN in refusals else f"{own:.1f}"
    yield "cannot" if THEIRS in refusals else f"{theirs:.1f}"
    yield f"{own / theirs:.2f}" if own and theirs else "-"
    yield f"{found['operations'][THEIRS]['p95']:.1f}" if theirs else "-"
    yield f"{theirs / found['floor']:.2f}" if theirs else "-"


def _usage(figures: Mapping[str, Any]) -> Table:
    sides = [f"{column} {side}" for column in ("push", "pull", "api", "row") for side in ("own", "this")]
    table = _table(
        "processor ms: of the worker per push and pull, of the API server per both; bytes in the row; peak / payload",
        *("value", *sides, "push peak", "pull peak"),
    )
    for name, found in figures["payloads"].items():
        table.add_row(PAYLOADS[name].title, *_usage_cells(found))
    return table


def _usage_cells(found: Mapping[str, Any]) -> Iterator[str]:
    for what in DIRECTIONS:
        for side in SIDES:
            yield _number(found[what]["operations"].get(side, {}).get("worker_cpu"))
    for side in SIDES:
        spent = [found[what]["operations"].get(side, {}).get("api_server_cpu") for what in DIRECTIONS]
        yield _number(None if None in spent else sum(spent))
    for side in SIDES:
        yield f"{found['row_bytes'][side]['stored']:,}" if side in found["row_bytes"] else "-"
    for what in DIRECTIONS:
        peak = found[what]["peak_bytes"].get(THEIRS)
        yield f"{peak / found['encoded_bytes']:.2f}" if peak and found["encoded_bytes"] > _LEAST_FOR_PEAK else "-"


def _small(figures: Mapping[str, Any]) -> Iterator[Pair]:
    for what in DIRECTIONS:
        own, theirs = (figures["plain"][f"{what} {side}"]["median"] for side in SIDES)
        yield Pair(f"{what} of a plain task's tiny value", own, theirs)
    for what, sides in figures["first"].items():
        yield Pair(f"the first {what} in a fresh task, 10 kB", sides[OWN]["median"], sides[THEIRS]["median"])


def _load(figures: Mapping[str, Any]) -> Iterator[Pair]:
    for count, rates in figures["readers"].items():
        yield Pair(f"1 MB pulls/s, {count} readers", rates[OWN], rates[THEIRS], more_is_better=True)
    for count, rates in figures["mix"]["tasks_per_second"].items():
        yield Pair(f"tasks/s, {count} runs of the mix at once", rates[OWN], rates[THEIRS], more_is_better=True)
    own, theirs = (figures["scalars"]["table_bytes"][side] / _MEGABYTE for side in SIDES)
    yield Pair(f"XCom table, MB after {figures['scalars']['runs']} runs of twenty integers", own, theirs)
    own, theirs = (figures["mix"]["table_bytes"][side] / _MEGABYTE for side in SIDES)
    yield Pair(f"XCom table, MB after {figures['mix']['runs']} runs of the mix", own, theirs)


def _mapped(figures: Mapping[str, Any]) -> Iterator[Pair]:
    for count, size, found in (
        (count, size, one) for count, of in figures["mapped"].items() for size, one in of.items()
    ):
        yield Pair(f"{count} of {size} B, all at once", found[OWN]["median"], found[THEIRS]["median"])
        own, theirs = (found.get(walk, {}).get("median", 0.0) for walk in WALKS.values())
        if own:
            yield Pair(f"{count} of {size} B, one by one", own, theirs)


def _pairs(title: str, pairs: Iterator[Pair]) -> Table:
    table = _table(title, "what", "own", "this", "times better")
    for pair in pairs:
        table.add_row(pair.what, f"{pair.own:,.2f}", f"{pair.theirs:,.2f}", f"{pair.times_better:.2f}")
    return table


def _goals(goals: list[Goal]) -> Table:
    table = _table("goals", "goal", "wanted", "measured", "met")
    for goal in goals:
        table.add_row(goal.what, goal.wanted, goal.measured, "yes" if goal.is_met else "NO")
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _number(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.1f}"
