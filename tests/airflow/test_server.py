"""The API server with the plugin: what it refuses, what it answers, and to whom."""

from __future__ import annotations

import datetime
import json
import os
import uuid
from dataclasses import replace
from threading import Event, Thread
from urllib.parse import quote

import pytest
from airflow.models.log import Log
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import task
from airflow.utils.session import create_session
from sqlalchemy import delete, select
from starlette.testclient import TestClient

from airflow_provider_exclusive import config, exclusive_task, wiring
from airflow_provider_exclusive.compat.execution_api import mint_token
from airflow_provider_exclusive.crypto import keyring
from airflow_provider_exclusive.crypto.data_keys import ServerDataKeys
from airflow_provider_exclusive.format.canonical import to_base64
from airflow_provider_exclusive.format.readers import EVERYBODY
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN
from airflow_provider_exclusive.server import audit
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.middleware import ExclusiveMiddleware
from tests.airflow.running import Run, a_dag, read_rows, write_row
from tests.rows import forged


@pytest.fixture(scope="module")
def client():
    from airflow.api_fastapi.app import create_app

    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def token_for():
    from airflow.api_fastapi.execution_api.app import _jwt_generator

    generator = _jwt_generator()
    return lambda ti_id: generator.generate({"sub": str(ti_id), "scope": "execution"})


class World:
    """One finished run whose task instances are then set to whatever state a test needs."""

    def __init__(self, client, token_for) -> None:
        self.client, self.token_for = client, token_for
        with a_dag() as dag:

            @exclusive_task(
                consumers={"*": ["reader", "mapped"], "a/b": ["reader"], "a/slice": ["reader"], "r%2F x": ["reader"]}
            )
            def secret(ti=None):
                ti.xcom_push("a/b", "with a slash")
                ti.xcom_push("a/slice", "in the way of a route")
                ti.xcom_push("r%2F x", "quoted")
                return "a secret"

            @exclusive_task(consumers=["reader"])
            def mapped(x):
                return x

            @task
            def plain():
                return {"plain": ["value", 1.5, None, "ü"]}

            @task
            def reader(): ...

            @task
            def stranger(): ...

            secret() >> mapped.expand(x=[10, 20, 30]) >> plain() >> reader() >> stranger()
        self.run = Run(dag)
        assert self.run.state == "success"
        self.dag_id, self.run_id = self.run.dag_id, self.run.run_id
        self.set_state("running")

    def set_state(self, state, end_date=None, task_id=None) -> None:
        with create_session() as session:
            for ti in session.scalars(select(TaskInstance).where(TaskInstance.dag_id == self.dag_id)):
                if task_id in (None, ti.task_id):
                    ti.state, ti.end_date = state, end_date

    def ti_id(self, task_id, map_index=-1):
        with create_session() as session:
            return session.scalars(
                select(TaskInstance.id).where(
                    TaskInstance.dag_id == self.dag_id,
                    TaskInstance.run_id == self.run_id,
                    TaskInstance.task_id == task_id,
                    TaskInstance.map_index == map_index,
                )
            ).one()

    def call(self, method, path, *, by="reader", token=None, **kwargs):
        bearer = token or self.token_for(self.ti_id(*by) if isinstance(by, tuple) else self.ti_id(by))
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        return self.client.request(method, f"/execution/xcoms/{path}", headers=headers, **kwargs)

    def get(self, task_id="secret", key="return_value", suffix="", **kwargs):
        path = f"{quote(self.dag_id)}/{quote(self.run_id, safe='')}/{task_id}/{quote(key, safe='')}{suffix}"
        return self.call("GET", path, **kwargs)

    def write(self, method, task_id, key="return_value", **kwargs):
        path = f"{quote(self.dag_id)}/{quote(self.run_id, safe='')}/{task_id}/{quote(key, safe='')}"
        return self.call(method, path, **kwargs)

    def row(self, task_id="secret", key="return_value", map_index=-1):
        return read_rows(self.dag_id, self.run_id)[task_id, map_index, key]

    def identity(self, task_id, map_index=-1):
        return TaskIdentity(self.dag_id, self.run_id, task_id, map_index, str(self.ti_id(task_id, map_index)))


@pytest.fixture(scope="module")
def shared(client, token_for):
    return World(client, token_for)


