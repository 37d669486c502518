"""Tasks that walk over the outputs of a mapped task, and tell how far they came and how often they asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from unittest.mock import patch

from airflow.sdk import dag, task
from airflow.sdk.execution_time.comms import CommsDecoder

from airflow_provider_exclusive import exclusive_task

COUNT = 12


def secret(name):
    """Make a confidential value at run time: this source, which Airflow keeps, does not contain it."""
    return f"{name} of the mine".replace(" ", "-")


@exclusive_task(consumers=["walk"])
def stones(number):
    return secret(f"stone {number}")


@exclusive_task(consumers=["walk"])
def gem():
    return secret("gem")


@task
def pebbles(number):
    return number


def walked(values, expected):
    """Return how many values arrived as expected, how many requests that took, and how it ended."""
    arrived, ended = [], "complete"
    with patch.object(CommsDecoder, "send", autospec=True, side_effect=CommsDecoder.send) as send:
        try:
            for value in values:
                arrived.append(value)  # noqa: PERF402  # an error must not take the values before it with it
        except Exception as error:
            ended = f"{type(error).__name__}: {error}"
    return {
        "arrived": len(arrived) if arrived == expected[: len(arrived)] else "wrong",
        "requests": send.call_count,
        "ended": ended,
    }


@dag(start_date=datetime(2023, 1, 1, tzinfo=UTC), schedule=None)
def walks():
    numbers = list(range(COUNT))

    @task
    def walk(stones, pebbles):
        print(json.dumps(walked(stones, [secret(f"stone {number}") for number in numbers])))
        print(json.dumps(walked(pebbles, numbers)))

    @task
    def trespass(ti=None, **context):
        sequence = all_stones.resolve(context | {"ti": ti})
        print(json.dumps(walked(sequence, [])))

    all_stones = stones.expand(number=numbers)
    gem() >> walk(all_stones, pebbles.expand(number=numbers))
    all_stones >> trespass()


walks()
