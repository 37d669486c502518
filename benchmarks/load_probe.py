"""What the tasks of ``benchmarks/dags`` do under load; see :mod:`benchmarks.probe`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks import mapped_outputs
from benchmarks.payloads import PAYLOADS, mix, text
from benchmarks.probe import OWN, SIDES, THEIRS, Task

PHASES: Final = (OWN, THEIRS, THEIRS, OWN)
PUSHED: Final = "pushed"
"""A file that appears among the results once the outputs of the mapped task are pushed."""
SCALARS: Final = 20
WALKS: Final = {side: f"{side}, one by one" for side in SIDES}
"""The names of what is measured when a task iterates over the outputs, by side."""
_MOST_WALKS: Final = 3  # with Airflow's own backend one takes ten seconds
_MOST_WALKED: Final = 1000
_PAUSE_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 1200.0


def push_for_readers() -> None:
    """Push one value on each side."""
    task = Task.current()
    for side in SIDES:
        task.push(side, side, PAYLOADS[task.order.payload].build())


def read_on(readers: int) -> None:
    """Count how often this task pulls within each phase, while ``readers`` tasks do the same at the same time."""
    task = Task.current()
    for side in SIDES:
        task.pull(side, side, task_id="produce")
    begin = _meet(Path(task.order.results), readers, task.map_index)
    pulls: Counter[str] = Counter()
    for number, side in enumerate(PHASES):
        start = begin + number * (task.order.seconds + _PAUSE_SECONDS)
        time.sleep(max(0.0, start - time.time()))
        while time.time() < start + task.order.seconds:
            task.pull(side, side, task_id="produce")
            pulls[side] += 1
    task.leave(f"reader-{task.map_index}", pulls)


def push_mix() -> None:
    """Push the stated mix on one side."""
    task = Task.current()
    for key, value in mix().items():
        task.push(task.order.side, key, value)
    task.leave(f"pushed-{task.run_id}", {})


def pull_mix() -> None:
    """Pull the mix."""
    task = Task.current()
    for key in mix():
        task.pull(task.order.side, key, task_id="produce")
    task.leave(f"pulled-{task.run_id}", {})


def push_scalars() -> None:
    """Push small integers on one side."""
    task = Task.current()
    for number in range(SCALARS):
        task.push(task.order.side, f"scalar-{number}", number)
    task.leave(f"pushed-{task.run_id}", {})


def pull_mapped(count: int) -> None:
    """Pull the outputs of all map indexes on both sides: at once, and then by walking over the lazy sequence."""
    task = Task.current()
    await_file(Path(task.order.results) / PUSHED)
    task.leave("mapped", {str(size): _pull_mapped(task, size, count) for size in mapped_outputs.sizes(count)})


def _pull_mapped(task: Task, size: int, count: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in (*SIDES, *WALKS.values(), "requests to Redis")}
    with _redis_requests() as requests:
        for _ in range(task.order.repetitions):
            for side in SIDES:
                begin, requests_before = time.perf_counter(), requests["sent"]
                values = task.pull_all(side, f"{side}-{size}", task_id=mapped_outputs.TASK)
                seconds[side].append(time.perf_counter() - begin)
                _check(side, values, size, count)
        seconds["requests to Redis"].append(requests["sent"] - requests_before)
    for _ in range(min(_MOST_WALKS, task.order.repetitions) if count <= _MOST_WALKED else 0):
        for side, walk in WALKS.items():
            begin = time.perf_counter()
            values = task.walk(side, f"{side}-{size}", task_id=mapped_outputs.TASK)
            seconds[walk].append(time.perf_counter() - begin)
            _check(side, values, size, count)
    return seconds


def _check(side: str, values: Sequence[Any] | None, size: int, count: int) -> None:
    if values != [text(size)] * count:
        raise AssertionError(f"{side}: got {len(values or [])} values, expected {count} equal ones")


@contextmanager
def _redis_requests() -> Iterator[Counter[str]]:
    """Count what this process sends to Redis: one for each command, and one for a whole pipeline of them."""
    import redis

    sent: Counter[str] = Counter()
    connection: Any = redis.Connection
    original = connection.send_packed_command

    def counted(*arguments: Any, **options: Any) -> Any:
        sent["sent"] += 1
        return original(*arguments, **options)

    connection.send_packed_command = counted
    try:
        yield sent
    finally:
        connection.send_packed_command = original


def await_file(path: Path) -> None:
    """Wait until a file exists."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path.name} did not appear within {_PATIENCE_SECONDS:g} s.")
        time.sleep(0.1)


def _meet(folder: Path, readers: int, number: int) -> float:
    """Wait until all readers are ready, and return when all of them start, in seconds since 1970."""
    (folder / f"ready-{number}").touch()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(ready := list(folder.glob("ready-*"))) < readers:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Only {len(ready)} of {readers} readers were ready within {_PATIENCE_SECONDS:g} s.")
        time.sleep(0.05)
    return max(path.stat().st_mtime for path in ready) + _PAUSE_SECONDS
