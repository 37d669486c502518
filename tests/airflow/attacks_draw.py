"""Draws who asks for what in the attack table's world."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from tests.airflow.attacks_oracle import ALLOWED, expect
from tests.airflow.attacks_places import CHAIN, SCOPES, Output, Place, Run, outputs_of, places_of
from tests.airflow.attacks_world import LONGEST_CHAIN, World

# How a case is drawn, see Draw: all that there are, up to this many.
QUOTAS = {"hopeful": 2_600, "promised": 400, "beside": 900, "caller": 900, "own": 200, "any": 200, "chain": 200}


class Case(NamedTuple):
    """Who asks for what."""

    reader: Place
    output: Output


class Draw:
    """Draws cases so that every way to read and every fake comes up, and most of the readers have some right to hope."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.dice = world, random.Random(seed)

    def cases(self, share: float = 1.0) -> list[Case]:
        drawn: dict[Case, None] = {}
        for name, quota in QUOTAS.items():
            found = list(dict.fromkeys(case for case in getattr(self, name)() if self.exists(case.output)))
            drawn.update(dict.fromkeys(self.dice.sample(found, min(len(found), int(quota * share)))))
        return list(drawn)

    def hopeful(self) -> Iterator[Case]:
        """What would be read if every record and every conf were believed."""
        return (case for case in self.promised() if expect(self.world, "credulous", *case) in ALLOWED)

    def promised(self) -> Iterator[Case]:
        """What the record says to which a run points."""
        for run, trigger in self.world.told().items():
            record = self.world.records.get(trigger)
            for output in sorted(record.outputs()) if record else outputs_of(trigger.home):
                yield from (Case(reader, output) for reader in self.readers(run))

    def beside(self) -> Iterator[Case]:
        """Another key, map index, task, run or Dag than what is promised."""
        for reader, output in self.hopeful():
            at, run = output.at, self.dice.choice(self.world.runs)
            swapped = [
                *(Output(at, key) for key in SCOPES[at.task]),
                Output(at._replace(run=run.run), output.key),
                Output(at._replace(dag=run.dag), output.key),
                *(other for other in outputs_of(at.home) if other.key == output.key),
            ]
            yield Case(reader, self.dice.choice([one for one in swapped if one != output and self.exists(one)]))

    def caller(self) -> Iterator[Case]:
        """What is for the caller only, for the task to which the run points and for one beside it."""
        for run, trigger in self.world.told().items():
            for output in outputs_of(run):
                if SCOPES[output.at.task][output.key].caller and self.exists_place(trigger):
                    yield Case(trigger, output)
                    yield Case(self.dice.choice(self.readers(trigger.home)), output)

    def own(self) -> Iterator[Case]:
        for run in self.world.runs:
            yield from (Case(reader, self.dice.choice(outputs_of(run))) for reader in self.readers(run))

    def any(self) -> Iterator[Case]:
        for run in self.world.runs:
            for reader in self.readers(run):
                yield Case(reader, self.dice.choice(outputs_of(self.dice.choice(self.world.runs))))

    def chain(self) -> Iterator[Case]:
        """What the first run of the long chain handed on, asked for where the chain is just long enough or too long."""
        first = min((run for run in self.world.runs if run.dag == CHAIN), key=self.world.runs.index)
        for run in self.world.runs[self.world.runs.index(first) + LONGEST_CHAIN - 2 :]:
            yield from (Case(Place(*run, "reader"), output) for output in outputs_of(first) if output.key == "rows")

    def readers(self, run: Run) -> list[Place]:
        # Each decision in the chain looks up to 8 records up.
        return [Place(*run, "reader")] if run.dag == CHAIN else places_of(run)

    def exists(self, output: Output) -> bool:
        return output.at.home in self.world.runs

    def exists_place(self, place: Place) -> bool:
        return place in places_of(place.home) and place.home in self.world.runs
