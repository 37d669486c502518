"""
Wait until a triggered run has ended.

Airflow's task runner waits without deferring, after an operator's code has ended. An operator that collects must act
when the run has ended, so it waits here.
"""

from __future__ import annotations

import time
from typing import Any

from airflow.sdk.exceptions import AirflowException, DagRunTriggerException, TaskDeferred

from airflow_provider_exclusive.compat import dag_test
from airflow_provider_exclusive.definitions import inputs
from airflow_provider_exclusive.exceptions import HandOverError
from airflow_provider_exclusive.execution_time import running_task
from airflow_provider_exclusive.operators.triggered_run import name_of


def is_run_here() -> bool:
    """Return whether this process has to run what it triggers, because it runs a test and there is no scheduler."""
    return dag_test.is_testing()


def require_dag(request: DagRunTriggerException) -> Any:
    """
    Return the Dag that is to be triggered, for a run in this process.

    :raises HandOverError: if it is in no Dag bundle; then the run would be waited for without end.
    """
    dag, looked = dag_test.find_dag(request.trigger_dag_id)
    if dag is None:
        raise HandOverError(
            f"This task waits for a run of Dag {request.trigger_dag_id!r}. In dag.test() and `airflow tasks test`, "
            f"which have no scheduler, it runs that Dag itself, but did not find it in: {'; '.join(looked)}. Put its "
            "file into the Dags folder ([core] dags_folder), or in a test pass the Dag to "
            "airflow_provider_exclusive.testing.add_dag."
        )
    return dag


def wait(request: DagRunTriggerException, ti: Any, log: Any) -> None:
    """
    Return once the run is in an allowed state; where there is no scheduler, run it first.

    :raises TaskDeferred: if the wait is deferred; then the operator goes on in ``execute_complete``.
    :raises AirflowException: if the run ends in a failed state.
    """
    if is_run_here():
        request.poke_interval = 0  # nothing changes while this process waits
        _run_here(request, ti, log)
    if request.deferrable:
        raise _deferral(request)
    name, expected = name_of(request), " or ".join(map(_value, request.allowed_states))
    while (state := _state(request, ti)) not in request.allowed_states:
        if state in request.failed_states:
            raise AirflowException(f"{request.trigger_dag_id} failed with failed state {state}: {name}.")
        log.info("Waiting for %s: its state is %s, expected is %s.", name, state, expected)


def _run_here(request: DagRunTriggerException, ti: Any, log: Any) -> None:
    awaited = (*request.allowed_states, *request.failed_states)
    if _state(request, ti) in awaited:
        return
    dag, name = require_dag(request), name_of(request)
    log.info("Running %s in this process, because dag.test() and `airflow tasks test` have no scheduler.", name)
    with running_task.set_aside(), inputs.without_test_values():
        state = dag_test.run_triggered(dag, request.dag_run_id)
    if state not in awaited:
        raise AirflowException(f"{name} ended as {state}, which is neither in allowed_states nor in failed_states.")


def _deferral(request: DagRunTriggerException) -> TaskDeferred:
    from airflow.providers.standard.triggers.external_task import DagStateTrigger

    states: Any = [*request.allowed_states, *request.failed_states]
    trigger = DagStateTrigger(
        dag_id=request.trigger_dag_id,
        states=states,
        execution_dates=None,
        run_ids=[request.dag_run_id],
        poll_interval=request.poke_interval,
    )
    return TaskDeferred(trigger=trigger, method_name="execute_complete")


def _state(request: DagRunTriggerException, ti: Any) -> str:
    time.sleep(request.poke_interval)
    return _value(ti.get_dagrun_state(request.trigger_dag_id, request.dag_run_id))


def _value(state: Any) -> str:
    return str(getattr(state, "value", state))  # a state of airflow.sdk is printed with the name of its class
