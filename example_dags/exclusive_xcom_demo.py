"""
Exclusive XComs with classic operators.

The usual ``extract -> transform -> load``, plus one argument: ``pre_execute=consumers(...)`` names the tasks that may
read what a task pushes. Every other task, in this Dag or another, is refused.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from airflow_provider_exclusive import consumers


def extract_file(ti):
    # Every push of this task is exclusive, whatever its key ...
    ti.xcom_push(key="row_count", value=42)
    # ... and so is what it returns.
    return "/data/sales_2023.csv"


def transform_table(ti):
    # Reading is plain Airflow. This task may read, because extract names it as a consumer.
    path = ti.xcom_pull(task_ids="extract")
    row_count = ti.xcom_pull(task_ids="extract", key="row_count")
    print(f"transforming {row_count} rows of {path}")
    return {"path": path.replace(".csv", ".parquet"), "row_count": row_count, "columns": ("id", "name", "amount")}


def load_table(ti):
    # Tuples, dates, bytes, DataFrames and so on keep their types: this is a dict that contains a tuple.
    table = ti.xcom_pull(task_ids="transform")
    print(f"loading {table['row_count']} rows of {table['path']}, columns {table['columns']}")


with DAG(
    "exclusive_xcom_demo",
    description="Classic operators: each output is for the next task only",
    start_date=datetime(2023, 1, 1, tzinfo=UTC),
    schedule=None,
    tags=["exclusive"],
) as demo:
    extract = PythonOperator(task_id="extract", python_callable=extract_file, pre_execute=consumers("transform"))
    transform = PythonOperator(task_id="transform", python_callable=transform_table, pre_execute=consumers("load"))
    load = PythonOperator(task_id="load", python_callable=load_table)

    extract >> transform >> load

if __name__ == "__main__":  # python exclusive_xcom_demo.py runs the Dag at once, without a scheduler
    demo.test()
