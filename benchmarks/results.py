"""Result files, and figures that are computed from samples."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.probe import CODEC, KEEPING_SOCKET, ROUND_TRIP, SIDES, SOCKET

RESULTS: Final = Path(__file__).resolve().parent / "results"
PUBLISHED: Final = RESULTS / "latest.json"
DIRECTIONS: Final = ("push", "pull")
FLOORS: Final = {"floor": SOCKET, "floor_of_a_store": KEEPING_SOCKET}
"""The operation that sends the bytes, by the name of the floor."""

Samples = Mapping[str, Sequence[Mapping[str, float]]]


def read_results(folder: str) -> dict[str, Any]:
    """Return the results that tasks have written to a folder so far, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(Path(folder).glob("[!.]*.json"))}


def read_published() -> dict[str, Any]:
    """Return the last full measurement."""
    measured: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return measured


def summarise(samples: Samples) -> dict[str, dict[str, float]]:
    """Return for each operation: median and 95th percentile by the clock, mean processor times (ms), the count."""
    return {name: _figures(found) for name, found in samples.items()}


def floors_of(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """
    Return floors in ms: Airflow's round trip, the bytes through a socket and the codec.

    For a push, ``floor_of_a_store`` is the floor with a process at the other end that keeps the bytes, as a store must.
    """
    return {
        name: sum(figures[part]["median"] for part in (ROUND_TRIP, socket, CODEC))
        for name, socket in FLOORS.items()
        if socket in figures
    }


def medians(found: Mapping[str, Any]) -> list[float | None]:
    """Return the medians of both sides in one direction, in ms; None for a side that cannot serialize the value."""
    return [found["operations"].get(side, {}).get("median") for side in SIDES]


def in_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return median and extremes of durations, in ms."""
    return {
        "median": _round(statistics.median(seconds)),
        "least": _round(min(seconds)),
        "most": _round(max(seconds)),
        "count": len(seconds),
    }


def _figures(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    clock = sorted(sample["clock"] for sample in found)
    return {
        "median": _round(statistics.median(clock)),
        "p95": _round(clock[min(len(clock) - 1, round(0.95 * len(clock)))]),
        "worker_cpu": _round(statistics.fmean(sample["worker"] for sample in found)),
        "api_server_cpu": _round(statistics.fmean(sample["api_server"] for sample in found)),
        "count": len(found),
    }


def _round(seconds: float) -> float:
    return round(seconds * 1000, 3)
