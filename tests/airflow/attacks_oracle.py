"""
What section 6 of the design says about each reader of the attack table's world: the oracle.

It works on how that world is described, never on references, records or any other module under test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.airflow.attacks_garbage import TO_NO_TASK
from tests.airflow.attacks_places import SCOPES, Output, Place, Run, next_dag
from tests.airflow.attacks_world import FAKES, FAKES_FOR_THE_SERVER, LONGEST_CHAIN, OTHER_TRIES, Record, World

ALLOWED = {"producer", "named", "caller", "handed", "handed, mapped", "handed on"}
BELIEVED = {
    "server": {"genuine"},
    # A worker gets the record's value through the backend, and knows neither its try nor its row.
    "worker": {"genuine", *FAKES_FOR_THE_SERVER},
    # Who believes every record and follows every conf shows which reads only the checks on these stop.
    "credulous": {"genuine", *FAKES},
}


class Lost(NamedTuple):
    """What a run points to where the trigger task has no record of its present try."""

    at: Place


class Broken(Exception):  # noqa: N818  # no error of the test: one of the verdicts
    """A worker has met a record that is none; it says so instead of looking further."""


def expect(world: World, path: str, reader: Place, output: Output) -> str:
    """Return how ``reader`` comes to read ``output`` on a path of :data:`BELIEVED`; if it may not, something else."""
    lost: list[Lost] = []
    try:
        found = follow(reader, output, lambda run: handed_to(world, path, run), lost)
    except Broken:
        return "broken record"
    return "withdrawn" if lost and found not in ALLOWED else found


def follow(reader: Place, output: Output, handed: Callable[[Run], Record | Lost | None], lost: list[Lost]) -> str:
    """Go from the reader to the task that triggered its run, and on, until one is found that may read by itself."""
    for hops in range(LONGEST_CHAIN + 1):
        if (own := own_right(output, reader, handed, lost)) is not None:
            return describe(own, hops, output)
        # What a run made is under its scope alone: nobody hands it back to the rest of that run.
        if reader.home == output.at.home:
            return "denied: own run"
        if hops == LONGEST_CHAIN:
            break
        record = handed(reader.home)
        if isinstance(record, Lost):
            lost.append(record)
            break
        if record is None or output not in record.outputs():
            return "denied: nothing handed" if record is None else "denied: not among what was handed"
        reader = record.at
    return "denied: chain too long"


def own_right(
    output: Output, reader: Place, handed: Callable[[Run], Record | Lost | None], lost: list[Lost]
) -> str | None:
    if (reader.dag, reader.task, reader.map_index) == (output.at.dag, output.at.task, output.at.map_index):
        return "producer"
    if is_named(output, reader):
        return "named"
    if not SCOPES[output.at.task][output.key].caller:
        return None
    record = handed(output.at.home)
    if record is None or record.at != reader:
        return None
    if isinstance(record, Lost):
        lost.append(record)
        return None
    return "caller"


def is_named(output: Output, reader: Place) -> bool:
    scope, producer = SCOPES[output.at.task][output.key], output.at
    return (
        (reader.home == producer.home and reader.task in scope.here)
        or (reader.dag == producer.dag and reader.task in scope.any_run)
        or (reader.dag == next_dag(producer.dag) and reader.task in scope.next_dag)
    )


def handed_to(world: World, path: str, run: Run) -> Record | Lost | None:
    """Return the record that a run points to, if it is one and names that run."""
    if path == "credulous":
        return world.records.get(world.told().get(run))
    kind, named = world.garbage.get(run, (None, None))
    if kind == TO_NO_TASK:
        return Lost(named._replace(map_index=2**40))
    if (trigger := world.pointers.get(run)) is None:
        return None
    record = world.records.get(trigger)
    if record is None or (path == "server" and record.kind in OTHER_TRIES):
        return Lost(trigger)
    if record.kind not in BELIEVED[path]:
        if path == "worker":
            raise Broken
        return None
    return record if record.names == run else None


def describe(own: str, hops: int, output: Output) -> str:
    if not hops:
        return own
    if hops > 1:
        return "handed on"
    return "handed, mapped" if output.at.map_index >= 0 else "handed"
