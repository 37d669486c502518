"""More than ten thousand requests to the real execution API, each compared with an oracle that knows only the rules."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import product

import pytest
from airflow.api_fastapi.execution_api.versions import bundle
from starlette.testclient import TestClient

from tests.airflow.table import ROUTES, Case, Expected, expect
from tests.airflow.table_server import Response, Server
from tests.airflow.table_world import Place, World

# None: no header at all; Airflow takes a date between two versions for the earlier of them.
VERSIONS = [*(version.value for version in bundle.versions), None, "2025-12-31"]
ENDED = ["no", "just now", "long ago"]
LEAST_CASES = 10_000
PER_COMBINATION = LEAST_CASES // (len(ROUTES) * len(VERSIONS) * len(ENDED)) + 1
SEED = 20261121


@pytest.fixture(scope="module")
def client():
    from airflow.api_fastapi.app import create_app

    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def world(client):
    return World.build()


def relation(case: Case) -> str:
    """How the caller stands to the coordinate that it asks for."""
    caller, target = case.caller, case.target
    if caller is None:
        return "unknown"
    if caller == target:
        return "own"
    if caller.dag != target.dag:
        return "other Dag"
    if caller.run != target.run:
        return "other run"
    return "other map index" if caller.task == target.task else "same run"


class Draw:
    """Draws cases so that every relation and every kind of target comes up in every route, version and state."""

    def __init__(self, world: World) -> None:
        self.world, self.random = world, random.Random(SEED)
        self.callers = list(world.ti_ids)
        self.targets = [*world.cells, *self.absent()]

    def absent(self) -> list[tuple[Place, str]]:
        dag, (_, late) = next(iter(self.world.runs.items()))
        return [
            (Place(dag, late, "secret"), "never"),
            (Place(dag, late, "secret"), "early"),
            (Place(dag, late, "secret"), "early_any"),
            (Place(dag, late, "mapped", 9), "return_value"),
            (Place(dag, "no such run", "secret"), "return_value"),
            (Place("no_such_dag", late, "secret"), "return_value"),
            (Place(dag, late, "no_such_task"), "return_value"),
        ]

    def case(self, route: str, version: str | None, ended: str) -> Case:
        target, key = self.random.choice(self.targets)
        nearness = self.random.choice(["unknown", "own", "task", "run", "run", "run", "reader", "dag", "any"])
        near = [place for place in self.callers if self.is_near(place, target, nearness)] or self.callers
        caller = None if nearness == "unknown" else self.random.choice(near)
        return Case(route, target, key, caller, version, ended)

    @staticmethod
    def is_near(place: Place, target: Place, nearness: str) -> bool:
        return {
            "own": place == target,
            "task": place[:3] == target[:3],
            "run": place[:2] == target[:2],
            "reader": "reader" in place.task,
            "dag": place.dag == target.dag,
        }.get(nearness, True)

    def cases(self, ended: str) -> Iterator[tuple[Case, Expected]]:
        """Yield as many different cases of each route and version, with what is expected of them."""
        for route, version in product(ROUTES, VERSIONS):
            drawn: dict[Case, Expected] = {}
            while len(drawn) < PER_COMBINATION:
                case = self.case(route, version, ended)
                if (expected := expect(self.world, case)) is not None:
                    drawn[case] = expected
            yield from drawn.items()


def fault(expected: Expected, response: Response, case: Case) -> str | None:
    """Return what is wrong with an answer, if anything is."""
    if expected.status == 403:
        if response.status_code != 403:
            return "wrong allow"
        is_bare = '"opened"' not in response.text and '"sealed"' not in response.text
        is_explained = response.json()["detail"]["reason"] == expected.content
        return None if is_bare and is_explained else "denied in a wrong way"
    if response.status_code == 403:
        return "wrong denial"
    return None if is_answered(expected, response, case) else "wrong answer"


def is_answered(expected: Expected, response: Response, case: Case) -> bool:
    if response.status_code != expected.status:
        return False
    if case.route == "count":
        return response.headers["content-range"] == f"map_indexes {expected.content}"
    if expected.content is None:
        return True
    answered = response.json()
    if isinstance(expected.content, list):  # equal map indexes of two runs come in any order
        return sorted(map(repr_of, answered)) == sorted(map(repr_of, expected.content))
    return answered == expected.content


def repr_of(row) -> str:
    return repr(sorted(row.items()))


def test_every_request_gets_what_the_oracle_says(client, world):
    before, draw, server = world.stored(), Draw(world), Server(client, world)
    outcomes, relations, routes, faults = Counter(), Counter(), Counter(), []
    for ended in ENDED:
        world.set_states(ended)
        for case, expected in draw.cases(ended):
            response = server.ask(case)
            if wrong := fault(expected, response, case):
                faults.append((wrong, case, expected, response.status_code, response.text))
            outcomes[expected.outcome] += 1
            relations[relation(case)] += 1
            routes[case.route, case.version] += 1
            if expected.outcome in ("written", "deleted"):
                server.restore(case)

    total = sum(outcomes.values())
    print(f"\n{total} requests", *(f"{count:6} {name}" for name, count in outcomes.most_common()), sep="\n")
    print("callers:", dict(relations))
    assert not faults, f"{Counter(wrong for wrong, *_ in faults)}, the first of them: {faults[:5]}"
    assert world.stored() == before
    assert total >= LEAST_CASES
    assert routes.keys() == {(route, version) for route in ROUTES for version in VERSIONS}
    assert {name: count for name, count in (outcomes | relations).items() if count < 10} == {}
    assert outcomes.keys() >= {
        "opened",
        "plain",
        "sealed",
        "absent",
        "counted",
        "written",
        "deleted",
        "several opened",
        "several plain",
        "several nothing",
        "denied: not-in-scope",
        "denied: task-has-ended",
        "denied: unknown-task",
        "write denied: foreign-coordinate",
        "write denied: unknown-task",
    }
    assert relations.keys() == {"own", "other map index", "same run", "other run", "other Dag", "unknown"}
