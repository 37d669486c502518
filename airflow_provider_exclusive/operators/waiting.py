"""
Trigger a run and wait for it in the operator's own code.

Without deferring, Airflow's task runner waits for the run and then ends the task, so no code of the operator runs
afterwards. Collecting results needs such code, so this module sends the same messages.
"""

from __future__ import annotations

import time
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, DagRunTriggerException

from airflow_provider_exclusive.compat.task_runner import trigger_run

_RUN_ID_KEY = "trigger_run_id"  # XCOM_RUN_ID of TriggerDagRunOperator, which its extra link reads


def trigger_and_wait(request: DagRunTriggerException, ti: Any, log: Any) -> None:
    """
    Trigger the run as the task runner would, and return once it is in an allowed state.

    :raises AirflowSkipException: if the run exists already and the task should then be skipped.
    :raises AirflowFailException: if it exists already and must not be reset.
    :raises AirflowException: if it ends in a failed state.
    """
    name = f"run {request.dag_run_id} of {request.trigger_dag_id}"
    if not trigger_run(request):
        if request.skip_when_already_exists:
            raise AirflowSkipException(f"Skipped, because {name} exists already.")
        raise AirflowFailException(f"Could not trigger {name}: it exists already. Use another trigger_run_id.")
    log.info("Triggered %s.", name)
    ti.xcom_push(key=_RUN_ID_KEY, value=request.dag_run_id)
    while (state := _state(request, ti)) not in request.allowed_states:
        if state in request.failed_states:
            raise AirflowException(f"{request.trigger_dag_id} failed with failed state {state}: {name}.")
        log.info("Waiting for %s: its state is %s, expected is one of %s.", name, state, request.allowed_states)


def _state(request: DagRunTriggerException, ti: Any) -> str:
    time.sleep(request.poke_interval)
    state = ti.get_dagrun_state(request.trigger_dag_id, request.dag_run_id)
    return str(getattr(state, "value", state))
