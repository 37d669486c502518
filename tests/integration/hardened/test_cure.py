"""In a hardened deployment, too, clearing the producer mends whatever was wrong, once its cause is put right."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from airflow_provider_exclusive.crypto import keyring
from airflow_provider_exclusive.format.readers import EVERYBODY
from tests.rows import forged
from tests.runs import assert_succeeded

DAG = "mending"


@dataclass(frozen=True)
class Trouble:
    """
    Something that stands between producer and consumer.

    :param lasting: a context during which it lasts, made of the stack, the store's folder and the producer's row.
    :param says: words of the message that the consumer's failure shows meanwhile.
    """

    name: str
    lasting: Callable
    says: tuple[str, ...]


@contextmanager
def no_private_key(hardened, store, row):
    hardened.restart("api-server", {})
    try:
        yield
    finally:
        hardened.restart("api-server")


@contextmanager
def another_private_key(hardened, store, row):
    raw = os.urandom(keyring.KEY_BYTES)
    pair = {
        "AIRFLOW__EXCLUSIVE__PRIVATE_KEY": keyring.format_key(raw),
        "AIRFLOW__EXCLUSIVE__PUBLIC_KEY": keyring.format_key(keyring.PrivateKey.from_raw(raw).public),
    }
    hardened.restart("api-server", pair)
    try:
        yield
    finally:
        hardened.restart("api-server")


@contextmanager
def no_store(hardened, store, row):
    aside = store.with_name(f"{store.name}-aside")
    store.rename(aside)
    try:
        yield
    finally:
        shutil.rmtree(store, ignore_errors=True)
        aside.rename(store)


def corrupted_row(change):
    @contextmanager
    def lasting(hardened, store, row):
        hardened.metadata.overwrite(row, change(row.value))
        yield

    return lasting


TROUBLES = [
    Trouble("no private key", no_private_key, ("private_key", "API server")),
    Trouble("another private key", another_private_key, ("private_key", "key")),
    Trouble("a widened scope", corrupted_row(lambda row: row | {"consumers": EVERYBODY}), ("lear",)),
    Trouble("a truncated wrapped key", corrupted_row(lambda row: forged(row, wrapped=b"")), ("lear",)),
    Trouble("no store", no_store, ("lear",)),
]


@dataclass(frozen=True)
class Course:
    """How it went: the states during the trouble, the consumer's errors, and the states after the cure."""

    run_id: str
    during: dict[str, str]
    errors: str
    after: dict[str, str]
    tries: int


@pytest.fixture(scope="module", params=TROUBLES, ids=lambda trouble: trouble.name)
def course(request, hardened, shared_store, errors_of) -> tuple[Trouble, Course]:
    trouble = request.param
    run_id = hardened.run(DAG)
    assert_succeeded(hardened, DAG, run_id)
    (row,) = hardened.xcom_rows(dag_id=DAG, run_id=run_id)
    with trouble.lasting(hardened, shared_store, row):
        clear_and_wait(hardened, run_id, "load")
        during = hardened.task_states(DAG, run_id)
        errors = errors_of(DAG, run_id, "load")
        clear_and_wait(hardened, run_id, "extract")
    clear_and_wait(hardened, run_id, "extract")
    (extract,) = [task for task in hardened.api.task_instances(DAG, run_id) if task["task_id"] == "extract"]
    return trouble, Course(run_id, during, errors, hardened.task_states(DAG, run_id), extract["try_number"])


def clear_and_wait(hardened, run_id: str, task_id: str) -> None:
    hardened.clear(DAG, run_id, [task_id])
    hardened.wait(DAG, run_id)


def test_the_consumer_fails_and_says_what_to_do(course, canary):
    trouble, course = course

    assert course.during["load"] == "failed"
    assert [word for word in trouble.says if word not in course.errors] == []
    assert canary not in course.errors


def test_each_re_run_of_the_producer_lets_the_consumer_succeed(hardened, course):
    _, course = course

    assert course.after == {"extract": "success", "load": "success"}
    assert course.tries == 3
    events = [entry.get("event") for entry in hardened.log_entries(DAG, course.run_id, "load")]
    assert "something else arrived" not in events
    assert "arrived intact" in events
