"""Pushes and pulls of each payload, one at a time."""

from __future__ import annotations

from typing import Any

from benchmarks.payloads import PAYLOADS
from benchmarks.plan import Plan
from benchmarks.probe import SIDES, peak_key
from benchmarks.results import floors_of, in_ms, summarise
from benchmarks.stacks import Bench

_FIRST_PAYLOAD = "text-10k"
_PLAIN_REPETITIONS = 500
# The bytes of the row on disk, as PostgreSQL compresses it; the full JSON would be larger.
_ROW_BYTES = (
    "SELECT pg_column_size(value) AS stored, octet_length(CAST(value AS TEXT)) AS text FROM {{xcom}} "
    "WHERE key = '{key}'"
)


def measure_payloads(bench: Bench, plan: Plan) -> dict[str, Any]:
    """Return the figures of each payload, by its name."""
    measured = {}
    for name in plan.payloads:
        measured[name] = figures = _measure_payload(bench, name, plan)
        bench.say(f"({bench.letter}) {PAYLOADS[name].title}: {_headline(figures)}")
    return measured


def measure_first(bench: Bench, plan: Plan) -> dict[str, Any]:
    """Return how long the very first push and pull of fresh tasks takes on each side, in ms."""
    order = bench.order("first", payload=_FIRST_PAYLOAD)
    found = bench.run(f"first_{plan.first}", order, expected=4 * plan.first).values()
    seconds = {
        what: {side: [one["seconds"] for one in found if one["what"] == what and one["side"] == side] for side in SIDES}
        for what in ("push", "pull")
    }
    figures = {what: {side: in_ms(values) for side, values in sides.items()} for what, sides in seconds.items()}
    added = {what: sides["theirs"]["median"] - sides["own"]["median"] for what, sides in figures.items()}
    bench.say(f"({bench.letter}) first in a fresh task: push {added['push']:+.0f} ms, pull {added['pull']:+.0f} ms")
    return figures


def measure_plain(bench: Bench, plan: Plan) -> dict[str, Any]:
    """Return the figures of tiny values that a plain task pushes and pulls, by operation and side."""
    order = bench.order("plain", repetitions=_PLAIN_REPETITIONS, seconds=plan.seconds)
    figures = summarise(bench.run("plain", order, expected=1)["plain"]["samples"])
    said = (
        f"{what} {figures[f'{what} own']['median']:.2f} -> {figures[f'{what} theirs']['median']:.2f} ms"
        for what in ("push", "pull")
    )
    bench.say(f"({bench.letter}) a plain task's tiny values: {', '.join(said)}")
    return figures


def _measure_payload(bench: Bench, name: str, plan: Plan) -> dict[str, Any]:
    order = bench.order(name, payload=name, repetitions=plan.repetitions, seconds=plan.seconds)
    results = bench.run("measuring", order, expected=2)
    push, pull = results["push"], results["pull"]
    figures: dict[str, Any] = {
        "refusals": push["refusals"],
        "faithful": pull["faithful"],
        "encoded_bytes": push["encoded_bytes"],
        "row_bytes": {side: bench.query(_ROW_BYTES.format(key=peak_key(side, name))) for side in pull["faithful"]},
    }
    for what, result in (("push", push), ("pull", pull)):
        operations = summarise(result["samples"])
        figures[what] = {"operations": operations, **floors_of(operations), "peak_bytes": result["peaks"]}
    return figures


def _headline(figures: dict[str, Any]) -> str:
    if figures["refusals"]:
        return "; ".join(f"{side} cannot: {why}" for side, why in figures["refusals"].items())
    parts = []
    for what in ("push", "pull"):
        own, theirs = (figures[what]["operations"][side]["median"] for side in SIDES)
        parts.append(f"{what} {own:.1f} -> {theirs:.1f} ms")
    parts += [f"{side} CAME BACK CHANGED" for side, is_same in figures["faithful"].items() if not is_same]
    return ", ".join(parts)
