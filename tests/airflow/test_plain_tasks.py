"""Plain tasks and Airflow's own XComs behave exactly as under Airflow's own backend."""

from __future__ import annotations

import datetime
import json
import uuid
from decimal import Decimal

import pytest
from airflow.sdk import task
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_exclusive import exclusive_task, wiring
from airflow_provider_exclusive.compat.replace import original_of
from airflow_provider_exclusive.format.readers import EVERYBODY
from airflow_provider_exclusive.format.reference import MARKER, is_reference_row
from tests.airflow.running import Run, a_dag

VALUES = [
    "text",
    "",
    7,
    3.5,
    True,
    None,
    [],
    {},
    [1, [2, {"three": 3}]],
    {"a": {"b": None}},
    (1, 2),
    {1, 2},
    frozenset({3}),
    Decimal("1.10"),
    datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
    datetime.timedelta(hours=1),
    uuid.UUID(int=7),
    "x" * 100_000,
    [{"id": number, "name": "row"} for number in range(5_000)],
]


def push_and_pull(value):
    seen = []
    with a_dag() as dag:

        @task
        def push():
            return value

        @task
        def pull(value):
            seen.append(value)

        pull(push())
    run = Run(dag)
    assert run.state == "success"
    return seen[0], run.xcom_rows().get(("push", -1, "return_value"))


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_without_a_store_rows_equal_airflows_byte_for_byte(value):
    pulled, row = push_and_pull(value)

    assert json.dumps(row) == json.dumps(BaseXCom.serialize_value(value))
    assert pulled == value
    assert type(pulled) is type(value)


LOOKALIKE = {MARKER: "v1: 1 B msgpack in row", "consumers": EVERYBODY, "sealed": "AAAA"}


@pytest.mark.parametrize("value", [{MARKER: 1, "x": [1]}, {MARKER: "plain", "value": 3}, {MARKER: None}, LOOKALIKE])
def test_a_user_value_shaped_like_a_reference_stays_a_value(value):
    pulled, row = push_and_pull(value)

    assert pulled == value
    assert row == {MARKER: "plain", "value": value}


def test_the_task_that_pushed_a_lookalike_can_be_exclusive_too():
    seen = []
    with a_dag() as dag:

        @exclusive_task
        def push():
            return LOOKALIKE

        @task
        def pull(value):
            seen.append(value)

        pull(push())

    assert Run(dag).state == "success"
    assert seen == [LOOKALIKE]


def test_a_plain_task_may_write_another_tasks_xcom_as_ever():
    seen = []
    with a_dag() as dag:

        @task
        def push(ti=None):
            XCom.set(key="k", value=[1], dag_id=ti.dag_id, task_id="pull", run_id=ti.run_id, map_index=-1)

        @task
        def pull(ti=None):
            seen.append(ti.xcom_pull(task_ids="pull", key="k"))

        # The row of a task is cleared when it starts, so another task reads it.
        (
            push()
            >> task(lambda ti=None: seen.append(ti.xcom_pull(task_ids="pull", key="k"))).override(task_id="read")()
            >> pull()
        )

    assert Run(dag).state == "success"
    assert seen[0] == [1]


def test_a_plain_task_after_an_exclusive_one_pushes_as_itself(mocker):
    from airflow.sdk.execution_time import task_runner

    from airflow_provider_exclusive.execution_time import running_task

    # As in a fresh process: nothing was opened yet, so nothing has been wrapped.
    for name in ("_serialize_rendered_fields", "_render_map_index"):
        mocker.patch.object(task_runner, name, original_of(getattr(task_runner, name)))
    mocker.patch.object(running_task, "_last_seen", None)
    with a_dag() as dag:

        @exclusive_task
        def exclusive():
            return "a secret"

        @task
        def plain():
            return "a plain value"

        exclusive() >> plain()

    run = Run(dag)

    assert run.state == "success"
    assert run.xcom_rows()["plain", -1, "return_value"] == "a plain value"


class TestWithAConfiguredStore:
    @pytest.fixture(autouse=True)
    def store(self, tmp_path, monkeypatch):
        monkeypatch.setenv("AIRFLOW__EXCLUSIVE__STORAGE", f"file://{tmp_path}/store")
        caches = (wiring._settings, wiring._driver, wiring._store)
        for cached in caches:
            cached.cache_clear()
        yield tmp_path / "store"
        for cached in caches:
            cached.cache_clear()

    @pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
    def test_values_and_types_are_the_same_and_only_large_rows_move(self, value):
        pulled, row = push_and_pull(value)
        own = json.dumps(BaseXCom.serialize_value(value))

        assert pulled == value
        assert type(pulled) is type(value)
        if len(own) < 65_536:
            assert json.dumps(row) == own
        else:
            assert is_reference_row(row)
            assert row["consumers"] == EVERYBODY
            assert len(json.dumps(row)) < 1_000

    def test_a_large_plain_value_is_readable_and_shown_as_usual(self, store):
        seen = []
        with a_dag() as dag:

            @task
            def push():
                return "x" * 100_000

            @task
            def pull(ti=None):
                seen.append(ti.xcom_pull(task_ids="push"))

            push() >> task(lambda: None).override(task_id="between")() >> pull()

        assert Run(dag).state == "success"
        assert seen == ["x" * 100_000]

    def test_zero_keeps_everything_in_the_row(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW__EXCLUSIVE__OFFLOAD_BYTES", "0")
        wiring._settings.cache_clear()

        _, row = push_and_pull("x" * 100_000)

        assert row == "x" * 100_000
