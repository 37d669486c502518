"""One exclusive value that a test damages between its producer and its consumer."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, task

from airflow_provider_exclusive import exclusive_task


@dag(start_date=datetime(2023, 1, 1, tzinfo=UTC), schedule=None)
def cure():
    @exclusive_task(consumers=["load"])
    def extract(params=None):
        return "a large secret " * 1_000

    @exclusive_task(consumers=["load"])
    def other():
        return "another large secret " * 1_000

    @task
    def load(ti=None):
        value = ti.xcom_pull(task_ids="extract", map_indexes=-1)
        print("arrived intact" if value == "a large secret " * 1_000 else "something else arrived")

    [extract(), other()] >> load()


cure()
