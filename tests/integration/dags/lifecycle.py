"""Deferral, retries, mapping, callbacks and operator links, all around exclusive values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, BaseOperatorLink, dag, task

from airflow_provider_exclusive import consumers, exclusive_task


class PaperTrail(BaseOperatorLink):
    name = "Paper trail"

    def get_link(self, operator, *, ti_key):
        return f"https://example.invalid/{ti_key.run_id}"


class Deferring(BaseOperator):
    operator_extra_links = (PaperTrail(),)

    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=3)), method_name="resume")

    def resume(self, context, event=None):
        context["ti"].xcom_push(key="side", value="side value")
        return "deferred value"


def say_what_it_reads(context):
    print(f"callback read {context['ti'].xcom_pull(task_ids='flaky')}")


def try_to_read(context):
    try:
        context["ti"].xcom_pull(task_ids="flaky")
    except Exception as refused:
        print(f"callback refused: {type(refused).__name__}: {refused}")


@dag(start_date=datetime(2023, 1, 1, tzinfo=UTC), schedule=None)
def lifecycle():
    # A trigger that fires before the scheduler has heard of the deferral makes Airflow fail the task, on a busy machine
    # after seconds ("finished with state success, but the task instance's state attribute is queued"); hence retries.
    waiting = Deferring(task_id="waiting", pre_execute=consumers("load"), retries=3, retry_delay=timedelta(seconds=1))

    @exclusive_task(consumers=["load"], retries=1, retry_delay=timedelta(seconds=1))
    def flaky(ti=None):
        ti.xcom_push("attempt", ti.try_number)
        if ti.try_number == 1:
            raise RuntimeError("the first try fails")
        return "second try"

    @exclusive_task(consumers=["load"])
    def square(number):
        return number * number

    @task(on_success_callback=say_what_it_reads)
    def load(deferred, retried, squares, ti=None):
        attempt = ti.xcom_pull(task_ids="flaky", key="attempt")
        print(f"read {deferred}, {retried}, attempt {attempt}, {sum(squares)}")

    @task(on_success_callback=try_to_read)
    def bystander(): ...

    load(waiting.output, flaky(), square.expand(number=[1, 2, 3])) >> bystander()


lifecycle()
