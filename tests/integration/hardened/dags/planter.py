"""
Outputs at every kind of coordinate, and readers of them in every way; a test plants rows between the two.

Every reader is in every scope, so it is never the scope that keeps a planted value away. Readers tell verdicts, and no
value. The two called ``reader`` read everything again each time that the test calls, so many rows are tried in one run.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_exclusive import Consumer, exclusive_task

# A planted pickle would be loaded here, if it were believed. Only processes that read this file see the option.
os.environ["AIRFLOW__EXCLUSIVE__ALLOW_CLOUDPICKLE"] = "True"

START = datetime(2023, 1, 1, tzinfo=UTC)
READERS = ["reader", "take_*", "planter_abroad:reader"]
NUMBERS = [0, 1]
CALL_SECONDS = 120


def secret(name):
    """Make a confidential value at run time: this source, which Airflow keeps, does not contain it."""
    return f"{name} of the mine".replace(" ", "-")


def large_secret(name, number):
    """Make one that does not fit into the reference."""
    return secret(f"{name} {number}") * 100


@exclusive_task(consumers=READERS)
def scalar(ti=None):
    ti.xcom_push("side", secret("side"))
    return secret("scalar")


@exclusive_task(consumers={"*": READERS}, multiple_outputs=True)
def halves():
    return {"left": secret("left"), "right": secret("right")}


@exclusive_task(consumers=READERS)
def some(number, ti=None):
    ti.xcom_push("side", large_secret("some side", number))
    return large_secret("some", number)


@exclusive_task(consumers=[*READERS, Consumer(task="reader", any_run=True)], codec="cloudpickle")
def pickled(ti=None):
    ti.xcom_push("side", secret("pickled side"))
    return secret(f"pickled {ti.run_id}")


@exclusive_task(consumers=READERS, retries=5, retry_delay=timedelta(0))
def raced(ti=None):
    return secret(f"raced {ti.try_number}")


@task
def plain(dag_run=None):
    """End here where nobody is going to call: such a run is only there for what it produces."""
    if "calls" not in dag_run.conf:
        raise AirflowSkipException("nobody is going to read in this run")
    return "for everybody"


@task
def reader(some, ti=None, dag_run=None):
    answer_calls(dag_run, {**single_pulls(ti), **bulk_pulls(ti), **lazy_reads(some)})


@task
def take_scalar(value):
    tell(verdict(value, secret("scalar")))


@task
def take_side(value):
    tell(verdict(value, secret("side")))


@task
def take_half(value):
    tell(verdict(value, secret("left")))


@task
def take_plain(value):
    tell(verdict(value, "for everybody"))


@task
def take_expanded(value, ti=None):
    tell(verdict(value, large_secret("some", ti.map_index)))


@task
def take_raced(value):
    number = value.removeprefix("raced-").partition("-")[0]
    tell(f"written in try {number}" if value == secret(f"raced {number}") else "planted")


def single_pulls(ti):
    def pull(task_id, **query):
        return lambda: ti.xcom_pull(task_ids=task_id, **{"map_indexes": None, **query})

    return {
        "return value": (secret("scalar"), pull("scalar")),
        "return value with prior dates": (secret("scalar"), pull("scalar", include_prior_dates=True)),
        "key": (secret("side"), pull("scalar", key="side")),
        "one of multiple outputs": (secret("left"), pull("halves", key="left")),
        "other of multiple outputs": (secret("right"), pull("halves", key="right")),
        "multiple outputs": ({"left": secret("left"), "right": secret("right")}, pull("halves")),
        "pickled": (secret(f"pickled {ti.run_id}"), pull("pickled")),
        "any run with prior dates": (secret(f"pickled {ti.run_id}"), pull("pickled", include_prior_dates=True)),
        "plain": ("for everybody", pull("plain")),
        **{f"map index {n}": (large_secret("some", n), pull("some", map_indexes=n)) for n in NUMBERS},
    }


def bulk_pulls(ti):
    def pull(task_ids, **query):
        return lambda: ti.xcom_pull(task_ids=task_ids, **query)

    return {
        "return value, map index not named": (secret("scalar"), pull("scalar")),
        "key, map index not named": (secret("side"), pull("scalar", key="side")),
        "several tasks": ([secret("scalar"), secret(f"pickled {ti.run_id}")], pull(["scalar", "pickled"])),
        "several map indexes": ([large_secret("some", n) for n in NUMBERS], pull("some", map_indexes=NUMBERS)),
        "all map indexes": ([large_secret("some", n) for n in NUMBERS], pull("some")),
    }


def lazy_reads(some):
    expected = [large_secret("some", number) for number in NUMBERS]
    return {
        "lazy item": (expected[1], lambda: some[1]),
        "lazy last item": (expected[1], lambda: some[-1]),
        "lazy iteration": (expected, lambda: list(some)),
        "lazy slice": (expected, lambda: some[:]),
    }


def answer_calls(dag_run, reads):
    """Tell the outcome of all reads for each file ``0.call``, ``1.call`` … in a folder, until one of them says "end"."""
    folder = Path(dag_run.conf["calls"])
    for number in count():
        if await_file(folder / f"{number}.call").read_text() == "end":
            return
        told = {name: attempt(read, expected) for name, (expected, read) in reads.items()}
        unfinished = folder / "unfinished"
        unfinished.write_text(json.dumps(told))
        unfinished.rename(folder / f"{number}.told")


def await_file(path):
    deadline = time.monotonic() + CALL_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} did not appear within {CALL_SECONDS} s")
        time.sleep(0.02)
    return path


def attempt(read, expected):
    """Return a verdict or the class of the error: one refusal hides no other outcome."""
    try:
        return verdict(read(), expected)
    except Exception as failure:
        return type(failure).__name__


def verdict(value, expected):
    if value == expected:
        return "intact"
    return "planted" if "planted" in str(value) else "substituted"


def tell(outcome):
    print(json.dumps({"outcome": outcome}))


@dag(start_date=START, schedule=None)
def planter():
    value, parts, ordinary, outputs = scalar(), halves(), plain(), some.expand(number=NUMBERS)
    consumers = [
        take_scalar(value),
        take_side(value["side"]),
        take_half(parts["left"]),
        take_plain(ordinary),
        take_expanded.expand(value=outputs),
        reader(outputs),
    ]
    [value, pickled(), parts] >> consumers[-1]
    racer = raced()
    take_raced(racer)
    ordinary >> [*consumers, racer]


@dag(start_date=START, schedule=None)
def planter_abroad():
    @task(task_id="reader")
    def read_abroad(ti=None, dag_run=None):
        at = {"dag_id": "planter", "run_id": dag_run.conf["run_id"], "task_ids": "scalar", "map_indexes": None}
        reads = {
            "return value in another Dag": (secret("scalar"), lambda: ti.xcom_pull(**at)),
            "key in another Dag": (secret("side"), lambda: ti.xcom_pull(**at, key="side")),
        }
        answer_calls(dag_run, reads)

    read_abroad()


planter()
planter_abroad()