@pytest.fixture
def world(shared):
    shared.set_state("running")
    rows = read_rows(shared.dag_id, shared.run_id)
    yield shared
    for (task_id, map_index, key), row in rows.items():
        write_row(shared.dag_id, shared.run_id, task_id, row, key=key, map_index=map_index)


def opened_in(response, field="value"):
    return json.loads(response.content)[field]["opened"]


def secret_of(row) -> bytes:
    genuine = Reference.from_row(row)
    ring = config.read_keyring(config.read_settings())
    return ring.unwrap(genuine.wrapped, key_id=genuine.key_id, context=genuine.context())


def map_index_of(row) -> int:
    return Reference.from_answer(row).producer.map_index


class TestDeniedReads:
    @pytest.mark.parametrize(
        "read",
        [
            {},
            {"suffix": "/item/0"},
            {"suffix": "/item/-1"},
            {"suffix": "/slice"},
            {"suffix": "/slice?start=0&stop=5&step=1"},
            {"suffix": "?include_prior_dates=true"},
            {"suffix": "?map_index=-1&include_prior_dates=on"},
            {"suffix": "?offset=0"},
            {"task_id": "mapped", "suffix": "?map_index=1"},
            {"task_id": "mapped", "suffix": "/slice?include_prior_dates=1"},
            {"key": "a/b"},
            {"key": "r/ x"},
        ],
        ids=str,
    )
    def test_a_reader_outside_the_scope_gets_403_and_only_a_reason(self, world, read):
        response = world.get(by="stranger", **read)

        assert response.status_code == 403
        detail = response.json()["detail"]
        assert detail["reason"] == "not-in-scope"
        assert "stranger" in detail["message"]
        assert '"opened"' not in response.text
        assert '"sealed"' not in response.text

    def test_a_key_in_the_way_of_a_route_shows_nothing(self, world):
        response = world.get(key="a/slice")

        assert response.json() == []

    def test_a_task_that_ended_long_ago_reads_nothing(self, world):
        long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        world.set_state("success", end_date=long_ago, task_id="reader")

        response = world.get()

        assert response.status_code == 403
        assert response.json()["detail"]["reason"] == "task-has-ended"

    def test_a_false_end_date_far_in_the_future_reads_nothing(self, world):
        world.set_state("success", end_date=datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC), task_id="reader")

        response = world.get()

        assert response.status_code == 403
        assert response.json()["detail"]["reason"] == "task-has-ended"

    def test_a_scope_that_no_encoding_takes_opens_nothing(self, world):
        write_row(world.dag_id, world.run_id, "secret", world.row() | {"consumers": "\ud800:x"})

        response = world.get(by="stranger")

        assert response.status_code == 200
        assert "opened" not in response.json()["value"]

    def test_a_token_of_no_known_task_reads_nothing(self, world):
        response = world.get(token=world.token_for(uuid.uuid4()))

        assert response.status_code == 403
        assert response.json()["detail"]["reason"] == "unknown-task"

    @pytest.mark.parametrize("token", ["", "x", "a.b.c"])
    def test_a_forged_token_reads_nothing(self, world, token):
        assert world.get(token=token or "none").status_code in (401, 403)

    def test_an_edited_scope_is_not_believed(self, world):
        write_row(world.dag_id, world.run_id, "secret", world.row() | {"consumers": EVERYBODY})

        response = world.get(by="stranger")

        assert response.status_code == 200
        assert opened_in(response) is None

    @pytest.mark.parametrize("by", ["reader", "stranger", "secret"])
    def test_a_planted_answer_never_comes_out_of_the_database(self, world, by):
        planted = to_base64(b"k" * 32)
        write_row(world.dag_id, world.run_id, "secret", world.row() | {"opened": planted})

        assert planted not in world.get(by=by).text

    def test_a_reference_at_another_coordinate_is_not_opened(self, world):
        write_row(world.dag_id, world.run_id, "secret", world.row(key="a/b"))

        assert opened_in(world.get()) is None

    @pytest.mark.parametrize(
        "planted",
        [
            {"__exclusive__": 1},
            {"__exclusive__": None, "x": [1]},
            {"__exclusive__": "v2: 1 B msgpack in row"},
            {"__exclusive__": "v1: 1 B msgpack in row"},
            {"__exclusive__": "v1: 1 B msgpack in row", "consumers": "reader", "sealed": "AAAA"},
        ],
    )
    def test_what_is_no_reference_goes_back_as_it_is(self, world, planted):
        write_row(world.dag_id, world.run_id, "secret", planted)

        response = world.get()

        assert response.status_code == 200
        assert response.json()["value"] == planted

    def test_trouble_with_the_database_is_no_permission(self, world, mocker):
        from airflow_provider_exclusive.server import callers

        def broken(*_):
            raise RuntimeError("the database is gone")

        mocker.patch.object(callers, "tries_statement", broken)

        response = world.get()

        assert response.status_code == 503
        assert '"opened"' not in response.text


