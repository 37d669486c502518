"""
The world of the attack table, as a description: runs, what their ``conf`` says, and the records that lie about.

Nothing of the package is used here. :mod:`tests.airflow.attacks_oracle` judges this description, and
:mod:`tests.airflow.attacks_metadata` turns it into rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

from tests.airflow.attacks_garbage import GARBAGE, garbage_conf, pointer_to
from tests.airflow.attacks_places import (
    CHAIN,
    DAGS,
    SCOPES,
    TASKS,
    TRIGGERS,
    Output,
    Place,
    Run,
    next_dag,
    outputs_of,
    places_of,
)


class Source(NamedTuple):
    """An entry of a record; ``map_index`` is None for all of them."""

    task: str
    key: str
    map_index: int | None
    home: Run


@dataclass(frozen=True, slots=True)
class Record:
    """
    What lies where a trigger task's record belongs.

    :param kind: ``genuine``, or one of :data:`FAKES`.
    :param names: the run that it says was triggered.
    """

    at: Place
    kind: str
    names: Run
    sources: tuple[Source, ...]

    def outputs(self) -> set[Output]:
        return {
            Output(Place(*source.home, source.task, index), source.key)
            for source in self.sources
            for index in (TASKS[source.task] if source.map_index is None else (source.map_index,))
        }


RUNS_OF_A_DAG = 60
RUNS_OF_THE_CHAIN = 44
LONGEST_CHAIN = 8

# Genuine but for what only the metadata database knows: whose try wrote it, and that an answer lies beside it.
OTHER_TRIES = ("earlier try", "another task's try", "another map index's try", "no try", "no such try")
FAKES_FOR_THE_SERVER = (*OTHER_TRIES, "planted answer")
FAKES = (
    *FAKES_FOR_THE_SERVER,
    "unsealed", "escaped", "null", "text", "marker only", "later version", "not accepted", "copied", "copied and renamed",
    "another key", "edited scope", "foreign key ring", "closed scope", "no record", "extra field",
    "too deep", "payload in the store",
)  # fmt: skip


@dataclass(slots=True)
class World:
    """
    Runs of several Dags.

    :param pointers: where the ``conf`` of a run points, if it is well-formed.
    :param garbage: what is wrong with the ``conf`` of a run that names a place, but not as a pointer does.
    """

    runs: list[Run]
    pointers: dict[Run, Place] = field(default_factory=dict)
    garbage: dict[Run, tuple[str, Place]] = field(default_factory=dict)
    records: dict[Place, Record] = field(default_factory=dict)

    @classmethod
    def build(cls, dice: random.Random) -> World:
        ids = [f"run_{number}" for number in range(RUNS_OF_A_DAG)]
        world = cls([Run(dag, run) for dag in DAGS for run in ids])
        for first, second in zip(world.runs[:6:2], world.runs[1:6:2], strict=True):
            world.add_circle(first, second)
        for length in (2, 3, 4, 5) * 2:
            world.add_chain(dice.sample(world.untold(), length + 1))
        world.add_attacks(dice)
        untold = world.untold()
        for run in dice.sample(untold, len(untold)):
            world.add_story(run, dice)
        chain = [Run(CHAIN, f"run_{number}") for number in range(RUNS_OF_THE_CHAIN)]
        world.runs += chain
        world.add_chain(chain)
        return world

    def hand_over(self, trigger: Place, run: Run, *sources: Source, kind: str = "genuine") -> None:
        self.records[trigger] = Record(trigger, kind, run, sources)
        self.pointers[run] = trigger

    def add_circle(self, first: Run, second: Run) -> None:
        """Two runs that trigger each other, and hand back and forth what the first one made."""
        rows = [Source(task, "rows", None, first) for task in ("source", "mapped")]
        secret = Source("source", "nobody", -1, first)
        self.hand_over(Place(*first, "trigger"), second, *rows, secret)
        self.hand_over(Place(*second, "trigger"), first, *rows, secret, Source("source", "rows", -1, second))

    def add_attacks(self, dice: random.Random) -> None:
        """Every fake, garbage and look-alike where nothing else is wrong, so that nothing else denies; and none."""
        for kind in (*FAKES, *FAKES):
            self.add_attack(dice, kind)
        for kind in GARBAGE:
            run = self.add_attack(dice, "genuine")
            self.garbage[run] = (kind, self.pointers.pop(run))
        for number in range(9):
            run = self.add_attack(dice, "genuine")
            record = self.records[self.pointers[run]]
            self.records[record.at] = replace(record, names=self.look_alikes(run, dice)[number % 3])
        for _ in range(15):
            self.add_attack(dice, "genuine")

    def add_attack(self, dice: random.Random, kind: str) -> Run:
        run, trigger = dice.choice(self.untold()), self.free_trigger(dice, ("trigger", "mapped_trigger"))
        mapped = Source("mapped", "rows", dice.choice((None, 0, 2)), trigger.home)
        self.hand_over(trigger, run, Source("source", "rows", -1, trigger.home), mapped, kind=kind)
        return run

    def add_chain(self, runs: list[Run]) -> None:
        """Runs of which each triggers the next and hands on what the first one made."""
        rows = [Source(task, "rows", None, runs[0]) for task in ("source", "mapped")]
        for run, triggered in pairwise(runs):
            self.hand_over(Place(*run, "trigger"), triggered, *rows)

    def told(self) -> dict[Run, Place]:
        """Every run that says it was triggered, well or badly, and by whom."""
        return self.pointers | {run: trigger for run, (_, trigger) in self.garbage.items()}

    def untold(self) -> list[Run]:
        return [run for run in self.runs if run not in self.told()]

    def lie_about(self, run: Run) -> str | None:
        """What is wrong with what a run says of who triggered it."""
        if run in self.garbage:
            return self.garbage[run][0]
        record = self.records.get(self.pointers.get(run))
        if record is None or record.kind != "genuine":
            return record and record.kind
        return None if record.names == run else "names another run"

    def add_story(self, run: Run, dice: random.Random) -> None:
        """Let some task trigger ``run``, or somebody pretend that it did."""
        trigger = self.free_trigger(dice)
        kind = "genuine" if dice.random() < 0.65 else dice.choice(FAKES)
        names = run if dice.random() < 0.9 else dice.choice(self.look_alikes(run, dice))
        self.records[trigger] = Record(trigger, kind, names, tuple(self.some_sources(trigger, dice)))
        story = dice.choices(("pointer", "copied", "dangling", "garbage"), (80, 7, 5, 8))[0]
        if story == "pointer":
            self.pointers[run] = trigger
        elif story == "copied":
            self.pointers[run] = dice.choice(list(self.records))
        elif story == "dangling":
            self.pointers[run] = dice.choice(
                [trigger._replace(run="no such run"), trigger._replace(task="stranger", map_index=-1)]
            )
        else:
            self.garbage[run] = (dice.choice(GARBAGE), trigger)

    def free_trigger(self, dice: random.Random, tasks: tuple[str, ...] = tuple(TRIGGERS)) -> Place:
        chosen = {task: TASKS[task] for task in tasks}
        while (place := dice.choice(places_of(dice.choice(self.runs), chosen))) in self.records:
            continue
        return place

    def look_alikes(self, run: Run, dice: random.Random) -> list[Run]:
        """The same run id in another Dag, a longer one in the same, and another run of this world."""
        others = [other for other in self.runs if other != run]
        return [Run(next_dag(run.dag), run.run), Run(run.dag, f"{run.run}0"), dice.choice(others)]

    def some_sources(self, trigger: Place, dice: random.Random) -> Iterator[Source]:
        """Outputs of the trigger's own run, of what that run was handed, and of runs that are none of its business."""
        own = outputs_of(trigger.home)
        readable = [output for output in own if trigger.task in SCOPES[output.at.task][output.key].here]
        yield from (source_of(output, dice) for output in (*readable, *dice.sample(own, 3)))
        if (before := self.records.get(self.pointers.get(trigger.home))) is not None:
            yield from before.sources
        foreign = outputs_of(Run(trigger.dag, dice.choice(self.runs).run)) + outputs_of(dice.choice(self.runs))
        yield from (source_of(output, dice) for output in dice.sample(foreign, 3))


def source_of(output: Output, dice: random.Random) -> Source:
    is_whole = output.at.task == "mapped" and dice.random() < 0.6
    return Source(output.at.task, output.key, None if is_whole else output.at.map_index, output.at.home)


def conf_of(world: World, run: Run) -> Any:
    """Return the ``conf`` of a run as the database holds it."""
    if run in world.garbage:
        kind, trigger = world.garbage[run]
        return garbage_conf(kind, trigger, run)
    return {"exclusive": pointer_to(world.pointers[run])} if run in world.pointers else {"rows": 3}
