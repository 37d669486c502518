"""
Exclusive XComs with TaskFlow: write ``@exclusive_task`` instead of ``@task``.

Without an argument, only the direct downstream tasks may read an output. The calls at the end of this file define which
tasks these are.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, task

from airflow_provider_exclusive import exclusive_task

DAYS = 3650


def daily_sales():
    # Imported inside the function: Airflow parses this file again and again, and pandas takes a second to load.
    import pandas as pd

    days = pd.date_range("2023-01-01", periods=DAYS, tz="Europe/Berlin", name="day")
    return pd.DataFrame({"amount": range(DAYS), "store": ["north", "south"] * (DAYS // 2)}, index=days)


@dag(
    description="TaskFlow: each output is for the direct downstream tasks only",
    start_date=datetime(2023, 1, 1, tzinfo=UTC),
    schedule=None,
    tags=["exclusive"],
)
def exclusive_taskflow():
    @exclusive_task
    def sales():
        return daily_sales()  # stored as Arrow, with its index, types and time zone

    @task
    def report(frame):
        # The value is opened only for this function; Airflow's "Rendered Templates" page does not show it.
        print(f"{len(frame)} days, total {frame['amount'].sum()}, unchanged: {frame.equals(daily_sales())}")

    @exclusive_task
    def numbers():
        return [2, 3, 5, 7]

    @exclusive_task
    def square(number):
        return number * number  # one output for each mapped task, each for its own consumers

    @task
    def add_up(squares):
        print(f"sum of the squares: {sum(squares)}")

    report(sales())
    add_up(square.expand(number=numbers()))


demo = exclusive_taskflow()

if __name__ == "__main__":  # python exclusive_taskflow.py runs the Dag at once, without a scheduler
    demo.test()