class TestARouteThatIsNotKnown:
    """A later Airflow may answer XComs in ways that nobody here has decided about."""

    def answer(self, body: bytes, *, chunks: int):
        async def later_airflow(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            pieces = [body] if chunks == 1 else [body[:9], body[9:]]
            for number, piece in enumerate(pieces):
                more = number < len(pieces) - 1
                await send({"type": "http.response.body", "body": piece, "more_body": more})

        app = ExclusiveMiddleware(later_airflow)
        app._why_not = None
        return TestClient(app).get("/execution/xcoms/d/r/t/k/in-a-new-way")

    @pytest.mark.parametrize("chunks", [1, 2])
    def test_shows_no_exclusive_value(self, world, chunks):
        body = json.dumps({"rows": [world.row()]}).encode()

        response = self.answer(body, chunks=chunks)

        assert response.status_code == 403
        assert response.json()["detail"]["reason"] == "unknown-route"
        assert world.row()["sealed"] not in response.text

    @pytest.mark.parametrize("chunks", [1, 2])
    def test_passes_everything_else_on(self, chunks):
        response = self.answer(b'{"plain": "value"}', chunks=chunks)

        assert (response.status_code, response.content) == (200, b'{"plain": "value"}')


class TestPermittedReads:
    @pytest.mark.parametrize("by", ["reader", "secret", ("mapped", 0)])
    def test_a_reader_in_the_scope_gets_the_secret(self, world, by):
        response = world.get(by=by)

        assert response.status_code == 200
        answered = Reference.from_answer(response.json()["value"])
        assert answered.answer.secret == secret_of(world.row())

    def test_items_and_slices_are_answered_one_by_one(self, world):
        item = world.get("mapped", suffix="/item/1").json()
        several = world.get("mapped", suffix="/slice?start=0&stop=2").json()

        assert map_index_of(item) == 1
        assert item["opened"]
        assert [map_index_of(row) for row in several] == [0, 1]
        assert all(row["opened"] for row in several)

    # The SDK does not quote keys, so Airflow keeps "r%2F x" as "r/ x".
    @pytest.mark.parametrize("key", ["a/b", "r/ x"])
    def test_keys_with_slashes_and_percent_signs_resolve(self, world, key):
        response = world.get(key=key)

        assert response.status_code == 200
        assert opened_in(response)

    def test_a_task_whose_callbacks_still_run_may_read(self, world):
        world.set_state("success", end_date=datetime.datetime.now(datetime.UTC), task_id="reader")

        assert opened_in(world.get())

    def test_a_producer_reads_its_own_broken_row_so_clearing_works(self, world):
        broken = forged(world.row(), wrapped=b"")
        write_row(world.dag_id, world.run_id, "secret", broken)

        response = world.get(by="secret")

        assert response.status_code == 200
        assert response.json()["value"] == broken | {"opened": None, "not_opened": "altered"}

    def test_plain_rows_pass_byte_for_byte(self, world, client):
        with_plugin = world.get("plain", by="stranger")

        assert with_plugin.status_code == 200
        assert with_plugin.json() == {"key": "return_value", "value": {"plain": ["value", 1.5, None, "ü"]}}

    def test_a_missing_xcom_is_404_and_a_count_is_answered(self, world):
        path = f"{world.dag_id}/{quote(world.run_id, safe='')}/mapped/return_value"

        assert world.get(key="never").status_code == 404
        assert world.call("HEAD", path, by="stranger").headers["content-range"] == "map_indexes 3"


class TestWrites:
    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    @pytest.mark.parametrize("task_id", ["secret", "plain", "no_such_task"])
    def test_nobody_writes_at_another_tasks_coordinates(self, world, method, task_id):
        before = read_rows(world.dag_id, world.run_id)

        response = world.write(method, task_id, by="stranger", json="planted" if method == "POST" else None)

        assert response.status_code == 403
        assert response.json()["detail"]["reason"] == "foreign-coordinate"
        assert read_rows(world.dag_id, world.run_id) == before

    def test_nor_at_another_map_index_of_its_own_task(self, world):
        path = f"{world.dag_id}/{quote(world.run_id, safe='')}/mapped/return_value?map_index=1"

        assert world.call("POST", path, by=("mapped", 0), json=1).status_code == 403
        assert world.call("DELETE", path, by=("mapped", 0)).status_code == 403

    def test_nor_with_a_token_of_no_known_task(self, world):
        response = world.write("POST", "stranger", token=world.token_for(uuid.uuid4()), json=1)

        # Airflow 3.4 does not find the task itself, before the rule is asked.
        assert response.status_code in (403, 404)
        assert ("stranger", -1, "return_value") not in read_rows(world.dag_id, world.run_id)

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_a_task_that_ended_long_ago_writes_nothing(self, world, method):
        world.set_state("success", end_date=datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), task_id="stranger")

        response = world.write(method, "stranger", key="own", by="stranger", json={"a": 1})

        assert response.status_code == 403
        assert response.json()["detail"]["reason"] == "task-has-ended"

    def test_a_task_writes_and_deletes_its_own_just_after_it_ended(self, world):
        world.set_state("success", end_date=datetime.datetime.now(datetime.UTC), task_id="stranger")

        assert world.write("POST", "stranger", key="own", by="stranger", json={"a": 1}).status_code == 201
        assert world.row("stranger", "own") == {"a": 1}
        assert world.write("DELETE", "stranger", key="own", by="stranger").status_code == 200


