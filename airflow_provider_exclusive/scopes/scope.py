"""
Who may read a value: clauses and consumer scopes.

A consumer scope is stored in the reference, and readers are checked against it alone. Dag authors write one with
:mod:`airflow_provider_exclusive.scopes.declaration`. This module does not depend on Airflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from airflow_provider_exclusive.scopes.identity import TaskIdentity


@dataclass(frozen=True, slots=True)
class Clause:
    """
    One resolved entry of a consumer scope.

    :param task_id: a glob over task ids.
    :param run_id: the one run whose tasks may read, or None for any run of the Dag.
    """

    dag_id: str
    task_id: str
    run_id: str | None

    def permits(self, reader: TaskIdentity) -> bool:
        """Return whether ``reader`` matches this clause, whatever its map index."""
        return (
            reader.dag_id == self.dag_id
            and self.run_id in (None, reader.run_id)
            and (reader.task_id == self.task_id or _matches(reader.task_id, self.task_id))
        )

    def __str__(self) -> str:
        return f"{self.dag_id}.{self.task_id} ({'any run' if self.run_id is None else f'run {self.run_id}'})"


@dataclass(frozen=True, slots=True)
class ConsumerScope:
    """
    Who may read one value besides its producer: anyone who matches a clause.

    A scope without clauses denies every reader. An open scope must say so.

    :param admits_caller: whether the task that triggered the producer's run may read as well. A hand-over record names
        that task, so :meth:`permits` does not know it;
        :func:`~airflow_provider_exclusive.access.decision.decide` does.
    """

    clauses: tuple[Clause, ...] = ()
    is_open: bool = False
    admits_caller: bool = False

    def permits(self, reader: TaskIdentity) -> bool:
        """Return whether ``reader`` may read."""
        return self.is_open or any(clause.permits(reader) for clause in self.clauses)

    def intersection(self, other: ConsumerScope) -> ConsumerScope:
        """
        Return a scope that permits only readers whom both scopes permit.

        Two different globs intersect only if one of them is ``*``: fewer readers than possible, never more.
        """
        if self.is_open:
            return other
        if other.is_open:
            return self
        met = (_meet(mine, theirs) for mine in self.clauses for theirs in other.clauses)
        return ConsumerScope(
            tuple(dict.fromkeys(clause for clause in met if clause)),
            admits_caller=self.admits_caller and other.admits_caller,
        )

    def __str__(self) -> str:
        if self.is_open:
            return "every task"
        caller = ["caller (the task that triggered the run)"] if self.admits_caller else []
        return ", ".join([*map(str, self.clauses), *caller]) or "nobody but its producer"


OPEN: Final = ConsumerScope(is_open=True)
"""The scope of a plain task's value: any task may read it."""


def _meet(one: Clause, other: Clause) -> Clause | None:
    if one.dag_id != other.dag_id or (None not in (one.run_id, other.run_id) and one.run_id != other.run_id):
        return None
    task_id = _narrower(one.task_id, other.task_id)
    if task_id is None:
        return None
    return Clause(one.dag_id, task_id, one.run_id if one.run_id is not None else other.run_id)


def _narrower(one: str, other: str) -> str | None:
    for narrow, wide in ((one, other), (other, one)):
        if wide in ("*", narrow) or (not _has_wildcard(narrow) and _matches(narrow, wide)):
            return narrow
    return None


def _matches(task: str, pattern: str) -> bool:
    return _has_wildcard(pattern) and fnmatchcase(task, pattern)


def _has_wildcard(task: str) -> bool:
    return "*" in task or "?" in task
