"""
What each caller must get of the decision table's world: the oracle.

It works on how that world is described, never on references, scopes or any other module under test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow.api_fastapi.execution_api.versions import bundle

from tests.airflow.table_world import Cell, Clause, Place, World

# From this version of its API on, Airflow 3.4 itself refuses writes of tasks that it does not find.
_FINDS_WRITERS_SINCE = "2026-10-30"
_NEWEST = bundle.versions[0].value
VERSIONS_THAT_FIND_WRITERS = {_NEWEST, None} if _NEWEST >= _FINDS_WRITERS_SINCE else set()


@dataclass(frozen=True, slots=True)
class Case:
    """
    One request.

    :param route: a name of :data:`ROUTES`.
    :param caller: None for a token of no known task instance.
    """

    route: str
    target: Place
    key: str
    caller: Place | None
    version: str | None
    ended: str


ROUTES = {
    "single": ("GET", "", ""),
    "single, prior dates": ("GET", "", "include_prior_dates=true"),
    "offset 0": ("GET", "", "offset=0"),
    "offset -1": ("GET", "", "offset=-1"),
    "offset -1, prior dates": ("GET", "", "offset=-1&include_prior_dates=1"),
    "item 0": ("GET", "/item/0", ""),
    "item -2": ("GET", "/item/-2", ""),
    "slice": ("GET", "/slice", ""),
    "slice of 1": ("GET", "/slice", "start=1&stop=2"),
    "slice, prior dates": ("GET", "/slice", "include_prior_dates=on"),
    "count": ("HEAD", "", ""),
    "set": ("POST", "", ""),
    "delete": ("DELETE", "", ""),
}


class Expected(NamedTuple):
    """An answer: ``outcome`` for counting, and a body, a refusal's reason, or a number."""

    status: int
    outcome: str
    content: Any = None


def expect(world: World, case: Case) -> Expected | None:
    """Return what ``case`` must be answered; None where Airflow's own choice of a row is left to the database."""
    if case.route in ("set", "delete"):
        return expect_write(case)
    selected = select_rows(world, case)
    return None if selected is None else expect_read(world, case, selected)


def expect_read(world: World, case: Case, selected: list[tuple[Place, Cell]]) -> Expected:
    if case.route == "count":
        return Expected(200, "counted", len(selected))
    if not selected and not is_slice(case):
        return Expected(404, "absent")
    judged = [judge(world, case, place, cell) for place, cell in selected]
    if reason := next((reason for _, reason in judged if reason), None):
        return Expected(403, f"denied: {reason}", reason)
    bodies = [cell.opened for _, cell in selected]
    if is_slice(case):
        kinds = "+".join(sorted({kind for kind, _ in judged}))
        return Expected(200, f"several {kinds or 'nothing'}", bodies)
    body = bodies[0] if case.route.startswith("item") else {"key": case.key, "value": bodies[0]}
    return Expected(200, judged[0][0], body)


def expect_write(case: Case) -> Expected:
    """Every task that runs, or just ended, writes at its own coordinates, and nobody elsewhere."""
    if case.caller is None and case.version in VERSIONS_THAT_FIND_WRITERS:
        return Expected(404, "write denied: Airflow knows no such task")
    if case.caller is None:
        return Expected(403, "write denied: unknown-task", "unknown-task")
    if case.caller != case.target:
        return Expected(403, "write denied: foreign-coordinate", "foreign-coordinate")
    if case.ended == "long ago":
        return Expected(403, "write denied: task-has-ended", "task-has-ended")
    return Expected(201, "written") if case.route == "set" else Expected(200, "deleted")


def judge(world: World, case: Case, place: Place, cell: Cell) -> tuple[str, str | None]:
    """Return what the caller gets of one row, and the reason if it gets nothing."""
    # A scope that no key vouches for is not even looked at.
    if cell.kind in ("plain", "open", "misplaced", "edited", "not accepted"):
        return {"plain": "plain", "open": "opened"}.get(cell.kind, "sealed"), None
    if case.caller is None:
        return "", "unknown-task"
    if case.ended == "long ago":
        return "", "task-has-ended"
    is_own = (case.caller.dag, case.caller.task, case.caller.map_index) == (place.dag, place.task, place.map_index)
    if not (is_own or any(permits(world, clause, place, case.caller) for clause in cell.clauses)):
        return "", "not-in-scope"
    return "opened", None


def permits(world: World, clause: Clause, producer: Place, caller: Place) -> bool:
    if caller.dag != (world.other_dag(producer.dag) if clause.other_dag else producer.dag):
        return False
    if not (clause.any_run or clause.other_dag or caller.run == producer.run):
        return False
    return caller.task.startswith(clause.task[:-1]) if clause.task.endswith("*") else caller.task == clause.task


def is_slice(case: Case) -> bool:
    return case.route.startswith("slice") or is_shadowed(case)


def is_shadowed(case: Case) -> bool:
    """A key that ends like a route is, on a plain GET, taken by Airflow for that route."""
    return case.key.endswith("/slice") and ROUTES[case.route][:2] == ("GET", "")


def select_rows(world: World, case: Case) -> list[tuple[Place, Cell]] | None:
    """Do as Airflow does: the rows a read is about, or None where it orders equal map indexes as it likes."""
    runs, takes_prior = world.runs.get(case.target.dag, []), "prior" in case.route
    newest = runs.index(case.target.run) if case.target.run in runs else -1
    runs = runs[: newest + 1][::-1] if takes_prior else [case.target.run]
    key = case.key.removesuffix("/slice") if is_shadowed(case) else case.key
    found = [
        (place, cell)
        for run in runs
        for (place, at), cell in sorted(world.cells.items(), key=lambda item: item[0])
        if (place.dag, place.run, place.task, at) == (case.target.dag, run, case.target.task, key)
    ]
    if is_shadowed(case) or case.route in ("slice", "slice, prior dates", "count"):
        return found
    if case.route.startswith("single"):
        return [(place, cell) for place, cell in found if place.map_index == case.target.map_index][:1]
    if case.route == "slice of 1":
        return found[1:2]
    if len({place.run for place, _ in found}) > 1:
        return None
    position = int(case.route.split()[1].strip(","))
    in_order = found if position >= 0 else found[::-1]
    offset = position if position >= 0 else -1 - position
    return in_order[offset : offset + 1]
