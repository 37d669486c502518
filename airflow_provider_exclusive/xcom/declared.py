"""What the Dag that this process has parsed declares: the scopes of its tasks, and where an exclusive value is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver
from airflow_provider_exclusive.compat.dag import is_airflows_own
from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag
from airflow_provider_exclusive.definitions.hook import ConsumersHook, find_hook
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.scopes.consumers import OutputDeclaration
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity

if TYPE_CHECKING:
    from airflow.sdk import DAG


def outputs_of(running: RunningTask) -> OutputDeclaration | None:
    """Return the scope of the running task's outputs; None for a plain task."""
    if running.outputs is not None or running.task is None:
        return running.outputs
    # A mapped operator that is expanded may drop the hook that the Dag gave it.
    hook = find_hook(running.task) or hook_of(running.identity, running)
    return hook.outputs if hook is not None else None


def hook_of(task: TaskIdentity, running: RunningTask | None) -> ConsumersHook | None:
    """Return the hook that the Dag gave ``task``; None for a plain task, and for one of another Dag."""
    dag = running.task.dag if running is not None and running.task is not None else None
    found = dag.task_dict.get(task.task_id) if dag is not None and dag.dag_id == task.dag_id else None
    return find_hook(found) if found is not None else None


def expects_reference(requested: Coordinate, running: RunningTask | None) -> bool:
    """Return whether another, exclusive task of this Dag writes what is asked for, so that only a reference will do."""
    if running is None or (requested.dag_id, requested.task_id) == (running.identity.dag_id, running.identity.task_id):
        return False
    return exclusive_producer(requested, running) is not None


def exclusive_producer(requested: Coordinate | None, running: RunningTask | None) -> str | None:
    """
    Return the exclusive task whose output is asked for, or None if that may be a plain one.

    :param requested: the coordinate asked for; None if it is unknown, as it may be for an item of a lazy sequence.
    """
    if requested is not None and requested.key == RECORD_KEY:
        return requested.task_id
    if running is None or running.task is None or (dag := running.task.dag) is None:
        return None
    if requested is None:
        return _producer_of_lazy_items(_declared(_SameDag(dag)), running.identity.task_id)
    if requested.dag_id != dag.dag_id or requested.task_id is None:
        return _handed_over(requested, running)
    task = dag.task_dict.get(requested.task_id)
    if task is None or find_hook(task) is None or is_airflows_own(requested.key, task):
        return None
    return task.task_id


@lru_cache(maxsize=1)
def _declared(dag: _SameDag) -> DeclaredDag:
    return DeclaredDag.of(dag.dag)


@dataclass(frozen=True, slots=True, eq=False)
class _SameDag:
    """A Dag as a cache knows it: Airflow's are equal if their ids and dates are, whatever they declare."""

    dag: DAG

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SameDag) and self.dag is other.dag

    def __hash__(self) -> int:
        return id(self.dag)


def _handed_over(requested: Coordinate, running: RunningTask) -> str | None:
    """Return the task if what is asked for was handed to this run as an exclusive output."""
    own = running.identity
    hand_over = running.hand_overs.get((own.dag_id, own.run_id))
    for source in hand_over.sources.values() if isinstance(hand_over, HandOver) else ():
        if source.is_exclusive and replace(source.at, map_index=None).covers(requested):
            return source.at.task_id
    return None


def _producer_of_lazy_items(dag: DeclaredDag, reader: str) -> str | None:
    """Return an exclusive producer if every task that can reach ``reader`` as a lazy sequence is exclusive."""
    # Airflow hands over a lazy sequence for a mapped argument, and for any task in a loop that is pulled from outside.
    sources = [*dag.tasks[reader].lazy_inputs, *(task.task_id for task in dag.tasks.values() if task.is_in_loop)]
    if not sources or any(dag.tasks[task_id].outputs is None for task_id in sources):
        return None
    return sources[0]
