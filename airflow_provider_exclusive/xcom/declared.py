"""Which coordinates hold an exclusive value, as far as the Dag that this process has parsed tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from airflow_provider_exclusive.access.hand_over import RECORD_KEY
from airflow_provider_exclusive.definitions import consumers
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.scopes.identity import Coordinate

AIRFLOW_KEYS: Final = {"skipmixin_key": "object", "trigger_run_id": "TriggerDagRunOperator"}
"""
Keys that belong to Airflow itself, each with the class of those tasks whose key it is.

Its scheduler and UI read them raw, so they are never sealed. ``skipmixin_key`` is
``airflow.sdk.bases.skipmixin.XCOM_SKIPMIXIN_KEY``, which Airflow 3.4 writes past every backend, whatever the task;
``trigger_run_id`` is ``XCOM_RUN_ID`` of ``TriggerDagRunOperator``.
"""


def is_airflows_own(key: str | None, task: Any) -> bool:
    """Return whether ``task`` pushes ``key`` for Airflow's scheduler or UI: one of these, or an operator link."""
    if key in AIRFLOW_KEYS:
        kinds = getattr(task, "operator_class", type(task)).__mro__
        return AIRFLOW_KEYS[key] in {kind.__name__ for kind in kinds}
    return key in {link.xcom_key for link in getattr(task, "operator_extra_links", ())}


def expects_reference(requested: Coordinate, running: RunningTask | None) -> bool:
    """Return whether another, exclusive task of this Dag writes what is asked for, so that only a reference will do."""
    if running is None or (requested.dag_id, requested.task_id) == (running.identity.dag_id, running.identity.task_id):
        return False
    return exclusive_producer(requested, running) is not None


def exclusive_producer(requested: Coordinate | None, running: RunningTask | None) -> str | None:
    """
    Return the exclusive task whose output is asked for, or None if that may be a plain one.

    :param requested: the coordinate asked for, or None for an item of a lazy sequence, of which Airflow says nothing.
    """
    if requested is not None and requested.key == RECORD_KEY:
        return requested.task_id
    dag = getattr(running.task, "dag", None) if running is not None else None
    if running is None or dag is None:
        return None
    if requested is None:
        return _producer_of_lazy_items(dag, running.identity.task_id)
    if requested.dag_id != dag.dag_id:
        return _handed_over(requested, running)
    task = dag.task_dict.get(requested.task_id)
    if task is None or consumers.find_hook(task) is None:
        return None
    return None if is_airflows_own(requested.key, task) else str(task.task_id)


def _handed_over(requested: Coordinate, running: RunningTask) -> str | None:
    """Return the task if what is asked for was handed to this run as an exclusive output."""
    own = running.identity
    hand_over = running.hand_overs.get((own.dag_id, own.run_id))
    for source in hand_over.sources.values() if hand_over is not None else ():
        if source.is_exclusive and replace(source.at, map_index=None).covers(requested):
            return source.at.task_id
    return None


def _producer_of_lazy_items(dag: Any, reader: str) -> str | None:
    """Return an exclusive producer if every task that can reach ``reader`` as a lazy sequence is exclusive."""
    arguments = (producer for producer, _ in consumers.inputs_of(dag.task_dict[reader]))
    # Airflow hands over a lazy sequence for a mapped argument, and for any task in a loop that is pulled from outside.
    sources = [task for task in arguments if hasattr(task, "partial_kwargs")]
    sources += [task for task in dag.tasks if consumers.is_in_loop(task)]
    if not sources or any(consumers.find_hook(task) is None for task in sources):
        return None
    return str(sources[0].task_id)