def sealed_row(world, task_id="stranger", key="sealed", **change) -> dict:
    """Return what a worker with only the public key pushes."""
    ring = config.read_keyring(config.read_settings())
    store = replace(wiring.current_store(), keys=ServerDataKeys(ring.keys[0].public), inline_bytes=1_000)
    producer = replace(world.identity(task_id), **change)
    return store.put("by the public key", producer=producer, key=key, scope=OPEN).to_row()


class TestSealedSecrets:
    """What a worker with only the public key pushes is opened for the task that wrote it, and wrapped."""

    def test_what_is_sealed_for_another_tasks_output_is_refused(self, world):
        sealed = sealed_row(world, task_id="secret")

        response = world.write("POST", "stranger", key="sealed", by="stranger", json=sealed)

        assert response.status_code == 403
        assert response.json()["detail"]["reason"] == "foreign-sealed-key"
        assert ("stranger", -1, "sealed") not in read_rows(world.dag_id, world.run_id)

    def test_what_is_sealed_for_another_key_is_refused(self, world):
        response = world.write("POST", "stranger", key="other", by="stranger", json=sealed_row(world))

        assert response.json()["detail"]["reason"] == "foreign-sealed-key"

    def test_an_altered_reference_is_refused(self, world):
        altered = forged(sealed_row(world), codec="cloudpickle")

        response = world.write("POST", "stranger", key="sealed", by="stranger", json=altered)

        assert response.status_code == 403
        assert response.json()["detail"]["reason"] == "sealed-key-refused"

    def test_what_is_sealed_in_a_row_never_opens(self, world):
        world.write("POST", "stranger", key="sealed", by="stranger", json=sealed_row(world))
        write_row(world.dag_id, world.run_id, "stranger", sealed_row(world), key="sealed")

        assert opened_in(world.get("stranger", "sealed")) is None
        world.write("DELETE", "stranger", key="sealed", by="stranger")

    def test_what_is_sealed_is_stored_wrapped_for_readers(self, world):
        response = world.write("POST", "stranger", key="sealed", by="stranger", json=sealed_row(world))

        assert response.status_code == 201, response.text
        stored = Reference.from_row(world.row("stranger", "sealed"))
        assert stored.sealed is None
        assert stored.wrapped
        answered = Reference.from_answer(world.get("stranger", "sealed").json()["value"])
        store = replace(wiring.current_store(), keys=ServerDataKeys(b"p" * 32))
        assert store.get(answered, reader=None) == "by the public key"
        world.write("DELETE", "stranger", key="sealed", by="stranger")

    @pytest.mark.parametrize(
        "path",
        [
            "/api/v2/dags/x/dagRuns/y/taskInstances/xcoms/xcomEntries",
            "/api/v2/dags/xcoms/dagRuns",
            "/execution/xcoms/{own}?mapped_length=none",
        ],
    )
    def test_a_secret_is_opened_on_one_route_and_never_echoed(self, world, path):
        own = f"{world.dag_id}/{quote(world.run_id, safe='')}/stranger/sealed"
        token = world.token_for(world.ti_id("stranger"))

        response = world.client.post(
            path.format(own=own), json=sealed_row(world), headers={"Authorization": f"Bearer {token}"}
        )

        assert response.is_client_error
        assert '"sealed"' not in response.text
        assert '"opened"' not in response.text

    def test_what_is_sealed_in_the_name_of_another_try_is_refused(self, world):
        sealed = sealed_row(world, ti_id=str(uuid.uuid4()))

        response = world.write("POST", "stranger", key="sealed", by="stranger", json=sealed)

        assert response.status_code == 403
        assert response.json()["detail"]["reason"] == "foreign-sealed-key"

    @pytest.mark.parametrize(
        "body",
        [
            b'{"__exclusive__": 1, "sealed": 3}',
            b'{"__exclusive__": 1}',
            b'{"__exclusive__": "v1: 1 B msgpack in row"}',
            b'{"__exclusive__": "v1: 1 B msgpack in row", "consumers": "@nobody", "sealed": "AAAA"}',
            b'{"__exclusive__": "v2: 1 B msgpack in row", "consumers": "@nobody", "sealed": "AAAA"}',
        ],
    )
    def test_a_row_with_our_marker_must_be_a_reference(self, world, body):
        response = world.write("POST", "stranger", key="sealed", by="stranger", content=body)

        assert response.status_code == 403
        assert response.json()["detail"]["reason"] == "sealed-key-refused"
        assert ("stranger", -1, "sealed") not in read_rows(world.dag_id, world.run_id)

    def test_a_body_that_is_no_json_is_no_server_error(self, world):
        response = world.write("POST", "stranger", key="sealed", by="stranger", content=b'{"__exclusive__"')

        assert response.status_code in (400, 422)


