"""Which try of a task counts, and which run a trigger made: the API server asks the database, not the request."""

from __future__ import annotations

import datetime
import uuid

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk import task
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from sqlalchemy import select

from airflow_provider_exclusive import config, wiring
from airflow_provider_exclusive.access.hand_over import CONF_KEY, RECORD_KEY, HandOver, to_pointer
from airflow_provider_exclusive.access.hand_over_record import seal_record
from airflow_provider_exclusive.compat.dag_test import add_dag
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.server.hand_overs import ServerHandOverLookup
from tests.airflow.running import a_dag, read_rows
from tests.airflow.test_server import World, client, token_for  # noqa: F401  # fixtures


@pytest.fixture
def world(client, token_for):  # noqa: F811
    """A run that has just ended; ``old`` is the token that task ``secret`` has from its first try."""
    world = World(client, token_for)
    world.set_state("success", end_date=datetime.datetime.now(datetime.UTC))
    world.old = world.token_for(world.ti_id("secret"))
    return world


def clear(world, task_id="secret", *, state=None) -> None:
    """Clear a task as a user does, and let its next try get as far as ``state``."""
    with create_session() as session:
        tasks = session.scalars(
            select(TaskInstance).where(
                TaskInstance.dag_id == world.dag_id,
                TaskInstance.run_id == world.run_id,
                TaskInstance.task_id == task_id,
            )
        ).all()
        clear_task_instances(list(tasks), session)
    world.set_state("running", task_id="reader")
    if state is not None:
        world.set_state(state, task_id=task_id)


def reason_of(response):
    assert response.status_code == 403, response.text
    return response.json()["detail"]["reason"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_an_earlier_try_writes_nothing(world, method):
    clear(world, state="running")
    before = read_rows(world.dag_id, world.run_id)

    response = world.write(method, "secret", token=world.old, json="FORGED" if method == "POST" else None)

    assert reason_of(response) == "superseded-try"
    assert read_rows(world.dag_id, world.run_id) == before


def test_a_try_that_just_ended_writes_until_the_next_begins(world):
    clear(world)  # the next try waits to be scheduled

    assert world.write("POST", "secret", key="callback", token=world.old, json=1).status_code == 201


def test_an_output_of_an_earlier_try_is_refused(world):
    assert world.get(by="reader").status_code == 200
    clear(world, state="running")

    assert reason_of(world.get(by="reader")) == "superseded-try"
    own = world.get(by="secret").json()["value"]
    assert Reference.from_answer(own).answer.secret is None


@pytest.mark.parametrize("state", [None, "scheduled", "queued"])
def test_an_output_counts_until_the_next_try_begins(world, state):
    clear(world, state=state)
    assert world.get(by="reader").status_code == 200


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_deleted_task_instance_writes_nothing(world, method):
    before = read_rows(world.dag_id, world.run_id)
    token = world.token_for(uuid.uuid4())

    assert world.write(method, "secret", token=token, json="FORGED").status_code in (403, 404)
    assert read_rows(world.dag_id, world.run_id) == before


def test_a_run_that_a_user_made_is_handed_nothing(world):
    trigger = world.identity("stranger")
    hand_over = HandOver(trigger, "child", "nightly", {})
    keys = wiring.current_store().keys
    record = seal_record(hand_over, producer=trigger, keys=keys)
    assert world.write("POST", "stranger", key=RECORD_KEY, by="stranger", json=record.to_row()).status_code == 201

    assert handed_to_a_run_made_by(DagRunTriggeredByType.OPERATOR, trigger) == hand_over
    for way in (DagRunTriggeredByType.REST_API, DagRunTriggeredByType.UI, DagRunTriggeredByType.BACKFILL):
        assert handed_to_a_run_made_by(way, trigger) is None


def handed_to_a_run_made_by(way: DagRunTriggeredByType, trigger: TaskIdentity) -> HandOver | None:
    with create_session() as session:
        run = DagRun(
            dag_id="child", run_id="nightly", run_type="manual", run_after=datetime.datetime.now(datetime.UTC),
            triggered_by=way, conf={CONF_KEY: to_pointer(trigger)},
        )  # fmt: skip
        session.add(run)
        session.commit()
        found = ServerHandOverLookup(config.read_keyring(config.read_settings()), session).find("child", "nightly")
        session.delete(run)
    return found


class TestTriggers:
    """A stranger that knows the id of a run makes it first."""

    @pytest.fixture
    def child(self, world):
        with a_dag() as dag:
            task(task_id="read")(lambda: 1)()
        add_dag(dag)
        return dag.dag_id

    def trigger(self, world, child, run_id, conf, by):
        token = world.token_for(world.ti_id(by))
        return world.client.post(
            f"/execution/dag-runs/{child}/{run_id}", json={"conf": conf}, headers={"Authorization": f"Bearer {token}"}
        )

    def runs_of(self, child):
        with create_session() as session:
            return list(session.scalars(select(DagRun.run_id).where(DagRun.dag_id == child)))

    def pointer_to(self, world, task_id):
        return {CONF_KEY: to_pointer(TaskIdentity(world.dag_id, world.run_id, task_id))}

    def test_a_stranger_cannot_make_the_run_first(self, world, child):
        response = self.trigger(world, child, "nightly", self.pointer_to(world, "reader"), by="stranger")

        assert reason_of(response) == "foreign-pointer"
        assert self.runs_of(child) == []

    @pytest.mark.parametrize("conf", [{CONF_KEY: None}, {CONF_KEY: {}}, {CONF_KEY: "text"}])
    def test_nor_with_what_is_no_pointer(self, world, child, conf):
        assert reason_of(self.trigger(world, child, "nightly", conf, by="stranger")) == "foreign-pointer"

    def test_the_task_itself_may(self, world, child):
        response = self.trigger(world, child, "nightly", self.pointer_to(world, "stranger"), by="stranger")
        assert response.status_code == 204, response.text
        assert self.runs_of(child) == ["nightly"]

    def test_a_run_without_a_pointer_is_as_ever(self, world, child):
        assert self.trigger(world, child, "plain", {"rows": 3}, by="stranger").status_code == 204
