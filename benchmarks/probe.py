"""
What the tasks of ``benchmarks/dags`` do: call Airflow's own ``BaseXCom`` and the configured backend in turn.

Both run in one process, and so do the parts of the floor, so that a disturbance of the machine affects all alike. A
task writes what it measured to a file; XCom is not used for it.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from benchmarks.floor import Wire
from benchmarks.payloads import PAYLOADS, Payload, same
from benchmarks.usage import cpu_seconds, peak_memory

OWN, THEIRS, ROUND_TRIP, SOCKET, CODEC = "own", "theirs", "round trip", "socket", "codec"
KEEPING_SOCKET: Final = "socket that keeps"
SIDES: Final = (OWN, THEIRS)
_LEAST_REPETITIONS: Final = 11  # however long they take: a median of four depends too much on chance
_TINY: Final = "tiny"

Operation = Callable[[int], Any]


@dataclass(frozen=True, slots=True)
class Order:
    """
    What a run must measure: the ``conf`` of its Dag run.

    :param results: the folder of its result files.
    :param payload: a name of :data:`benchmarks.payloads.PAYLOADS`.
    :param side: for Dags that exercise one side only.
    :param repetitions: how often at most.
    :param seconds: how long at most.
    :param floor_port: of :func:`benchmarks.floor.socket_server`.
    :param api_server: the ids of the API server's processes.
    """

    results: str
    payload: str = ""
    side: str = ""
    repetitions: int = 1
    seconds: float = 1.0
    floor_port: int = 0
    api_server: list[int] = field(default_factory=list)

    def conf(self) -> dict[str, Any]:
        """Return it as the ``conf`` of a Dag run."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Task:
    """The running task instance, as far as XComs are concerned."""

    order: Order
    dag_id: str
    run_id: str
    task_id: str
    map_index: int

    @classmethod
    def current(cls) -> Task:
        """Return the task of this process."""
        from airflow.sdk import get_current_context

        context: Any = get_current_context()
        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        return cls(Order(**context["dag_run"].conf), ti.dag_id, ti.run_id, ti.task_id, map_index)

    def push(self, side: str, key: str, value: Any) -> None:
        """Push with Airflow's own backend or the configured one, at this task's coordinates."""
        where = {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": self.task_id, "map_index": self.map_index}
        backend(side).set(key, value, **where)

    def pull(self, side: str, key: str, *, task_id: str, map_index: int = -1) -> Any:
        """Pull with one of them."""
        where = {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": task_id, "map_index": map_index}
        return backend(side).get_one(key=key, **where)

    def pull_all(self, side: str, key: str, *, task_id: str) -> Any:
        """Pull the values of all map indexes with one of them, as ``xcom_pull(task_ids=…)`` does."""
        return backend(side).get_all(key=key, dag_id=self.dag_id, run_id=self.run_id, task_id=task_id)

    def walk(self, side: str, key: str, *, task_id: str) -> list[Any]:
        """Return the values of all map indexes as ``for value in values:`` delivers them to a task."""
        from airflow.sdk.execution_time import xcom
        from airflow.sdk.execution_time.lazy_sequence import LazyXComSequence

        output: Any = SimpleNamespace(operator=SimpleNamespace(dag_id=self.dag_id, task_id=task_id), key=key)
        this: Any = SimpleNamespace(run_id=self.run_id)
        with patch.object(xcom, "XCom", backend(side)):
            return [*iter(LazyXComSequence(xcom_arg=output, ti=this))]

    def leave(self, name: str, measured: Mapping[str, Any]) -> None:
        """Write a result file atomically: a reader sees all of it or nothing."""
        folder = Path(self.order.results)
        unfinished = folder / f".{name}.{os.getpid()}"
        unfinished.write_text(json.dumps(measured), encoding="utf-8")
        unfinished.rename(folder / f"{name}.json")


def backend(side: str) -> Any:
    """Return Airflow's own backend or the configured one."""
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.xcom import XCom

    return BaseXCom if side == OWN else XCom


def measure_pushes() -> None:
    """Push the payload again and again, each time under new keys."""
    task = Task.current()
    payload = PAYLOADS[task.order.payload]
    refusals = _try_out(task, payload)
    value, codecs, wire = payload.build(), _codecs(), Wire(task.order.floor_port)
    sides = [side for side in SIDES if side not in refusals]
    peaks = {}
    for side in reversed(sides):  # see measure_pulls
        _, peaks[side] = peak_memory(partial(task.push, side, peak_key(side, task.order.payload), value))
    encoded = b"".join(codecs.encode(value)[1])
    operations: dict[str, Operation] = {
        **{side: _pusher(task, side, value) for side in sides},
        ROUND_TRIP: lambda number: task.push(OWN, f"{_TINY}-{number}", _TINY),
        SOCKET: lambda _: wire.send(encoded),
        KEEPING_SOCKET: lambda _: wire.send(encoded, is_kept=True),
        CODEC: lambda _: codecs.encode(value),
    }
    samples = _take_turns(operations, task, most=payload.repetitions)
    pushed = len(samples[ROUND_TRIP])
    task.push(OWN, "pushed", pushed)
    task.leave("push", {"refusals": refusals, "peaks": peaks, "encoded_bytes": len(encoded), "samples": samples})


def measure_pulls() -> None:
    """Pull what :func:`measure_pushes` pushed, each time another key."""
    task = Task.current()
    payload = PAYLOADS[task.order.payload]
    pushed = task.pull(OWN, "pushed", task_id="push")
    sides = [side for side in SIDES if task.pull(side, f"{side}-sample", task_id="push") is not None]
    peaks, faithful = {}, {}
    # Before anything else of this size: memory that an allocator keeps after it was freed would hide a peak. Airflow's
    # own backend comes second, so its peak is the one that may look too small.
    for side in reversed(sides):
        pulled, peaks[side] = peak_memory(partial(task.pull, side, peak_key(side, task.order.payload), task_id="push"))
        faithful[side] = same(pulled, payload.build())
        del pulled
    codecs, wire = _codecs(), Wire(task.order.floor_port)
    name, pieces = codecs.encode(payload.build())
    encoded = bytearray().join(
        pieces
    )  # writable: a value may keep it, as it may keep the memory that a pull decrypts into
    operations: dict[str, Operation] = {
        **{side: _puller(task, side, pushed) for side in sides},
        ROUND_TRIP: lambda number: task.pull(OWN, f"{_TINY}-{number % pushed}", task_id="push"),
        SOCKET: lambda _: wire.fetch(len(encoded)),
        CODEC: lambda _: codecs.decode(name, encoded),
    }
    samples = _take_turns(operations, task, most=1000)
    task.leave("pull", {"peaks": peaks, "faithful": faithful, "samples": samples})


def measure_plain() -> None:
    """Push and pull tiny values of a plain task, which the configured backend must not change."""
    task = Task.current()
    operations: dict[str, Operation] = {}
    for side in SIDES:
        task.push(side, f"{side}-0", _TINY)
        operations[f"push {side}"] = _pusher(task, side, _TINY)
        operations[f"pull {side}"] = _puller(task, side, 1, task_id=task.task_id)
    task.leave("plain", {"samples": _take_turns(operations, task, most=1000)})


def measure_first(what: str, side: str) -> None:
    """Time the very first push or pull of this process."""
    task = Task.current()
    value = PAYLOADS[task.order.payload].build() if what == "push" else None
    begin = time.perf_counter()
    if what == "push":
        task.push(side, side, value)
    else:
        task.pull(side, side, task_id="produce")
    elapsed = time.perf_counter() - begin
    task.leave(f"first-{what}-{task.map_index}", {"what": what, "side": side, "seconds": elapsed})


def peak_key(side: str, payload: str) -> str:
    """Return the key of the push whose memory and row are measured."""
    return f"{side}-peak-{payload}"


def _pusher(task: Task, side: str, value: Any) -> Operation:
    return lambda number: task.push(side, f"{side}-{number}", value)


def _puller(task: Task, side: str, pushed: int, *, task_id: str = "push") -> Operation:
    return lambda number: task.pull(side, f"{side}-{number % pushed}", task_id=task_id)


def _try_out(task: Task, payload: Payload) -> dict[str, str]:
    """Push a tiny value of the type, and return why a side refuses it, if it does."""
    refusals = {}
    for side in SIDES:
        try:
            task.push(side, f"{side}-sample", payload.sample())
        except Exception as refusal:  # noqa: BLE001  # any error is a result, and the table shows it
            refusals[side] = f"{type(refusal).__name__}: {str(refusal).splitlines()[0][:80]}"
    return refusals


def _codecs() -> Any:
    from airflow_provider_exclusive.wiring import create_codecs

    return create_codecs(allow_cloudpickle=False)


def _take_turns(operations: Mapping[str, Operation], task: Task, *, most: int) -> dict[str, list[dict[str, float]]]:
    """
    Run all operations in random order, again and again, until the order's repetitions or seconds are used up.

    A tiny pull that is not timed precedes each one: an API server is still busy with 20 MB of JSON after it has
    answered, and the next operation would pay for that.
    """
    samples: dict[str, list[dict[str, float]]] = defaultdict(list)
    turns = list(operations.items())
    end = time.monotonic() + task.order.seconds
    for number in range(min(task.order.repetitions, most)):
        if number >= _LEAST_REPETITIONS and time.monotonic() > end:
            break
        random.shuffle(turns)
        for name, operation in turns:
            task.pull(OWN, "nothing", task_id=task.task_id)
            samples[name].append(_sample(operation, number, task.order.api_server))
    return samples


def _sample(operation: Operation, number: int, api_server: list[int]) -> dict[str, float]:
    """Return seconds: by the clock, of processor time of this worker (task and supervisor) and of the API server."""
    worker = (os.getpid(), os.getppid())
    worker_before, server_before = cpu_seconds(worker), cpu_seconds(api_server)
    begin = time.perf_counter()
    result = operation(number)
    elapsed = time.perf_counter() - begin
    used = {"worker": cpu_seconds(worker) - worker_before, "api_server": cpu_seconds(api_server) - server_before}
    del result  # outside of the timing, and before the next one is pulled
    return {"clock": elapsed, **used}
