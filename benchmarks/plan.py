"""How much is measured: everything in about half an hour, or the essentials in three minutes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.payloads import PAYLOADS, QUICK


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What one measurement covers.

    :param stacks: letters of :data:`benchmarks.stacks.BACKENDS`; load is measured on the last one only.
    :param payloads: names of :data:`benchmarks.payloads.PAYLOADS`.
    :param repetitions: of each push and each pull, at most.
    :param seconds: limit for the pushes of one payload, and again for its pulls, once there are enough of them.
    :param first: fresh tasks for each side of a first push and a first pull; at least 1.
    :param readers: numbers of tasks that pull at the same time, and of runs that do.
    :param phase_seconds: how long readers pull from one side before they switch to the other.
    :param mix_runs: runs of the stated mix, for each side.
    :param scalar_runs: runs that push twenty small integers each, for each side.
    :param mapped: numbers of map indexes that one task pulls.
    :param with_load: whether to measure readers, mix and mapped tasks at all.
    """

    name: str
    stacks: str
    payloads: tuple[str, ...]
    repetitions: int
    seconds: float
    first: int
    readers: tuple[int, ...]
    phase_seconds: float
    mix_runs: int
    scalar_runs: int
    mapped: tuple[int, ...]
    with_load: bool = True


QUICK_PLAN: Final = Plan(
    name="quick",
    stacks="e",
    payloads=QUICK,
    repetitions=10,
    seconds=3,
    first=2,
    readers=(1, 4),
    phase_seconds=1,
    mix_runs=10,
    scalar_runs=20,
    mapped=(20,),
)
FULL_PLAN: Final = Plan(
    name="full",
    stacks="bcde",
    payloads=tuple(PAYLOADS),
    repetitions=40,
    seconds=5,
    first=5,
    readers=(1, 4, 16, 32),
    phase_seconds=4,
    mix_runs=200,
    scalar_runs=200,
    mapped=(10, 100, 1000, 10_000),
)
PLANS: Final = (QUICK_PLAN, FULL_PLAN)