def test_a_large_value_like_a_reference_arrives_complete(world):
    value = {"__exclusive__": "plain", "value": {"__exclusive__": "x" * 3_000_000}}

    assert world.write("POST", "stranger", key="large", by="stranger", json=value).status_code == 201
    assert world.row("stranger", "large") == value
    world.write("DELETE", "stranger", key="large", by="stranger")


class TestAudit:
    def lines(self, world, event):
        with create_session() as session:
            found = session.scalars(
                select(Log).where(Log.event == event, Log.dag_id == world.dag_id).order_by(Log.id)
            ).all()
            return [(line.task_id, json.loads(line.extra)) for line in found]

    def test_repeated_denials_are_counted_in_one_line(self, world):
        for _ in range(9):
            world.get(key="r/ x", by=("mapped", 2))

        counted = [extra for task_id, extra in self.lines(world, audit.DENIED) if extra["key"] == "r/ x"]
        mine = [extra for extra in counted if extra["method"] == "GET" and extra["count"] > 1]
        assert [extra["count"] for extra in mine] == [8]
        assert mine[0]["reason"] == "not-in-scope"
        assert mine[0]["task_id"] == "secret"

    def test_a_line_that_was_cleaned_away_is_written_anew(self, world):
        for _ in range(2):
            world.get(key="a/b", by=("mapped", 0))
        with create_session() as session:
            session.execute(delete(Log).where(Log.event == audit.DENIED))
        for _ in range(2):
            world.get(key="a/b", by=("mapped", 0))

        assert [extra["count"] for task_id, extra in self.lines(world, audit.DENIED)] == [4]

    @pytest.mark.parametrize("map_index", ["abc", "", "1.5", "NaN"])
    def test_a_write_at_no_map_index_is_refused_and_written_down(self, world, map_index):
        key = f"odd {map_index}"
        response = world.write("DELETE", "secret", key=key, by="stranger", params={"map_index": map_index})

        assert response.status_code == 403
        assert response.json()["detail"]["reason"] == "malformed-request"
        (line,) = [extra for _, extra in self.lines(world, audit.WRITE_DENIED) if extra["key"] == key]
        assert line["reason"] == "malformed-request"

    def test_a_refused_key_of_any_length_makes_a_short_line(self, world):
        world.write("DELETE", "secret", key="k" * 5_000, by="stranger")

        assert [len(extra["key"]) for _, extra in self.lines(world, audit.WRITE_DENIED) if "kkk" in extra["key"]] == [
            512
        ]

    @pytest.fixture
    def reads_written_down(self, mocker):
        mocker.patch.object(AuditTrail, "records", return_value=True)

    def test_a_read_is_written_down_where_asked_for(self, world, reads_written_down):
        before = self.lines(world, audit.READ)
        world.get()

        assert [reader for reader, _ in self.lines(world, audit.READ)[len(before) :]] == ["reader"]

    @pytest.mark.parametrize(
        "planted",
        [
            lambda world: world.row(key="a/b"),
            lambda world: {"__exclusive__": 1},
            lambda world: {"__exclusive__": "plain", "value": {"__exclusive__": 3}},
            lambda world: (
                wiring.current_store()
                .put("open", producer=world.identity("secret"), key="return_value", scope=OPEN)
                .to_row()
            ),
        ],
        ids=["misplaced", "malformed", "escaped", "of a plain task"],
    )
    def test_what_opens_no_exclusive_value_is_no_read(self, world, reads_written_down, planted):
        write_row(world.dag_id, world.run_id, "secret", planted(world))
        before = self.lines(world, audit.READ)

        assert world.get(by="stranger").status_code == 200
        assert self.lines(world, audit.READ) == before

    def test_counting_does_not_wait_for_the_database(self, world, mocker):
        is_writing, may_end = Event(), Event()

        def insert(*_):
            is_writing.set()
            may_end.wait(20)
            return 1

        mocker.patch.object(audit, "_insert", insert)
        mocker.patch.object(audit, "_update", return_value=True)
        trail = AuditTrail("denied")
        about = {"requested": Coordinate("d", "r", "t", -1, "k"), "reason": "x", "method": "GET"}
        first = Thread(target=trail.record, args=(audit.DENIED, None), kwargs=about)
        first.start()
        assert is_writing.wait(20)

        trail.record(audit.DENIED, None, **about)  # would hang

        may_end.set()
        first.join(20)
        assert not first.is_alive()

    def test_a_refused_write_is_written_down(self, world):
        world.write("DELETE", "secret", by="stranger")

        assert any(
            task_id == "stranger" and extra["method"] == "DELETE" and extra["task_id"] == "secret"
            for task_id, extra in self.lines(world, audit.WRITE_DENIED)
        )

    def test_no_value_and_no_key_is_in_any_line(self, world):
        world.get()
        with create_session() as session:
            text = " ".join(str(line.extra) for line in session.scalars(select(Log)))

        assert "a secret" not in text
        assert to_base64(secret_of(world.row())) not in text
        assert world.row()["sealed"] not in text


