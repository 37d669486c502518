"""
Who may read a value: clauses and consumer scopes.

A consumer scope is stored in the reference, and readers are checked against it alone. Dag authors write one with
:mod:`airflow_provider_exclusive.scopes.consumers`. This module does not depend on Airflow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from airflow_provider_exclusive.exceptions import InvalidScopeError
from airflow_provider_exclusive.scopes.identity import TaskIdentity

MAX_CLAUSES: Final = 256
"""Consumers of one value; each of them is compared with a reader, and stands in every reference."""

MAX_GLOBS: Final = 32
"""Consumers of one value with several wildcards: each of them costs a hundred times as much to compare."""

_NAMED_CLAUSES: Final = 10
"""How many a message names."""


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
            and matches(reader.task_id, self.task_id)
        )

    def __str__(self) -> str:
        return f"{self.dag_id}.{self.task_id} ({'any run' if self.run_id is None else f'run {self.run_id}'})"


def check_globs(patterns: Iterable[str]) -> None:
    """
    Check that a scope does not cost much to compare with a reader.

    :param patterns: the tasks that it names.
    :raises InvalidScopeError: if more than :data:`MAX_GLOBS` of them have several wildcards.
    """
    globs = sum(_count_wildcards(pattern) > 1 for pattern in patterns)
    if globs > MAX_GLOBS:
        raise InvalidScopeError(
            f"A consumer scope has {globs:,} globs with several wildcards; expected at most {MAX_GLOBS}. Globs with "
            "one wildcard, such as 'load_*', are not limited."
        )


def _count_wildcards(task: str) -> int:
    return task.count("*") + task.count("?")


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

    def __post_init__(self) -> None:
        if len(self.clauses) > MAX_CLAUSES:
            raise InvalidScopeError(
                f"A consumer scope has {len(self.clauses):,} consumers; expected at most {MAX_CLAUSES}. Name several "
                "tasks by one glob such as 'load_*', or put them into a task group and name 'group.*'."
            )
        check_globs(clause.task_id for clause in self.clauses)

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
        more = len(self.clauses) - _NAMED_CLAUSES
        named = [*map(str, self.clauses[:_NAMED_CLAUSES]), *([f"{more} more"] if more > 0 else []), *caller]
        return ", ".join(named) or "nobody but its producer"


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
        if wide in ("*", narrow) or (not _count_wildcards(narrow) and matches(narrow, wide)):
            return narrow
    return None


def matches(task_id: str, pattern: str) -> bool:
    """Return whether ``pattern`` is ``task_id``, or a glob that matches it."""
    if task_id == pattern:
        return True
    wildcards = _count_wildcards(pattern)
    return _matches_glob(task_id, pattern) if wildcards > 1 else wildcards == 1 and _matches_one(task_id, pattern)


def _matches_one(text: str, pattern: str) -> bool:
    """Return whether a glob with one wildcard matches: in most scopes, each glob is a prefix."""
    begin, star, end = pattern.partition("*")
    if not star:
        begin, _, end = pattern.partition("?")
    free = len(text) - len(begin) - len(end)
    return (free >= 0 if star else free == 1) and text.startswith(begin) and text.endswith(end)


def _matches_glob(text: str, pattern: str) -> bool:
    """
    Return whether the glob matches, in one step for each character of it, whatever the two contain.

    ``*`` and ``?`` are wildcards, and every other character stands for itself. Bit ``n`` of ``ends`` says whether the
    pattern, as far as it was read, matches the first ``n`` characters (a bit-parallel automaton: Baeza-Yates and
    Gonnet, "A New Approach to Text Searching", 1992).
    """
    places, all_ends = _places(text), (1 << len(text) + 1) - 1
    ends = 1
    for char in pattern:
        if char == "*":
            ends = all_ends & -(ends & -ends)  # the lowest end, and all after it
        elif char == "?":
            ends = all_ends & (ends << 1)
        else:
            ends = (ends & places.get(char, 0)) << 1
        if not ends:
            return False
    return bool(ends >> len(text))


@lru_cache(maxsize=128)
def _places(text: str) -> Mapping[str, int]:
    """Return where each character is in ``text``, as the bits of a number."""
    places: dict[str, int] = defaultdict(int)
    for number, char in enumerate(text):
        places[char] |= 1 << number
    return dict(places)
