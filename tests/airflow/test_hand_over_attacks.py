"""More than ten thousand pointers and records, genuine and not, each held against an oracle that knows only the design."""

from __future__ import annotations

import logging
import random
import uuid
from collections import Counter
from urllib.parse import quote

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.utils.session import create_session
from sqlalchemy import event
from starlette.testclient import TestClient

from airflow_provider_exclusive.access import decision
from airflow_provider_exclusive.compat.execution_api import mint_token
from airflow_provider_exclusive.exceptions import AccessDeniedError, ExclusiveError
from airflow_provider_exclusive.execution_time import dag_runs, running_task
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.format.canonical import to_base64
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.server import callers
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.callers import Caller
from airflow_provider_exclusive.server.decisions import Decisions, Readers
from airflow_provider_exclusive.server.hand_overs import ServerHandOverLookup
from tests.airflow import attacks_metadata
from tests.airflow.attacks_draw import Case, Draw
from tests.airflow.attacks_garbage import GARBAGE
from tests.airflow.attacks_metadata import Rows, own_keyring
from tests.airflow.attacks_oracle import ALLOWED, expect
from tests.airflow.attacks_places import CHAIN, Output, Place, Run
from tests.airflow.attacks_supervisor import Supervisor
from tests.airflow.attacks_world import FAKES, FAKES_FOR_THE_SERVER, World

SEED = 20261122
LEAST_CASES_A_PATH = 5_000
LEAST_REQUESTS = 200
DENIED = {"denied: own run", "denied: chain too long", "denied: nothing handed", "denied: not among what was handed"}
WITHDRAWN = "withdrawn"
COMMON = ("handed", "handed, mapped", "handed on", "caller")
logging.getLogger("airflow_provider_exclusive").setLevel(logging.ERROR)  # thousands of warnings are expected here


@pytest.fixture(scope="module")
def world():
    return World.build(random.Random(SEED))


@pytest.fixture(scope="module")
def rows(world):
    rows = Rows.of(world)
    rows.insert(world)
    yield rows
    attacks_metadata.remove(world)


@pytest.fixture
def worker(world, rows, mocker):
    mocker.patch.object(task_runner, "SUPERVISOR_COMMS", Supervisor(world, rows), create=True)
    mocker.patch.object(running_task, "_last_seen", None)

    def ask(case: Case) -> str:
        """Decide as the backend does in the process of the reader."""
        running = running_task._last_seen = RunningTask(rows.identity(case.reader), task=None)
        reference = Reference.from_row(rows.xcoms[case.output])
        try:
            decision.decide(running.identity, reference, dag_runs.WorkerHandOverLookup(running))
        except AccessDeniedError as denied:
            return denial(denied.reason)
        except ExclusiveError:
            return "broken"
        return "allowed"

    return ask


@pytest.fixture(scope="module")
def server(rows):
    decisions = Decisions(own_keyring())

    def ask(case: Case) -> str:
        row = rows.xcoms[case.output]
        caller = Caller(rows.identity(case.reader), 1, is_live=True)
        requested = Coordinate(*case.output.at, case.output.key)
        opened = decisions.open([row], requested)
        try:
            with create_session() as session:
                reader = uuid.UUID(caller.identity.ti_id)
                _, standing = callers.find_reader(reader, requested, opened.scoped, session.connection())
                hand_overs = ServerHandOverLookup(decisions.keyring, session)
                (answered,) = decisions.answer(opened, Readers(caller, standing), hand_overs).rows
        except AccessDeniedError as denied:
            return denial(denied.reason)
        return "allowed" if answered == row | {"opened": secret_of(row)} else "answered in a wrong way"

    return ask


def denial(reason: str) -> str:
    return {"not-in-scope": "denied", "hand-over-withdrawn": WITHDRAWN}.get(reason, reason)


def secret_of(row) -> str:
    genuine = Reference.from_row(row)
    return to_base64(own_keyring().unwrap(genuine.wrapped, key_id=genuine.key_id, context=genuine.context()))


class Table:
    """Asks every case and keeps what differs from the oracle."""

    def __init__(self, world: World, path: str) -> None:
        self.world, self.path = world, path
        self.outcomes, self.stopped, self.faults = Counter(), Counter(), []

    def check(self, case: Case, answer: str) -> None:
        expected = expect(self.world, self.path, *case)
        other = {"broken record": "broken", WITHDRAWN: WITHDRAWN}
        wanted = "allowed" if expected in ALLOWED else other.get(expected, "denied")
        # A record with a scope of its own is refused as any other value is.
        accepted = {wanted, "denied", WITHDRAWN} if wanted == "broken" else {wanted}
        lies = {self.world.lie_about(run) for run in (case.reader.home, case.output.at.home)}
        if answer not in accepted:
            self.faults.append((answer, case, expected, lies))
        self.outcomes[expected] += 1
        if wanted != "allowed" and expect(self.world, "credulous", *case) in ALLOWED:
            self.stopped.update(lies - {None})

    def report(self) -> None:
        total = sum(self.outcomes.values())
        print(f"\n{total} on the path of the {self.path}", *self.outcomes.most_common(), sep="\n")
        print("reads that only the checks on pointers and records stopped:", dict(self.stopped))
        assert not self.faults, f"{len(self.faults)} of {total}, the first of them: {self.faults[:5]}"