def test_the_probe_of_doctor_is_refused_by_both_halves(client, token_for):
    from airflow_provider_exclusive.cli.doctor import probe

    response = client.get(
        "/execution/xcoms/airflow_provider_exclusive/probe/probe/probe",
        headers={"Authorization": f"Bearer {token_for(uuid.uuid4())}"},
    )

    judged = probe._judge(response.status_code, response.headers.get("x-exclusive-plugin"), response.text)
    assert judged.is_proved
    assert judged.key_ids == {wiring.current_store().keys.key_id}


def test_a_task_learns_which_keys_the_server_holds(world):
    response = world.call("GET", "airflow_provider_exclusive/any/held_keys/any", token=mint_token())

    assert response.status_code == 200
    assert response.json()["value"] == [wiring.current_store().keys.key_id]


def test_the_token_that_doctor_signs_is_one_of_a_task(world):
    response = world.call("GET", "airflow_provider_exclusive/probe/probe/probe", token=mint_token())

    assert response.status_code == 403
    assert response.json()["detail"]["reason"] == "exclusive-probe"


def test_no_home_of_a_developer_is_used():
    assert os.environ["AIRFLOW_HOME"].startswith("/tmp") or "exclusive-airflow-" in os.environ["AIRFLOW_HOME"]


def test_the_public_key_alone_opens_nothing_by_itself(world):
    from airflow_provider_exclusive.exceptions import ConfigurationError

    ring = config.read_keyring(config.read_settings())
    store = replace(wiring.current_store(), keys=ServerDataKeys(ring.keys[0].public))
    assert keyring.key_id_of(ring.keys[0].public) == ring.current_key_id

    with pytest.raises(ConfigurationError, match="plugin 'exclusive' is not loaded"):
        store.get(Reference.from_row(world.row()), reader=world.identity("reader"))
