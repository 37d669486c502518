"""One exclusive value, large enough to lie in the store, whose way a test breaks between producer and consumer."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, task

from airflow_provider_exclusive import exclusive_task


def secret(name):
    """Make a confidential value at run time: this source, which Airflow keeps, does not contain it."""
    return f"{name} of the mine".replace(" ", "-")


@dag(start_date=datetime(2023, 1, 1, tzinfo=UTC), schedule=None)
def mending():
    @exclusive_task(consumers=["load"])
    def extract():
        return secret("extracted") * 1_000

    @task
    def load(ti=None):
        value = ti.xcom_pull(task_ids="extract")
        print("arrived intact" if value == secret("extracted") * 1_000 else "something else arrived")

    extract() >> load()


mending()
