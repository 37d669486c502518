"""
What a Dag declares about its outputs and who takes them as input, as plain data without Airflow's objects.

Built once from a Dag. The parse check, ``airflow exclusive scopes`` and the backend read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_exclusive.compat import dag as airflow_dag
from airflow_provider_exclusive.definitions import written
from airflow_provider_exclusive.definitions.hook import ConsumersHook, consumers, find_hook, hooks_around, is_scope
from airflow_provider_exclusive.scopes.consumers import EVERY_KEY, RETURN_KEY, OutputDeclaration, ScopeDeclaration
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import ConsumerScope
from airflow_provider_exclusive.scopes.source_line import SourceLine

_EXCLUSIVE_DECORATOR: Final = "@task.exclusive"
# Within a Dag a clause for any run and one for the same run look alike, so any run will do.
_SOME_RUN: Final = "some run"


@dataclass(frozen=True, slots=True)
class Input:
    """One output that a task takes as an argument, by the Dag, id and key of its producer."""

    dag_id: str
    task_id: str
    key: str


@dataclass(frozen=True, slots=True)
class DeclaredTask:
    """
    One task.

    :param outputs: the scope of its outputs; None for a plain task.
    :param declared_at: where the Dag declares that scope.
    :param inputs: what it takes as arguments, each once.
    :param lazy_inputs: the ids of the mapped tasks among their producers, whose outputs come as lazy sequences.
    :param hands_over: the names under which it hands outputs to the run that it triggers, by task id and key.
    :param is_in_loop: whether each iteration of a loop (Airflow 3.4) has its own outputs.
    :param has_parts: whether it has multiple outputs, of which ``return_value`` is the whole.
    :param ends_from_trigger: whether its trigger writes its XComs past every backend.
    :param has_uncalled_hook: whether ``pre_execute=consumers`` lacks its parentheses.
    :param lost_scope: whether it is made by ``@exclusive_task`` and its scope was replaced.
    :param dropped_scope: whether it replaces the scope that ``default_args`` give every task.
    :param swallowed_by: the class of the operator whose ``__init__`` does not pass its scope on.
    """

    task_id: str
    outputs: OutputDeclaration | None = None
    declared_at: SourceLine | None = None
    inputs: tuple[Input, ...] = ()
    lazy_inputs: tuple[str, ...] = ()
    downstream: frozenset[str] = frozenset()
    hands_over: Mapping[tuple[str, str], str] = field(default_factory=dict)
    is_in_loop: bool = False
    has_parts: bool = False
    ends_from_trigger: bool = False
    has_uncalled_hook: bool = False
    lost_scope: bool = False
    dropped_scope: bool = False
    swallowed_by: str | None = None

    @classmethod
    def of(cls, task: Any) -> DeclaredTask:
        """Read an operator of ``airflow.sdk``, mapped or not."""
        hook = find_hook(task)
        inputs = list(dict.fromkeys(airflow_dag.inputs_of(task)))
        is_exclusive = airflow_dag.decorator_of(task) == _EXCLUSIVE_DECORATOR
        given = airflow_dag.given_pre_execute(task)
        has_default = isinstance(airflow_dag.default_pre_execute(task), ConsumersHook)
        return cls(
            task_id=task.task_id,
            outputs=hook.outputs if hook else None,
            declared_at=hook.declared_at if hook else None,
            inputs=tuple(Input(producer.dag_id, producer.task_id, key) for producer, key in inputs),
            lazy_inputs=tuple(producer.task_id for producer, _ in inputs if airflow_dag.is_mapped(producer)),
            downstream=frozenset(airflow_dag.downstream_of(task)),
            hands_over=airflow_dag.names_of(airflow_dag.argument_of(task, "exclusive_keys")),
            is_in_loop=airflow_dag.is_in_loop(task),
            has_parts=bool(airflow_dag.argument_of(task, "multiple_outputs")),
            ends_from_trigger=bool(airflow_dag.argument_of(task, "end_from_trigger")),
            has_uncalled_hook=airflow_dag.pre_execute_of(task) is consumers,
            lost_scope=hook is None and is_exclusive,
            dropped_scope=hook is None and not is_exclusive and has_default,
            swallowed_by=type(task).__name__ if hook is None and is_scope(given) else None,
        )

    @property
    def declaration(self) -> OutputDeclaration:
        """
        The declaration of an exclusive task.

        :raises ValueError: for a plain one.
        """
        if self.outputs is None:
            raise ValueError(f"task {self.task_id!r} is not exclusive")
        return self.outputs

    @property
    def scope(self) -> ScopeDeclaration:
        """The scope of an exclusive task; raises as :attr:`declaration` does."""
        return self.declaration.scope


@dataclass(frozen=True, slots=True)
class DeclaredDag:
    """
    A Dag.

    :param file: that defines it.
    :param tasks: by task id.
    :param unused_scopes: where a scope is written that no task has.
    """

    dag_id: str
    file: str
    tasks: Mapping[str, DeclaredTask]
    unused_scopes: tuple[SourceLine, ...] = ()

    @classmethod
    def of(cls, dag: Any) -> DeclaredDag:
        """Read an ``airflow.sdk.DAG``."""
        tasks = {task.task_id: DeclaredTask.of(task) for task in dag.tasks}
        used = (hook.declared_at for task in dag.tasks for hook in hooks_around(task))
        unused = written.lost_in(dag, used)
        return cls(dag.dag_id, str(dag.fileloc), tasks, tuple(unused))

    @property
    def exclusive_tasks(self) -> list[DeclaredTask]:
        """The tasks whose outputs have a scope."""
        return [task for task in self.tasks.values() if task.outputs is not None]

    def identity_of(self, task_id: str) -> TaskIdentity:
        """Return a task of some run, to compare with a scope."""
        return TaskIdentity(self.dag_id, _SOME_RUN, task_id)

    def scope_of(self, task: DeclaredTask, key: str, *, parts: Iterable[str] | None = None) -> ConsumerScope:
        """
        Return the scope of one output of some run.

        :param parts: of the whole, if that is asked for; see
            :meth:`~airflow_provider_exclusive.scopes.consumers.ScopeDeclaration.resolve`.
        """
        return task.scope.resolve(
            key,
            producer=self.identity_of(task.task_id),
            downstream=task.downstream,
            parts=None if parts is None else list(parts),
        )

    def described_scope_of(self, task: DeclaredTask, key: str) -> ConsumerScope:
        """Return the scope of one output as far as the Dag alone tells: the whole has the parts that it names."""
        return self.scope_of(task, key, parts=task.scope.by_key if task.has_parts else None)

    def possible_scopes_of(self, task: DeclaredTask, key: str) -> list[ConsumerScope]:
        """Return the scopes of an output, of which one has to permit a reader for the reader to be possible."""
        by_key = task.scope.by_key
        if key != RETURN_KEY or not task.has_parts:
            return [self.scope_of(task, key)]
        if EVERY_KEY in by_key and RETURN_KEY not in by_key:
            # Nobody knows yet which keys the whole will have, and only a certain contradiction is an error.
            return [self.scope_of(task, part) for part in by_key]
        return [self.scope_of(task, key, parts=by_key)]
