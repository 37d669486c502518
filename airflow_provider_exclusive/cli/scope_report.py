"""What a Dag declares about its outputs, set beside who takes them as input."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from airflow_provider_exclusive.definitions.consumers import (
    ConsumersHook,
    argument_of,
    downstream_of,
    find_hook,
    inputs_of,
)
from airflow_provider_exclusive.definitions.parse_check import find_contradictions
from airflow_provider_exclusive.scopes.declaration import EVERY_KEY, RETURN_KEY, Declared
from airflow_provider_exclusive.scopes.identity import TaskIdentity

# A clause for any run and one for the same run look alike within a Dag, so any run will do.
_SOME_RUN: Final = "some run"

CALLER: Final = "the caller"
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
    """

    dag_id: str
    file: str
    tasks: tuple[TaskScopes, ...]
    contradictions: tuple[str, ...]


def describe(dag: Any) -> DagScopes:
    """Return what an ``airflow.sdk.DAG`` declares."""
    inputs = _inputs(dag)
    hooks = {task.task_id: hook for task in dag.tasks if (hook := find_hook(task)) is not None}
    return DagScopes(
        dag_id=dag.dag_id,
        file=str(dag.fileloc),
        tasks=tuple(_describe_task(dag, task_id, hook, inputs[task_id]) for task_id, hook in sorted(hooks.items())),
        contradictions=tuple(find_contradictions(dag)),
    )


def _inputs(dag: Any) -> Mapping[str, Mapping[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for reader in dag.tasks:
        for producer, key in dict.fromkeys(inputs_of(reader)):
            if producer.dag_id == dag.dag_id:
                found[producer.task_id][key].append(reader.task_id)
    return found


def _describe_task(dag: Any, task_id: str, hook: ConsumersHook, inputs: Mapping[str, list[str]]) -> TaskScopes:
    producer, by_key = dag.get_task(task_id), hook.declaration.by_key
    whole = [RETURN_KEY] if argument_of(producer, "multiple_outputs") and set(by_key) != {EVERY_KEY} else []
    named = dict.fromkeys([*by_key, *inputs, *whole])
    # What stands for the rest comes last.
    keys = sorted(named, key=lambda key: key == EVERY_KEY)
    return TaskScopes(
        task_id=task_id,
        declared_at=str(hook.declared_at) if hook.declared_at else None,
        codec=hook.codec,
        keys=tuple(_describe_key(dag, producer, hook, key, inputs.get(key, ())) for key in keys),
    )


def _describe_key(dag: Any, producer: Any, hook: ConsumersHook, key: str, inputs: Iterable[str]) -> KeyScope:
    declaration = hook.declaration
    scope = declaration.resolve(
        key,
        producer=TaskIdentity(dag.dag_id, _SOME_RUN, producer.task_id),
        downstream=downstream_of(producer),
        parts=declaration.by_key if argument_of(producer, "multiple_outputs") else None,
    )
    return KeyScope(
        key=key,
        consumers=tuple(map(_name, declaration.declared_for(key))),
        may_read=tuple(
            task_id
            for task_id in sorted(dag.task_ids)
            if task_id != producer.task_id and scope.permits(TaskIdentity(dag.dag_id, _SOME_RUN, task_id))
        ),
        other_dags=tuple(
            f"{clause.dag_id}:{clause.task_id}" for clause in scope.clauses if clause.dag_id != dag.dag_id
        ),
        input_of=tuple(sorted(inputs)),
        admits_caller=scope.admits_caller,
    )


def _name(clause: Declared) -> str:
    return str(clause.value) if isinstance(clause, Enum) else str(clause)
