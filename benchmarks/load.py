"""Many tasks at once: pulls per second, tasks per second, growth of the metadata database, and mapped fan-in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import load_probe
from benchmarks.load_probe import PHASES, SCALARS, WALKS
from benchmarks.plan import Plan
from benchmarks.probe import SIDES
from benchmarks.results import in_ms
from benchmarks.stacks import Bench

_READ_PAYLOAD = "text-1m"
_WHOLE_MIX, _PUSHED_MIX = "mix", "mix_pushed"
_RUNS_AT_ONCE = 8  # more keep the API server from answering whether they still run
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
            rate = _run(bench, dag_id, f"mix-{side}-{number}", side, runs)
            growth[side] += _table_bytes(bench) - before
            if dag_id == _WHOLE_MIX:
                rates.setdefault(str(runs), {})[side] = rate
        done += runs
        bench.say(f"({bench.letter}) {done} of {plan.mix_runs} runs of the mix on each side, {runs} at once")
    return {"runs": done, "tasks_per_second": rates, "table_bytes": growth}


def measure_scalars(bench: Bench, plan: Plan) -> dict[str, Any]:
    """Return how much the XCom table grows on each side, indexes included, and the bytes in the row of one integer."""
    growth = {}
    for side in SIDES:
        before, left = _table_bytes(bench), plan.scalar_runs
        while left > 0:
            _run(bench, "scalars", f"scalars-{side}-{left}", side, runs := min(_RUNS_AT_ONCE, left))
            left -= runs
        growth[side] = _table_bytes(bench) - before
        bench.say(f"({bench.letter}) {plan.scalar_runs} runs of {SCALARS} integers on {side}: {growth[side]:,} bytes")
    return {"runs": plan.scalar_runs, "table_bytes": growth}


def measure_mapped(bench: Bench, plan: Plan) -> dict[str, Any]:
    """Return how long one task takes to pull the values of many map indexes, by their number and size, in ms."""
    return {str(count): _measure_mapped(bench, plan, count) for count in plan.mapped}


def _measure_mapped(bench: Bench, plan: Plan, count: int) -> dict[str, Any]:
    dag_id, order = f"mapped_{count}", bench.order(f"mapped-{count}", repetitions=plan.repetitions)
    run_id = bench.stack.trigger(dag_id, order.conf())
    bench.say(f"({bench.letter}) outputs of {count} map indexes are pushed")
    bench.push_mapped(dag_id, run_id, count)
    (Path(order.results) / load_probe.PUSHED).touch()
    found = bench.wait(dag_id, [run_id], order, expected=1)["mapped"]
    figures: dict[str, Any] = {}
    for size, seconds in found.items():
        (requests,) = seconds.pop("requests to Redis")
        taken = {name: in_ms(values) for name, values in seconds.items() if values}
        figures[size] = taken | {"requests_to_redis": requests}
        for what, names in (("", SIDES), (", one by one", WALKS.values())):
            medians = [taken[name]["median"] for name in names if name in taken]
            if medians:
                said = " -> ".join(f"{median:.1f}" for median in medians)
                bench.say(f"({bench.letter}) {count} mapped values of {size} B{what}: {said} ms")
    return figures


def _run(bench: Bench, dag_id: str, name: str, side: str, runs: int) -> float:
    """Start ``runs`` runs at once, and return finished tasks per second."""
    order = bench.order(name, side=side)
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
