"""
Measure whether hostile tasks can stall a hardened API server, and whether refused rows stay in its memory.

Usage: ``python -m benchmarks.stall [--readers 50] [--seconds 60] [--letters 10000] [--quick]`` in the folder of this
repository, on Linux, with Airflow, psycopg2 and PostgreSQL's programs installed; no running server is needed. It takes
20 minutes; ``--quick`` takes one and says little about figures.

* **Stall.** An honest task pulls a small plain value again and again: with nobody else there, while as many readers as
  ``--readers`` says read small plain values, while as many hostile ones read what costs the API server most (see
  :mod:`benchmarks.hostile`), and alone again. Each reader rests for about ``--pause`` seconds after each read, 1 by
  default. Then the same without a rest, where only the comparison with as many plain readers means anything: with any
  50 clients that never rest, an API server that is one process answers each of them when it has answered the others.
* **Memory.** Rows of up to 5 MB with a sealed secret that is refused, each another one, from four connections. The
  resident memory of the API server is read after a warm-up, and after the last.

Ends with exit code 1 if hostile readers move the median of the honest pulls by 2 times or more, or if memory grows by
more than 5 %.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from threading import Lock
from typing import Any, Final

import psutil

from airflow_provider_exclusive.crypto.data_keys import ServerDataKeys
from benchmarks.hostile import Planter, Request, Requests, letters
from benchmarks.stall_airflow import DAG_ID, LONG, WRITERS, Client, Hardened, Task, hardened, path_of

MOST_TIMES: Final = 2.0
MOST_GROWTH: Final = 1.05
_LETTER_CHARACTERS: Final = 5_000_000
_WARM_UP: Final = 600
_AT_ONCE: Final = 4
_HONEST_PAUSE: Final = 0.05
_SETTLE_SECONDS: Final = 2.0
_ALONE: Final = 15


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    readers: int
    seconds: float
    pause: float
    letters: int
    warm_up: int = _WARM_UP


@dataclass(frozen=True)
class Load:
    """
    What the honest task met in one phase.

    :param pulls: milliseconds of each of its pulls.
    :param reads: how many reads the others made, by status; 0 is a broken connection.
    :param unexpected: how many of them were answered as they should not.
    """

    name: str
    pulls: list[float]
    reads: Counter[int]
    unexpected: int
    seconds: float

    @property
    def median(self) -> float:
        """Of the honest pulls, in milliseconds."""
        return statistics.median(self.pulls)


# --- readers


def read_until(address: tuple[str, int], requests: Requests, pause: float, deadline: float, seed: int) -> Counter[Any]:
    """Let one reader read until ``deadline``, and count statuses; ``"unexpected"`` counts wrong ones."""
    draw, client, found = random.Random(seed), Client(address), Counter[Any]()
    kinds = list(requests.values())
    if pause:
        time.sleep(draw.uniform(0, 2 * pause))
    while time.time() < deadline:
        request = draw.choice(draw.choice(kinds))
        try:
            status, _ = request.send(client)
        except OSError:
            status = 0
        found[status] += 1
        found["unexpected"] += status not in request.statuses
        if pause:
            time.sleep(draw.uniform(0, 2 * pause))
    return found


def read_together(
    address: tuple[str, int], requests: Requests, readers: int, pause: float, deadline: float
) -> Counter[Any]:
    """Let many readers read until ``deadline``."""
    with ThreadPoolExecutor(readers) as pool:
        futures = [pool.submit(read_until, address, requests, pause, deadline, seed) for seed in range(readers)]
        return sum((future.result() for future in futures), Counter[Any]())


@contextmanager
def reading(
    address: tuple[str, int], requests: Requests, readers: int, pause: float, seconds: float
) -> Iterator[Callable[[], Counter[Any]]]:
    """Let many readers read in a process of their own; yield what returns their counts when they have ended."""
    if not requests:
        yield Counter
        return
    with get_context("spawn").Pool(1) as pool:
        pool.apply(time.time)  # the process has started
        deadline = time.time() + seconds + _SETTLE_SECONDS
        result = pool.apply_async(read_together, (address, requests, readers, pause, deadline))
        time.sleep(_SETTLE_SECONDS)
        yield lambda: result.get(seconds + 300)


def measure_load(
    name: str, world: Hardened, honest: Request, requests: Requests, options: Options, *, pause: float
) -> Load:
    """Let the honest task pull while others read ``requests``."""
    client, pulls = Client(world.address), []
    with reading(world.address, requests, options.readers, pause, options.seconds) as counts:
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            begin = time.perf_counter()
            status, _ = honest.send(client)
            pulls.append((time.perf_counter() - begin) * 1000)
            if status not in honest.statuses:
                raise SystemExit(f"The honest pull was answered {status}.")
            time.sleep(_HONEST_PAUSE)
        found = counts()
    unexpected = found.pop("unexpected", 0)
    return Load(name, pulls, found, unexpected, options.seconds + _SETTLE_SECONDS)


def measure_alone(world: Hardened, requests: Requests, times: int = _ALONE) -> dict[str, float]:
    """Return the median milliseconds of one read of each kind, with nobody else there."""
    client, medians = Client(world.address), {}
    for kind, asked in requests.items():
        found = []
        for number in range(times):
            request = asked[number % len(asked)]
            begin = time.perf_counter()
            status, answer = request.send(client)
            found.append((time.perf_counter() - begin) * 1000)
            if status not in request.statuses:
                raise SystemExit(f"{kind}: the API server answered {status}: {answer[:300]!r}")
        medians[kind] = statistics.median(found)
    return medians


def measure_stall(world: Hardened, tasks: dict[str, Task], options: Options, say: Callable[[str], None]) -> list[Load]:
    """Print what each kind of read costs, measure every phase, and print the table."""
    planter = Planter(Client(world.address), tasks, world.find, ServerDataKeys(world.public_key))
    hostile, characters = planter.plant()
    say(f"planted; the names in each hand-over record have {characters} characters")
    path = path_of(tasks["plain"].identity, "return_value")
    honest = Request(path, tasks["honest"], (200,))
    plain = {"plain": [Request(path, tasks[name], (200,)) for name in (*WRITERS, LONG)]}
    for kind, median in measure_alone(world, {**plain, **hostile}).items():
        print(f"one read, nobody else there: {kind:28} {median:8.1f} ms")
    half = Options(options.readers, options.seconds / 2, options.pause, options.letters)
    phases: list[tuple[str, Requests, Options, float]] = [
        ("alone, before", {}, half, 0),
        ("plain readers, resting", plain, options, options.pause),
        ("hostile readers, resting", hostile, options, options.pause),
        ("alone, between", {}, half, 0),
        ("plain readers, restless", plain, options, 0),
        ("hostile readers, restless", hostile, options, 0),
        ("alone, after", {}, half, 0),
    ]
    loads = []
    for name, requests, chosen, pause in phases:
        loads.append(measure_load(name, world, honest, requests, chosen, pause=pause))
        say(f"{name}: {loads[-1].median:.1f} ms")
    return loads


# --- refused rows


def send_letters(address: tuple[str, int], by: Task, keys: ServerDataKeys, count: int, characters: int) -> Counter[int]:
    """Push ``count`` rows that are refused, from several connections; return the statuses of the answers."""
    bodies, lock, path = letters(by, keys, characters), Lock(), path_of(by.identity, "letter")

    def send(share: int) -> Counter[int]:
        client, found = Client(address), Counter[int]()
        for _ in range(share):
            with lock:
                body = next(bodies)
            found[client.ask("POST", path, by, body)[0]] += 1
        return found

    shares = [count // _AT_ONCE + (number < count % _AT_ONCE) for number in range(_AT_ONCE)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return sum(pool.map(send, shares), Counter[int]())


@dataclass(frozen=True)
class Memory:
    """
    What refused rows left behind.

    :param before: resident bytes after the warm-up.
    :param after: resident bytes after the last.
    """

    before: int
    after: int
    refused: int
    seconds: float


def measure_memory(world: Hardened, by: Task, options: Options, say: Callable[[str], None]) -> Memory:
    """Push refused rows and read the memory of the API server."""
    keys, server = ServerDataKeys(world.public_key), psutil.Process(world.pid)

    def refuse(count: int) -> None:
        if set(found := send_letters(world.address, by, keys, count, _LETTER_CHARACTERS)) != {403}:
            raise SystemExit(f"Rows that should be refused were answered {dict(found)}.")

    say(f"{_megabytes(server.memory_info().rss)} before the first refused row")
    refuse(options.warm_up)
    before, begin = server.memory_info().rss, time.monotonic()
    left = options.letters
    while left:
        refuse(part := min(left, max(options.letters // 10, 1)))
        left -= part
        say(f"{_megabytes(server.memory_info().rss)} after {options.letters - left:,} refused rows")
    return Memory(before, server.memory_info().rss, options.letters, time.monotonic() - begin)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


# --- the report


def report_loads(loads: Sequence[Load]) -> bool:
    """Print the table, and return whether hostile readers moved the median by less than :data:`MOST_TIMES`."""
    by_name = {load.name: load for load in loads}
    alone = statistics.median([pull for load in loads if load.name.startswith("alone") for pull in load.pulls])
    print(
        f"{'an honest pull of a plain value':32} {'median':>8} {'p99':>9} {'x alone':>8} {'x plain':>8} {'reads/s':>8}"
    )
    for load in loads:
        p99 = statistics.quantiles(load.pulls, n=100)[98]
        like = by_name.get(load.name.replace("hostile", "plain"), load)
        rate = sum(load.reads.values()) / load.seconds
        print(
            f"{load.name:32} {load.median:5.1f} ms {p99:6.1f} ms {load.median / alone:8.2f} "
            f"{load.median / like.median:8.2f} {rate:8.1f}   {dict(load.reads)}, {load.unexpected} unexpected"
        )
    resting, restless = by_name["hostile readers, resting"], by_name["hostile readers, restless"]
    moved = resting.median / alone, restless.median / by_name["plain readers, restless"].median
    print(f"moved by {moved[0]:.2f} times (resting, beside alone), {moved[1]:.2f} (restless, beside plain readers)")
    return max(moved) < MOST_TIMES and not any(load.unexpected for load in loads)


def report_memory(memory: Memory) -> bool:
    """Print the figures, and return whether memory stayed flat."""
    growth = memory.after / memory.before
    print(
        f"memory of the API server over {memory.refused:,} refused rows of up to 5 MB: {_megabytes(memory.before)} -> "
        f"{_megabytes(memory.after)}, {growth:.3f} times, at {memory.refused / memory.seconds:.1f} rows/s"
    )
    return growth <= MOST_GROWTH


def parse(arguments: list[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60, help="how long they read, in each phase")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds that each rests after a read, about")
    parser.add_argument("--letters", type=int, default=10_000, help="rows of up to 5 MB that are refused; 0 for none")
    parser.add_argument("--quick", action="store_true", help="8 readers, 4 seconds, 60 rows")
    found = parser.parse_args(arguments)
    if found.quick:
        return Options(8, 4, found.pause, 60, warm_up=40)
    return Options(found.readers, found.seconds, found.pause, found.letters)


def main(arguments: list[str]) -> int:
    """Measure and print."""
    options, begin = parse(arguments), time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begin:5.0f} s] {line}", flush=True)

    with hardened() as world:
        say("the API server is up")
        tasks = world.find(DAG_ID, world.run_id)
        loads = measure_stall(world, tasks, options, say)
        memory = measure_memory(world, tasks[WRITERS[0]], options, say) if options.letters else None
    held = [report_loads(loads), memory is None or report_memory(memory)]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
