"""
Hand outputs to a run of another Dag, and collect its result.

``hand_over`` triggers a run of ``exclusive_reporting`` and names three outputs that only this run may read. Nothing is
copied; the run's ``conf`` holds only a pointer. The task waits for the run and returns what it collects.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, task

from airflow_provider_exclusive import ExclusiveTriggerDagRunOperator, exclusive_task

DAYS = 3650


@dag(
    description="Hands two outputs and a mapped one to a run of exclusive_reporting, and gets a summary back",
    start_date=datetime(2023, 1, 1, tzinfo=UTC),
    schedule=None,
    tags=["exclusive"],
)
def exclusive_hand_over():
    @exclusive_task
    def sales():
        import pandas as pd

        return pd.DataFrame({"store": ["north", "south"] * (DAYS // 2), "amount": range(DAYS)})

    @exclusive_task
    def currency():
        return "EUR"

    @exclusive_task
    def target(store):
        return f"{store}: 3,000,000"  # one output for each mapped task; handed over as one list

    hand_over = ExclusiveTriggerDagRunOperator(
        task_id="hand_over",
        trigger_dag_id="exclusive_reporting",
        # The names in the triggered run, and the outputs that they stand for. The producers become upstream tasks.
        exclusive_keys={
            "sales": sales(),
            "currency": currency(),
            "targets": target.expand(store=["north", "south"]),
        },
        collect={"summary": "summarise"},
        poke_interval=1,
    )

    @task
    def publish(results):
        print(f"the report says: {results['summary']}")

    publish(hand_over.output)


exclusive_hand_over()
