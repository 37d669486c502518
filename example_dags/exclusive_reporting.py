"""
The Dag that ``exclusive_hand_over`` triggers.

It does not know where its inputs come from: the task that triggers a run hands them to this run, and to no other.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, task

from airflow_provider_exclusive import exclusive_input, exclusive_task


@dag(
    description="Summarises what the run was handed, and returns the summary to the task that triggered it",
    start_date=datetime(2023, 1, 1, tzinfo=UTC),
    schedule=None,
    tags=["exclusive"],
)
def exclusive_reporting():
    @exclusive_task
    def totals(frame):
        return {store: int(amount) for store, amount in frame.groupby("store")["amount"].sum().items()}

    @exclusive_task(consumers=["caller"])  # only the task that triggered this run may read the summary
    def summarise(per_store, currency, targets):
        print(f"reporting on {len(per_store)} stores in {currency}")
        return f"north {per_store['north']:,} {currency}, south {per_store['south']:,} {currency} (targets: {targets})"

    @task
    def sign(author):
        print(f"report by {author}")  # this run was not handed an author, so the default is used

    summarise(totals(exclusive_input("sales")), exclusive_input("currency"), exclusive_input("targets"))
    sign(exclusive_input("author", default="nobody in particular"))


demo = exclusive_reporting()

if __name__ == "__main__":  # python exclusive_reporting.py runs the Dag at once, on test values
    import pandas as pd

    made_up = pd.DataFrame({"store": ["north", "south"], "amount": [1, 2]})
    with exclusive_input.overriding({"sales": made_up, "currency": "EUR", "targets": []}):
        demo.test()
