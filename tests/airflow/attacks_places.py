"""Which runs, tasks and outputs there are in the attack table's world, and whom each output is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Run(NamedTuple):
    """A Dag run, by its ids."""

    dag: str
    run: str


class Place(NamedTuple):
    """A task instance."""

    dag: str
    run: str
    task: str
    map_index: int = -1

    @property
    def home(self) -> Run:
        return Run(self.dag, self.run)


class Output(NamedTuple):
    """One XCom of a producer."""

    at: Place
    key: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Task ids: of the producer's run, of any run of its Dag, of the next Dag; and whether the caller is meant."""

    here: tuple[str, ...] = ()
    any_run: tuple[str, ...] = ()
    next_dag: tuple[str, ...] = ()
    caller: bool = False


BY_TRIGGERS = Scope(here=("trigger", "mapped_trigger"))
SCOPES = {
    "source": {
        "rows": BY_TRIGGERS,
        "frame": Scope(here=("other_trigger",)),
        "nobody": Scope(),
        "result": Scope(caller=True),
        "shared": Scope(here=("reader",), caller=True),
        "wide": Scope(any_run=("trigger",)),
        "cross": Scope(next_dag=("trigger",)),
    },
    "mapped": {"rows": BY_TRIGGERS, "result": Scope(caller=True)},
}
TRIGGERS = {"trigger": (-1,), "other_trigger": (-1,), "mapped_trigger": (0, 1), "reader": (-1,)}
TASKS = {"source": (-1,), "mapped": (0, 1, 2), "stranger": (-1,), **TRIGGERS}
DAGS = ("attack_alpha", "attack_beta", "attack_gamma")
CHAIN = "attack_chain"


def places_of(run: Run, tasks: dict[str, tuple[int, ...]] = TASKS) -> list[Place]:
    return [Place(*run, task, index) for task, indexes in tasks.items() for index in indexes]


def outputs_of(run: Run) -> list[Output]:
    return [Output(place, key) for place in places_of(run) for key in SCOPES.get(place.task, ())]


def next_dag(dag: str) -> str:
    return DAGS[(DAGS.index(dag) + 1) % len(DAGS)] if dag in DAGS else DAGS[0]
