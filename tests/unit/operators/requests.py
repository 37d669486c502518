"""What a trigger task asks Airflow for."""

from __future__ import annotations

from airflow.sdk.exceptions import DagRunTriggerException


def request(**changes):
    usual = {
        "trigger_dag_id": "child",
        "dag_run_id": "run-7",
        "conf": None,
        "logical_date": None,
        "reset_dag_run": False,
        "skip_when_already_exists": False,
        "wait_for_completion": True,
        "allowed_states": ["success"],
        "failed_states": ["failed"],
        "poke_interval": 30,
        "deferrable": False,
    }
    return DagRunTriggerException(**(usual | changes))
