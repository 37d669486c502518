"""The API server in trouble: floods of refusals, a database that fails amid a decision, absurd requests and tokens."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import sqlite3
import uuid
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import httpx
import jwt
import pytest
from airflow.models import xcom
from airflow.models.log import Log
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import insert, select, table
from starlette.testclient import TestClient

from airflow_provider_exclusive import wiring
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.server import audit, callers
from airflow_provider_exclusive.server.install import attach
from tests.airflow.running import read_rows
from tests.airflow.test_server import World, map_index_of

FLOOD = 2_000
PERMITTED = 200
AT_ONCE = 40
MAPPED_ROWS = 1_200
SEALED = ('"__exclusive__"', '"consumers"', '"sealed"', '"opened"')


@pytest.fixture(scope="module")
def client():
    from airflow.api_fastapi.app import create_app

    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def shared(client):
    from airflow.api_fastapi.execution_api.app import _jwt_generator

    generator = _jwt_generator()
    world = World(client, lambda ti_id: generator.generate({"sub": str(ti_id), "scope": "execution"}))
    add_mapped_rows(world, MAPPED_ROWS)
    return world


@pytest.fixture
def world(shared):
    return shared


def add_mapped_rows(world, total: int) -> None:
    """Give task ``mapped`` genuine outputs up to ``total``: copies of its first task instance, each with its own."""
    first = world.ti_id("mapped", 0)
    scope = Reference.from_row(world.row("mapped", map_index=0)).scope
    store = wiring.current_store()
    tasks, xcoms = TaskInstance.__table__, getattr(xcom, "XComModelV2", xcom.XComModel).__table__
    by_id = "task_instance_id" in xcoms.c  # since Airflow 3.4
    index = "region_index" if "region_index" in tasks.c else "map_index"
    if by_id:
        owned = xcoms.c.task_instance_id == first
    else:
        owned = (xcoms.c.dag_id == world.dag_id) & (xcoms.c.task_id == "mapped") & (xcoms.c.map_index == 0)
    with create_session() as session:
        task_row = session.execute(select(tasks).where(tasks.c.id == first)).one()._asdict()
        xcom_row = session.execute(select(xcoms).where(owned, xcoms.c.key == "return_value")).one()._asdict()
        task_rows, xcom_rows = [], []
        for number in range(3, total):
            ti_id = uuid.uuid4()
            producer = TaskIdentity(world.dag_id, world.run_id, "mapped", number, str(ti_id))
            value = store.put(number, producer=producer, key="return_value", scope=scope).to_row()
            place = {"id": uuid.uuid4(), "task_instance_id": ti_id} if by_id else {"map_index": number}
            task_rows.append(task_row | {"id": ti_id, index: number})
            xcom_rows.append(xcom_row | place | {"value": value})
        session.execute(insert(tasks), task_rows)
        session.execute(insert(xcoms), xcom_rows)


def path_of(world, task_id="secret", key="return_value") -> str:
    return f"/execution/xcoms/{quote(world.dag_id)}/{quote(world.run_id, safe='')}/{task_id}/{quote(key, safe='')}"


def shows_nothing(response) -> bool:
    return not any(word in response.text for word in SEALED)


class DecidedRows(NamedTuple):
    """What the API server sent."""

    status_code: int
    text: str


async def read_directly(app, url: str, token: str) -> DecidedRows:
    """Do what an HTTP client does for a GET, at a fraction of its cost."""
    path, _, query = url.partition("?")
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "server": ("testserver", 80), "client": ("testclient", 50000), "root_path": "", "path": unquote(path),
        "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(b"host", b"testserver"), (b"authorization", f"Bearer {token}".encode())],
    }  # fmt: skip
    await app(scope, receive, send)
    return DecidedRows(sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode())


class TestFlood:
    COORDINATES = ("secret", "return_value", ""), ("secret", "a/b", ""), ("secret", "r/ x", ""), ("mapped", "return_value", "?map_index=1")  # fmt: skip

    async def flood(self, world, urls, by="stranger") -> list[DecidedRows]:
        """Read all of them, many at once."""
        token = world.token_for(world.ti_id(by))
        gate = asyncio.Semaphore(AT_ONCE)

        async def read(url):
            async with gate:
                return await read_directly(world.client.app, url, token)

        return await asyncio.gather(*map(read, urls))

    def test_thousands_of_refusals_are_answered_and_logged_briefly(self, world):
        urls = [path_of(world, task_id, key) + query for task_id, key, query in self.COORDINATES]
        # Half of them at one coordinate, the others at several.
        asked = list(itertools.islice(itertools.cycle([urls[0], urls[1], urls[0], urls[2], urls[0], urls[3]]), FLOOD))

        responses = world.client.portal.call(self.flood, world, asked)

        assert Counter(response.status_code for response in responses) == {403: FLOOD}
        assert {json.loads(response.text)["detail"]["reason"] for response in responses} == {"not-in-scope"}
        assert all(map(shows_nothing, responses))
        totals = {url: asked.count(url) for url in urls}
        written = self.count_by_url(world)
        assert sorted(written) == sorted(totals)
        for url, total in totals.items():
            (count,) = written[url]
            assert 1 << (total.bit_length() - 1) <= count <= total
        assert world.get(by="reader").json()["value"]["opened"]

    def test_permitted_reads_at_once_each_get_their_line(self, world, monkeypatch, caplog):
        # A request that held its connection while it waited for that of its line would wait for the others for ever.
        monkeypatch.setenv("AIRFLOW__EXCLUSIVE__AUDIT", "all")
        attach(world.client.app)
        try:
            responses = world.client.portal.call(self.flood, world, [path_of(world)] * PERMITTED, "reader")
        finally:
            monkeypatch.delenv("AIRFLOW__EXCLUSIVE__AUDIT")
            attach(world.client.app)

        assert Counter(response.status_code for response in responses) == {200: PERMITTED}
        assert logged(caplog) == ""
        with create_session() as session:
            of_reader = (Log.event == audit.READ, Log.dag_id == world.dag_id, Log.task_id == "reader")
            assert len(session.scalars(select(Log.id).where(*of_reader)).all()) == PERMITTED

    def count_by_url(self, world) -> dict[str, list[int]]:
        """Return the counts of the audit lines about the stranger, by what was asked for."""
        found: dict[str, list[int]] = {}
        with create_session() as session:
            lines = select(Log).where(Log.event == audit.DENIED, Log.dag_id == world.dag_id, Log.task_id == "stranger")
            for line in session.scalars(lines):
                extra = json.loads(line.extra)
                query = f"?map_index={extra['map_index']}" if extra["map_index"] >= 0 else ""
                found.setdefault(path_of(world, extra["task_id"], extra["key"]) + query, []).append(extra["count"])
        return found


class TestAuditTrail:
    @pytest.fixture
    def trail(self, mocker):
        """A trail that remembers two lines."""
        mocker.patch.object(audit, "_REMEMBERED_LINES", 2)
        return audit.AuditTrail("all")

    def record(self, trail, world, event, key):
        with create_session() as session:
            caller = callers.find_caller(world.ti_id("stranger"), session.connection())
        requested = Coordinate(world.dag_id, world.run_id, "secret", -1, key)
        trail.record(event, caller, requested=requested, reason="of this test", method="GET")

    def counts(self, world, key) -> list[int]:
        with create_session() as session:
            found = [json.loads(extra) for extra in session.scalars(select(Log.extra).where(Log.event == audit.DENIED))]
        return [extra["count"] for extra in found if (extra["key"], extra["reason"]) == (key, "of this test")]

    def test_permitted_reads_do_not_make_it_forget_a_refusal(self, world, trail):
        for _ in range(4):
            self.record(trail, world, audit.DENIED, "amid reads")
            for number in range(3):
                self.record(trail, world, audit.READ, f"read {number}")

        assert self.counts(world, "amid reads") == [4]

    def test_other_refusals_do_not_make_it_forget_one_that_goes_on(self, world, trail):
        for number in range(4):
            self.record(trail, world, audit.DENIED, "again and again")
            self.record(trail, world, audit.DENIED, f"once {number}")

        assert self.counts(world, "again and again") == [4]


@contextmanager
def unable_to_look_callers_up(mocker):
    """Let the look-ups of a decision fail in the database; what Airflow itself asks it works."""
    nowhere = select(table("nowhere"))
    broken = [
        mocker.patch.object(callers, "task_instance_statements", return_value=[nowhere]),
        mocker.patch.object(callers, "present_tries_statement", return_value=nowhere),
        mocker.patch.object(callers, "tries_statement", return_value=nowhere),
    ]
    yield
    for one in broken:
        mocker.stop(one)


@contextmanager
def table_missing(name: str):
    """Take a table away from the metadata database, as a migration that went wrong would."""
    path = Path(os.environ["AIRFLOW_HOME"]) / "airflow.db"
    with sqlite3.connect(path, isolation_level=None, timeout=20) as database:
        # Without this, SQLite would also lead every foreign key to the new name.
        database.execute("PRAGMA legacy_alter_table = ON")
        database.execute(f"ALTER TABLE {name} RENAME TO {name}_away")
        try:
            yield
        finally:
            database.execute(f"ALTER TABLE {name}_away RENAME TO {name}")
    database.close()


def logged(caplog) -> str:
    return " ".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


class TestDatabaseTrouble:
    @pytest.mark.parametrize("by", ["reader", "stranger", "secret"])
    @pytest.mark.parametrize("suffix", ["", "/slice", "/item/0", "?include_prior_dates=true"])
    def test_an_undecided_read_gets_503_until_the_database_is_back(self, world, mocker, caplog, by, suffix):
        before = world.get(suffix=suffix, by=by)

        with unable_to_look_callers_up(mocker):
            during = world.get(suffix=suffix, by=by)

        assert during.status_code == 503
        assert during.json()["detail"]["reason"] == "undecided"
        assert shows_nothing(during)
        assert "Could not decide on an XCom read" in logged(caplog)
        after = world.get(suffix=suffix, by=by)
        assert (after.status_code, after.content) == (before.status_code, before.content)

    def test_plain_reads_go_on_meanwhile(self, world, mocker):
        with unable_to_look_callers_up(mocker):
            assert world.get("plain", by="stranger").status_code == 200

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    @pytest.mark.parametrize("task_id", ["secret", "stranger"])
    def test_an_undecided_write_is_answered_503_and_writes_nothing(self, world, mocker, caplog, method, task_id):
        rows = read_rows(world.dag_id, world.run_id)

        with unable_to_look_callers_up(mocker):
            response = world.write(method, task_id, by="stranger", json=1 if method == "POST" else None)

        assert response.status_code == 503
        assert response.json()["detail"]["reason"] == "undecided"
        assert "Could not decide on an XCom write" in logged(caplog)
        assert read_rows(world.dag_id, world.run_id) == rows

    def test_an_own_write_works_once_the_trouble_is_over(self, world, mocker):
        with unable_to_look_callers_up(mocker):
            assert world.write("POST", "stranger", key="later", by="stranger", json=1).status_code == 503

        assert world.write("POST", "stranger", key="later", by="stranger", json=1).status_code == 201
        assert world.write("DELETE", "stranger", key="later", by="stranger").status_code == 200

    def test_no_write_is_decided_from_memory(self, world, mocker):
        """A task instance may have been retried or deleted since it wrote last."""
        assert world.write("DELETE", "secret", by="stranger").status_code == 403

        with unable_to_look_callers_up(mocker):
            assert world.write("DELETE", "secret", by="stranger").status_code == 503

    @pytest.mark.parametrize("by", ["reader", "stranger"])
    def test_a_database_without_its_task_table_allows_nothing(self, world, by):
        bearer, rows = world.token_for(world.ti_id(by)), read_rows(world.dag_id, world.run_id)

        with table_missing("task_instance"):
            read = world.get(token=bearer)
            written = [world.write("POST", by, token=bearer, json=1), world.write("DELETE", "secret", token=bearer)]

        # Airflow 3.4 itself reads XComs by way of that table, and answers 500 before there is anything to decide.
        assert read.status_code in (500, 503)
        assert shows_nothing(read)
        assert [response.status_code >= 500 for response in written] == [True, True]
        assert read_rows(world.dag_id, world.run_id) == rows
        assert world.get(by="reader").status_code == 200

    def test_refusals_stand_while_the_audit_log_cannot_be_written(self, world, caplog):
        with table_missing("log"):
            read = world.get(key="a/slice/never-asked", suffix="/slice", by="stranger")
            denied = [world.get("mapped", suffix=f"?map_index={number}", by="stranger") for number in (7, 7, 8)]
            written = world.write("POST", "secret", key="unwritten", by="stranger", json=1)
            permitted = world.get(by="reader")

        assert read.json() == []
        assert {response.status_code for response in [*denied, written]} == {403}
        assert {response.json()["detail"]["reason"] for response in denied} == {"not-in-scope"}
        assert "Could not write exclusive.denied to the audit log (reason not-in-scope)." in logged(caplog)
        assert permitted.status_code == 200
        assert world.get("mapped", suffix="?map_index=7", by="stranger").status_code == 403
        assert self.count_lines(world, map_index=7) == 1

    def count_lines(self, world, *, map_index) -> int:
        with create_session() as session:
            lines = select(Log.extra).where(Log.event == audit.DENIED, Log.dag_id == world.dag_id)
            return sum(json.loads(extra)["map_index"] == map_index for extra in session.scalars(lines))


def ask_airflow_alone(world, path, *, by="reader", token=None):
    """Ask the execution API inside our middleware; what the guard adds to it lets every read pass."""
    (inner,) = [route.app for route in world.client.app.routes if getattr(route, "path", "") == "/execution"]
    headers = {"Authorization": f"Bearer {token or world.token_for(world.ti_id(by))}"}

    async def ask():
        transport = httpx.ASGITransport(inner, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as reader:
            return await reader.get(path.removeprefix("/execution"), headers=headers)

    return world.client.portal.call(ask)


ENDS = (None, 3, -3, 10**18, -(10**18), 10**30)
SLICES = [
    *({"start": start, "stop": stop} for start in ENDS for stop in ENDS),
    *({"start": start, "step": step} for start in (None, 0, -5) for step in (0, -1, 7, 10**18, -(10**18), 10**30)),
    {"start": 0, "stop": -(10**30)},
    {"start": 5, "stop": 2, "step": -1},
    {"start": "1" * 5_000},
    {"stop": "1e9"},
    {"step": "\N{ARABIC-INDIC DIGIT THREE}"},
]


def slice_query(bounds) -> str:
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    return "/slice?" + str(httpx.QueryParams(given))


class TestEnormousSlices:
    def test_a_reader_outside_the_scope_gets_no_row_of_any(self, world):
        shown, statuses = [], Counter()
        for bounds in SLICES:
            query = slice_query(bounds)
            alone = ask_airflow_alone(world, path_of(world, "mapped") + query, by="stranger")
            response = world.get("mapped", suffix=query, by="stranger")
            found_rows = alone.status_code == 200 and alone.json() != []
            expected = 403 if found_rows else alone.status_code
            statuses[response.status_code] += 1
            if response.status_code != expected or not shows_nothing(response):
                shown.append((bounds, alone.status_code, response.status_code))

        assert shown == []
        assert statuses[403] >= 20
        assert statuses[422] >= 2

    def test_a_permitted_reader_gets_as_many_rows_as_airflow_finds(self, world):
        differing, longest = [], 0
        for bounds in SLICES:
            query = slice_query(bounds)
            alone = ask_airflow_alone(world, path_of(world, "mapped") + query, by="reader")
            response = world.get("mapped", suffix=query, by="reader")
            if response.status_code != alone.status_code:
                differing.append((bounds, alone.status_code, response.status_code))
            if response.status_code == 200:
                answered = [map_index_of(row) for row in response.json() if row["opened"]]
                assert answered == [map_index_of(row) for row in alone.json()]
                longest = max(longest, len(answered))

        assert differing == []
        assert longest == MAPPED_ROWS


READ_LENIENTLY = ["?map_index=%201", "?map_index=1.0", "?map_index=%2B1", "?map_index=0&map_index=1"]
ABSURD = [
    "?map_index=",
    "?map_index=x",
    f"?map_index={10**30}",
    f"?map_index=-{10**18}",
    f"?offset={10**30}",
    f"?offset=-{10**18}",
    "?include_prior_dates=perhaps",
    f"/item/{10**30}",
    f"/item/-{10**18}",
    "/item/x",
    "%00",
    "/" * 50,
    "k" * 5_000,
    "?%FF=%FF&map_index=-1",
    "?" + "&".join(f"x{number}=1" for number in range(2_000)),
]


class TestAbsurdRequests:
    @pytest.mark.parametrize("suffix", READ_LENIENTLY)
    def test_numbers_are_read_as_leniently_as_airflow_reads_them(self, world, suffix):
        alone = ask_airflow_alone(world, path_of(world, "mapped") + suffix, by="reader")

        permitted, denied = (world.get("mapped", suffix=suffix, by=by) for by in ("reader", "stranger"))

        assert permitted.status_code == alone.status_code == 200
        assert permitted.json()["value"]["opened"]
        assert denied.status_code == 403
        assert denied.json()["detail"]["reason"] == "not-in-scope"

    @pytest.mark.parametrize("suffix", ABSURD, ids=lambda suffix: suffix[:30])
    @pytest.mark.parametrize("by", ["reader", "stranger"])
    def test_no_answer_is_worse_than_that_of_airflow_alone(self, world, suffix, by):
        alone = ask_airflow_alone(world, path_of(world) + suffix, by=by)

        response = world.get(suffix=suffix, by=by)

        is_refused = by == "stranger" and alone.status_code == 200
        assert response.status_code == (403 if is_refused else alone.status_code)
        assert by == "reader" or shows_nothing(response)


def signed(world, **changed) -> str:
    """Return the token of ``reader`` with other claims, under the genuine signature."""
    from airflow.api_fastapi.execution_api.app import _jwt_generator

    generator = _jwt_generator()
    genuine = world.token_for(world.ti_id("reader"))
    claims = jwt.decode(genuine, options={"verify_signature": False}) | changed
    return jwt.encode(
        {name: claim for name, claim in claims.items() if claim is not None},
        generator.signing_arg,
        generator.algorithm,
        headers={"kid": jwt.get_unverified_header(genuine)["kid"]},
    )


TOKENS = {
    "expired": lambda world: signed(world, exp=1, nbf=0, iat=0),
    "not yet valid": lambda world: signed(world, nbf=2**33),
    "for another audience": lambda world: signed(world, aud="somebody.else"),
    "of another scope": lambda world: signed(world, scope="workload"),
    "signed by somebody else": lambda world: jwt.encode(
        jwt.decode(signed(world), options={"verify_signature": False}), "k" * 64, "HS512"
    ),
    "not signed": lambda world: jwt.encode(
        jwt.decode(signed(world), options={"verify_signature": False}), None, "none"
    ),
    "cut off": lambda world: signed(world)[:-8],
}


MALFORMED_IDS = {"none": None, "a name": "reader", "SQL": "' OR 1=1 --", "a list": ["x"], "a number": 7, "empty": ""}


class TestTokens:
    @pytest.mark.parametrize("subject", MALFORMED_IDS.values(), ids=MALFORMED_IDS)
    def test_a_signed_token_with_a_malformed_id_is_refused(self, world, subject):
        token, rows = signed(world, sub=subject), read_rows(world.dag_id, world.run_id)

        responses = self.try_everything(world, token)

        # Some of these Airflow signs for nobody and answers 500 to, with or without this plugin.
        assert all(response.status_code >= 400 for response in responses)
        assert responses[0].status_code == ask_airflow_alone(world, path_of(world), token=token).status_code
        assert all(map(shows_nothing, responses))
        assert read_rows(world.dag_id, world.run_id) == rows

    @pytest.mark.parametrize("forge", TOKENS.values(), ids=TOKENS)
    def test_a_token_that_is_not_genuine_reads_and_writes_nothing(self, world, forge):
        token, rows = forge(world), read_rows(world.dag_id, world.run_id)

        responses = self.try_everything(world, token)

        assert {response.status_code for response in responses} <= {401, 403}
        assert all(map(shows_nothing, responses))
        assert read_rows(world.dag_id, world.run_id) == rows

    def try_everything(self, world, token) -> list:
        return [
            world.get(token=token),
            world.get("mapped", suffix="/slice", token=token),
            world.write("POST", "reader", token=token, json=1),
            world.write("DELETE", "secret", token=token),
        ]

    def test_the_same_claims_unchanged_are_a_genuine_token(self, world):
        assert world.get(token=signed(world)).json()["value"]["opened"]