@pytest.mark.parametrize("path", ["server", "worker"])
def test_every_reader_gets_what_the_oracle_says(path, world, rows, request):
    ask, table = request.getfixturevalue(path), Table(world, path)
    for case in Draw(world, SEED).cases():
        table.check(case, ask(case))

    table.report()
    assert sum(table.outcomes.values()) >= LEAST_CASES_A_PATH
    assert {name: table.outcomes[name] for name in COMMON if table.outcomes[name] < 200} == {}
    assert table.outcomes.keys() >= {*ALLOWED, *DENIED, WITHDRAWN}
    lies = {*FAKES, *GARBAGE, "names another run"}
    stopped = lies - (set(FAKES_FOR_THE_SERVER) if path == "worker" else set())
    assert {kind: table.stopped[kind] for kind in stopped if table.stopped[kind] < 5} == {}


def test_the_world_holds_every_kind_of_attack(world):
    told = Counter(kind for kind, _ in world.garbage.values())
    pointed = Counter(world.records[place].kind for place in world.pointers.values() if place in world.records)
    copied = [
        run for run, place in world.pointers.items() if place in world.records and world.records[place].names != run
    ]
    dangling = [place for place in world.pointers.values() if place not in world.records]

    assert set(pointed) == {"genuine", *FAKES}
    assert set(told) == set(GARBAGE)
    assert len(copied) >= 10
    assert len(dangling) >= 3


def test_the_server_says_the_same_over_http(world, rows):
    from airflow.api_fastapi.app import create_app
    from airflow.api_fastapi.execution_api.app import _jwt_generator

    mint, table = _jwt_generator(), Table(world, "server")
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        for case in Draw(world, SEED + 1).cases(share=LEAST_REQUESTS / LEAST_CASES_A_PATH):
            token = mint.generate({"sub": str(rows.ids[case.reader]), "scope": "execution"})
            path = "/".join(quote(part, safe="") for part in (*case.output.at[:3], case.output.key))
            query = f"?map_index={case.output.at.map_index}" if case.output.at.map_index >= 0 else ""
            response = client.get(f"/execution/xcoms/{path}{query}", headers={"Authorization": f"Bearer {token}"})
            table.check(case, verdict(response, rows.xcoms[case.output]))

    table.report()
    assert sum(table.outcomes.values()) >= LEAST_REQUESTS
    assert {name for name in COMMON if not table.outcomes[name]} == set()


class TestCostOfARefusal:
    """What one refused read asks of the database, besides its audit line."""

    @pytest.fixture
    def asked(self, rows, mocker):
        """Send a read and return how often it took a connection, and its statements."""
        from airflow import settings
        from airflow.api_fastapi.app import create_app

        mocker.patch.object(AuditTrail, "record")
        counts = Counter()
        listeners = {"checkout": lambda *_: counts.update(["connections"]),
                     "before_cursor_execute": lambda *_: counts.update(["statements"])}  # fmt: skip
        with TestClient(create_app(), raise_server_exceptions=False) as client:

            def ask(reader: Place, output: Output) -> Counter:
                path = "/".join(quote(part, safe="") for part in (*output.at[:3], output.key))
                headers = {"Authorization": f"Bearer {mint_token(rows.ids[reader])}"}
                for name, listener in listeners.items():
                    event.listen(settings.engine, name, listener)
                try:
                    response = client.get(f"/execution/xcoms/{path}", headers=headers)
                finally:
                    for name, listener in listeners.items():
                        event.remove(settings.engine, name, listener)
                assert denial(response.json()["detail"]["reason"]) == "denied"
                return counts

            yield ask

    def test_a_reader_outside_the_scope_is_looked_up_once(self, asked):
        run = Run(CHAIN, "run_0")
        counts = asked(Place(*run, "stranger"), Output(Place(*run, "source"), "rows"))
        assert counts["connections"] == 1
        assert counts["statements"] <= 3

    def test_the_longest_chain_takes_one_connection_more(self, asked):
        output = Output(Place(CHAIN, "run_0", "source"), "rows")
        counts = asked(Place(CHAIN, "run_9", "stranger"), output)
        assert counts["connections"] == 2
        assert counts["statements"] <= 3 + 2 * decision.LONGEST_CHAIN


def verdict(response, row) -> str:
    if response.status_code == 403:
        answer = denial(response.json()["detail"]["reason"])
        is_explained = answer in ("denied", WITHDRAWN) and row["sealed"] not in response.text
        return answer if is_explained else "denied in a wrong way"
    is_answer = response.status_code == 200 and response.json()["value"] == row | {"opened": secret_of(row)}
    return "allowed" if is_answer else f"status {response.status_code}"
