"""
Values whose reading fails after the decision: a test spoils what was stored and clears the reader.

Where errors come from, a value is near: a decoder has it in its hands when it fails.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from airflow.sdk import dag, task
from distinctive import text

from airflow_provider_exclusive import exclusive_task

KEYS = ("flipped", "serde", "arrow")
"""How each is spoiled: one bit, or the name of a codec that cannot read it."""


@dag(start_date=datetime(2023, 1, 1, tzinfo=UTC), schedule=None)
def spoiled():
    @task
    def publish():
        return text("published")

    @exclusive_task(consumers=["read"])
    def write(ti=None):
        for key in KEYS:
            ti.xcom_push(key, [text("spoiled")] * 20)

    @task
    def read(ti=None):
        failures = [failure for key in KEYS if (failure := failure_to_read(ti, key))]
        if failures:
            raise failures[-1]

    publish()
    write() >> read()


def failure_to_read(ti, key):
    try:
        ti.xcom_pull(task_ids="write", key=key)
    except Exception as failure:
        logging.getLogger(__name__).exception("%s cannot be read", key)
        return failure
    return None


spoiled()
