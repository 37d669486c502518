"""Many tasks at once: pulls per second, tasks per second, growth of the metadata database, and mapped fan-in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import load_probe
from benchmarks.load_probe import PHASES, WALKS
from benchmarks.plan import Plan
from benchmarks.probe import SIDES
from benchmarks.results import in_ms
from benchmarks.stacks import Bench

_READ_PAYLOAD = "text-1m"
_WHOLE_MIX, _PUSHED_MIX = "mix", "mix_pushed"
_TABLE_BYTES = "SELECT pg_total_relation_size('{xcom}') AS bytes"


def measure_readers(bench: Bench, plan: Plan) -> dict[str, Any]:
    """Return how many 1 MB values all readers together pull per second on each side, by number of readers."""
    measured = {}
    seconds = plan.phase_seconds * PHASES.count(SIDES[0])
    for readers in plan.readers:
        order = bench.order(f"readers-{readers}", payload=_READ_PAYLOAD, seconds=plan.phase_seconds)
        found = bench.run(f"readers_{readers}", order, expected=readers).values()
        rates = {side: round(sum(one.get(side, 0) for one in found) / seconds, 1) for side in SIDES}
        measured[str(readers)] = rates
        bench.say(f"({bench.letter}) {readers} readers: {rates['own']:g} -> {rates['theirs']:g} pulls/s")
    return measured


def measure_mix(bench: Bench, plan: Plan) -> dict[str, Any]:
    """Return tasks per second by number of concurrent runs, and the growth of the XCom table, on each side."""
    rates: dict[str, dict[str, float]] = {}
    growth = dict.fromkeys(SIDES, 0)
    done = 0
    for number, (dag_id, runs) in enumerate(_batches(plan)):
        for side in SIDES:
            before = _table_bytes(bench)
            rate = _run_mix(bench, dag_id, f"{side}-{number}", side, runs)
            growth[side] += _table_bytes(bench) - before
            if dag_id == _WHOLE_MIX:
                rates.setdefault(str(runs), {})[side] = rate
        done += runs
        bench.say(f"({bench.letter}) {done} of {plan.mix_runs} runs of the mix on each side, {runs} at once")
    return {"runs": done, "tasks_per_second": rates, "table_bytes": growth}


def measure_mapped(bench: Bench, plan: Plan) -> dict[str, Any]:
    """Return how long one task takes to pull the values of many map indexes, by size, in ms."""
    dag_id, order = f"mapped_{plan.mapped}", bench.order("mapped", repetitions=plan.repetitions)
    run_id = bench.stack.trigger(dag_id, order.conf())
    bench.say(f"({bench.letter}) outputs of {plan.mapped} map indexes are pushed")
    bench.push_mapped(dag_id, run_id, plan.mapped)
    (Path(order.results) / load_probe.PUSHED).touch()
    found = bench.wait(dag_id, [run_id], order, expected=1)["mapped"]
    figures: dict[str, Any] = {"count": plan.mapped}
    for size, seconds in found.items():
        (requests,) = seconds.pop("requests to Redis")
        figures[size] = {name: in_ms(values) for name, values in seconds.items()} | {"requests_to_redis": requests}
        medians = {side: figures[size][side]["median"] for side in SIDES}
        bench.say(f"({bench.letter}) {plan.mapped} mapped values of {size} B: {_said(medians)} ms")
        walks = {side: figures[size][walk]["median"] for side, walk in WALKS.items()}
        bench.say(f"({bench.letter}) {plan.mapped} mapped values of {size} B, one by one: {_said(walks)} ms")
    return figures


def _run_mix(bench: Bench, dag_id: str, name: str, side: str, runs: int) -> float:
    """Start ``runs`` runs at once, and return finished tasks per second."""
    order = bench.order(f"mix-{name}", side=side)
    tasks = runs * (2 if dag_id == _WHOLE_MIX else 1)
    begin = time.monotonic()
    run_ids = [bench.stack.trigger(dag_id, order.conf()) for _ in range(runs)]
    bench.wait(dag_id, run_ids, order, expected=tasks)
    return round(tasks / (time.monotonic() - begin), 2)


def _batches(plan: Plan) -> Iterator[tuple[str, int]]:
    """Yield Dags and how many runs to start at once: as many as readers; then, for the growth, runs that only push."""
    yield from ((_WHOLE_MIX, readers) for readers in plan.readers)
    left = plan.mix_runs - sum(plan.readers)
    while left > 0:
        yield _PUSHED_MIX, (runs := min(max(plan.readers), left))
        left -= runs


def _table_bytes(bench: Bench) -> int:
    return int(bench.query(_TABLE_BYTES)["bytes"])


def _said(figures: dict[str, float]) -> str:
    own, theirs = (figures[side] for side in SIDES)
    return f"{own:.1f} -> {theirs:.1f}"
