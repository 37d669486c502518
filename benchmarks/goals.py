"""The goals of the hardened backend on Redis, and whether they are met; each ratio is measured in one task."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.load_probe import WALKS
from benchmarks.payloads import PAYLOADS
from benchmarks.probe import OWN, THEIRS
from benchmarks.results import FLOORS

_OURS: Final = "e"
_SMALL: Final = ("text-64", "text-10k", "text-100k")
_FRAMES_AND_ROWS: Final = ("rows", "floats", "mixed")
# How many times as fast as Airflow's own backend.
_FASTER: Final = {
    "push": {"floats": 30, "mixed": 30, "rows": 20, "text-10m": 9, "text-1m": 3.5},
    "pull": {"floats": 50, "mixed": 20, "rows": 16, "text-10m": 7.5, "text-1m": 2.7},
}
_MOST_OF_OWN: Final = 1.05
_MOST_OF_OWN_PLAIN: Final = 1.03
_MOST_OF_FLOOR: Final = 1.5
_MOST_OF_PLAIN_REDIS: Final = 1.1
_LEAST_OVER_FILES: Final = 2.5
_FLOOR_FROM_BYTES: Final = 900_000
_MOST_FIRST_MS: Final = 60
_MOST_PEAK: Final = 2.2
_MOST_MAPPED: Final = {"64": 2.5, "2048": 1.5}
_MOST_SCALARS: Final = 2.0
_LEAST_WALKED: Final = 5
_BATCH: Final = 200
_LEAST_SMALLER: Final = 35
_LEAST_READERS: Final = 3


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal and what was measured."""

    what: str
    wanted: str
    measured: str
    is_met: bool


def judge(measured: Mapping[str, Any]) -> list[Goal]:
    """Return the goals that can be judged from what was measured."""
    stacks = measured["stacks"]
    if (figures := stacks.get(_OURS)) is None:
        return []
    goals = [
        *_plain(figures["plain"]),
        *_first(figures["first"]),
        *_against_floor(figures),
        *_against_own(figures),
        *_against_others(stacks, figures),
        *_memory(figures),
    ]
    if "readers" in figures:
        goals += [*_load(figures), *_mapped(figures["mapped"])]
    return goals


def _plain(plain: Mapping[str, Any]) -> Iterator[Goal]:
    for what in ("push", "pull"):
        ratio = plain[f"{what} {THEIRS}"]["median"] / plain[f"{what} {OWN}"]["median"]
        yield _at_most(f"{what} / own, plain tiny values", ratio, _MOST_OF_OWN_PLAIN)


def _against_floor(figures: Mapping[str, Any]) -> Iterator[Goal]:
    for name, found in figures["payloads"].items():
        for what in ("push", "pull"):
            theirs = _median(found, what, THEIRS)
            if not theirs or found["encoded_bytes"] < _FLOOR_FROM_BYTES:
                continue
            for floor in filter(found[what].__contains__, FLOORS):
                goal = f"{what} / {floor.replace('_', ' ')}, {PAYLOADS[name].title}"
                yield _at_most(goal, theirs / found[what][floor], _MOST_OF_FLOOR)


def _against_own(figures: Mapping[str, Any]) -> Iterator[Goal]:
    for what, wanted in _FASTER.items():
        for name, found in figures["payloads"].items():
            own, theirs = _median(found, what, OWN), _median(found, what, THEIRS)
            if not own or not theirs:
                continue
            if name in _SMALL:
                yield _at_most(f"{what} / own, {PAYLOADS[name].title}", theirs / own, _MOST_OF_OWN)
            elif name in wanted:
                yield _at_least(f"own / {what}, {PAYLOADS[name].title}", own / theirs, wanted[name])


def _against_others(stacks: Mapping[str, Any], figures: Mapping[str, Any]) -> Iterator[Goal]:
    """Compare the backends by their ratios to Airflow's own backend in the same stack."""
    for name, what in ((name, what) for name in figures["payloads"] for what in ("push", "pull")):
        of_own = {letter: _of_own(stack["payloads"][name], what) for letter, stack in stacks.items()}
        ours, title = of_own.get(_OURS), PAYLOADS[name].title
        if ours and (plain := of_own.get("c")):
            yield _at_most(f"{what} / plain Redis, {title}", ours / plain, _MOST_OF_PLAIN_REDIS)
        if ours and name in _FRAMES_AND_ROWS and (files := of_own.get("b")):
            yield _at_least(f"common.io / {what}, {title}", files / ours, _LEAST_OVER_FILES)


def _memory(figures: Mapping[str, Any]) -> Iterator[Goal]:
    payloads = figures["payloads"]
    for what in ("push", "pull"):
        if (found := payloads.get("array-64m")) and THEIRS in found[what]["peak_bytes"]:
            peak = found[what]["peak_bytes"][THEIRS] / found["encoded_bytes"]
            yield _at_most(f"peak memory of a {what} / payload, 64 MB", peak, _MOST_PEAK)
        small, large = (payloads.get(name) for name in ("array-16m", "array-256m"))
        if small and large:
            per_byte = [_median(found, what, THEIRS) / found["encoded_bytes"] for found in (small, large)]
            yield _at_most(f"{what}: cost per byte at 256 MB / at 16 MB", per_byte[1] / per_byte[0], 1.2)


def _first(first: Mapping[str, Any]) -> Iterator[Goal]:
    added = first["pull"][THEIRS]["median"] - first["pull"][OWN]["median"]
    yield _at_most("first pull in a fresh task, ms over own", added, _MOST_FIRST_MS)


def _load(figures: Mapping[str, Any]) -> Iterator[Goal]:
    grown = figures["scalars"]["table_bytes"]
    yield _at_most("metadata bytes of twenty integers, this / own", grown[THEIRS] / max(grown[OWN], 1), _MOST_SCALARS)
    grown = figures["mix"]["table_bytes"]
    yield _at_least("metadata bytes of the mix, own / this", grown[OWN] / max(grown[THEIRS], 1), _LEAST_SMALLER)
    for count, rates in figures["readers"].items():
        yield _at_least(f"1 MB pulls/s, {count} readers, this / own", rates[THEIRS] / rates[OWN], _LEAST_READERS)


def _mapped(mapped: Mapping[str, Any]) -> Iterator[Goal]:
    for count, size, found in ((count, size, found) for count, one in mapped.items() for size, found in one.items()):
        what = f"{count} mapped values of {size} B"
        yield _at_most(f"{what}, this / own", found[THEIRS]["median"] / found[OWN]["median"], _MOST_MAPPED[size])
        own, theirs = (found.get(walk, {}).get("median") for walk in WALKS.values())
        if own and theirs:
            yield _at_least(f"{what}, one by one, own / this", own / theirs, _LEAST_WALKED)
        requests = found["requests_to_redis"]
        yield _at_most(f"{what}, requests to Redis", requests, math.ceil(int(count) / _BATCH))


def _of_own(found: Mapping[str, Any], what: str) -> float | None:
    own, theirs = _median(found, what, OWN), _median(found, what, THEIRS)
    return theirs / own if own and theirs else None


def _median(found: Mapping[str, Any], what: str, side: str) -> float:
    """Return a median in ms, or 0 if that side cannot serialize the value."""
    return float(found[what]["operations"].get(side, {}).get("median", 0))


def _at_most(what: str, measured: float, wanted: float) -> Goal:
    return Goal(what, f"<= {wanted:g}", f"{measured:.2f}", measured <= wanted)


def _at_least(what: str, measured: float, wanted: float) -> Goal:
    return Goal(what, f">= {wanted:g}", f"{measured:.2f}", measured >= wanted)
