"""What a Dag declares about its outputs, set beside who takes them as input."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag, DeclaredTask
from airflow_provider_exclusive.definitions.parse_check import find_contradictions, find_refused_pulls
from airflow_provider_exclusive.definitions.pulls import Pull
from airflow_provider_exclusive.scopes.consumers import EVERY_KEY, RETURN_KEY, Declared

CALLER: Final = "caller (the task that triggered the run)"
"""Stands for the task that triggered the run; a space is in no task id."""


@dataclass(frozen=True, slots=True)
class KeyScope:
    """
    One key of an exclusive task.

    :param key: ``"*"`` stands for every key that is not named.
    :param consumers: the clauses, as the Dag's author wrote them.
    :param may_read: the tasks of the same Dag that the clauses let read; the producer may always.
    :param other_dags: the clauses for tasks of other Dags, as ``"dag:task"``.
    :param input_of: the tasks that take the key as an argument.
    :param admits_caller: whether the task that triggered the run may read.
    """

    key: str
    consumers: tuple[str, ...]
    may_read: tuple[str, ...]
    other_dags: tuple[str, ...]
    input_of: tuple[str, ...]
    admits_caller: bool = False

    @property
    def readers(self) -> tuple[str, ...]:
        """All who may read, beside the producer."""
        return (*self.may_read, *self.other_dags, *((CALLER,) if self.admits_caller else ()))


@dataclass(frozen=True, slots=True)
class TaskScopes:
    """
    One exclusive task.

    :param declared_at: file and line of its scope, if known.
    :param codec: the codec that it asks for, if any.
    """

    task_id: str
    declared_at: str | None
    codec: str | None
    keys: tuple[KeyScope, ...]


@dataclass(frozen=True, slots=True)
class DagScopes:
    """
    Every exclusive task of a Dag.

    :param contradictions: what is wrong with the scopes, one message each.
    :param warnings: pulls in templates and functions that would be refused, one message each.
    """

    dag_id: str
    file: str
    tasks: tuple[TaskScopes, ...]
    contradictions: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def describe(dag: DeclaredDag, pulls: Sequence[Pull] = ()) -> DagScopes:
    """Return what a Dag declares, and which of the ``pulls`` that were read off it contradict that."""
    inputs = _inputs(dag)
    exclusive = sorted(dag.exclusive_tasks, key=lambda task: task.task_id)
    return DagScopes(
        dag_id=dag.dag_id,
        file=dag.file,
        tasks=tuple(_describe_task(dag, task, inputs[task.task_id]) for task in exclusive),
        contradictions=tuple(find_contradictions(dag)),
        warnings=tuple(find_refused_pulls(dag, pulls)),
    )


def describe_key(dag: DeclaredDag, task: DeclaredTask, key: str, inputs: Iterable[str] = ()) -> KeyScope:
    """
    Return who may read one key of an exclusive task.

    :param inputs: the tasks that take it as an argument.
    """
    scope = dag.described_scope_of(task, key)
    others = (task_id for task_id in sorted(dag.tasks) if task_id != task.task_id)
    return KeyScope(
        key=key,
        consumers=tuple(map(_name, task.scope.declared_for(key))),
        may_read=tuple(task_id for task_id in others if scope.permits(dag.identity_of(task_id))),
        other_dags=tuple(
            f"{clause.dag_id}:{clause.task_id}" for clause in scope.clauses if clause.dag_id != dag.dag_id
        ),
        input_of=tuple(sorted(inputs)),
        admits_caller=scope.admits_caller,
    )


def _inputs(dag: DeclaredDag) -> Mapping[str, Mapping[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for reader in dag.tasks.values():
        for taken in reader.inputs:
            if taken.dag_id == dag.dag_id:
                found[taken.task_id][taken.key].append(reader.task_id)
    return found


def _describe_task(dag: DeclaredDag, task: DeclaredTask, inputs: Mapping[str, list[str]]) -> TaskScopes:
    by_key = task.scope.by_key
    whole = [RETURN_KEY] if task.has_parts and set(by_key) != {EVERY_KEY} else []
    named = dict.fromkeys([*by_key, *inputs, *whole])
    # What stands for the rest comes last.
    keys = sorted(named, key=lambda key: key == EVERY_KEY)
    return TaskScopes(
        task_id=task.task_id,
        declared_at=str(task.declared_at) if task.declared_at else None,
        codec=task.declaration.codec,
        keys=tuple(describe_key(dag, task, key, inputs.get(key, ())) for key in keys),
    )


def _name(clause: Declared) -> str:
    return str(clause.value) if isinstance(clause, Enum) else str(clause)
