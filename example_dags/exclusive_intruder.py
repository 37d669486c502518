"""
See what a refusal looks like: the task ``intruder`` of this Dag fails by design.

``confide`` declares that only ``friend`` may read its output. ``intruder`` knows the task id and pulls the output
anyway, as any task can pull any XCom in Airflow. Here it gets an ``AccessDeniedError``, which is not retried.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, task

from airflow_provider_exclusive import exclusive_task


@dag(
    description="A task outside the scope is refused (one task fails by design)",
    start_date=datetime(2023, 1, 1, tzinfo=UTC),
    schedule=None,
    tags=["exclusive"],
)
def exclusive_intruder():
    @exclusive_task(consumers=["friend"])
    def confide():
        return "the cake is in the oven"

    @task
    def friend(words):
        print(f"a friend hears that {words}")

    @task(retries=3)  # a refusal is final: the three retries are not used
    def intruder(ti=None):
        ti.xcom_pull(task_ids="confide")
        print("the intruder has it")

    confided = confide()
    friend(confided)
    # Passing `confided` to intruder() would be an import error in Airflow, so intruder only runs after it.
    confided >> intruder()


demo = exclusive_intruder()

if __name__ == "__main__":  # python exclusive_intruder.py runs the Dag at once, without a scheduler
    demo.test()
