"""
Who may read, as the row of a reference says it: ``load, report_*, other_dag:audit, @caller``.

A task by itself is one of the producer's own run; after the name of a Dag, one of any run of that Dag. What begins with
``@`` is no task: the caller, everybody or nobody.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from airflow_provider_exclusive.exceptions import InvalidScopeError
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import MAX_CLAUSES, OPEN, Clause, ConsumerScope

EVERYBODY: Final = "@everybody"
MAX_READERS_CHARACTERS: Final = 2**16

_NOBODY: Final = "@nobody"
_CALLER: Final = "@caller"
_BETWEEN: Final = ", "
_CLAUSE: Final = re.compile(r"(?:(?P<dag_id>[\w.\-]{1,250}):)?(?P<task_id>[\w.\-*?]{1,250})")
_CACHED_CHARACTERS: Final = 256


def scope_to_text(scope: ConsumerScope, producer: TaskIdentity) -> str:
    """
    Return a scope as text.

    :raises InvalidScopeError: if its consumers are together too long for a reference.
    :raises ValueError: if it names what no declaration of a Dag author can name.
    """
    if scope.is_open:
        return EVERYBODY
    named = [_clause_to_text(clause, producer) for clause in scope.clauses]
    text = _BETWEEN.join([*named, _CALLER] if scope.admits_caller else named or [_NOBODY])
    if len(text) > MAX_READERS_CHARACTERS:
        raise InvalidScopeError(
            f"The {len(named)} consumers of task {producer.task_id!r} have {len(text):,} characters in its reference; "
            f"expected at most {MAX_READERS_CHARACTERS:,}. Name several tasks by one glob such as 'load_*'."
        )
    return text


def scope_from_text(text: str, dag_id: str, run_id: str) -> ConsumerScope:
    """
    Read what :func:`scope_to_text` wrote for a producer in this run.

    :raises ValueError: if it is anything else.
    """
    # It repeats in most references that one process reads. A cache keeps what it was given, so only the short.
    return (_read_cached if len(text) <= _CACHED_CHARACTERS else _read)(text, dag_id, run_id)


def _clause_to_text(clause: Clause, producer: TaskIdentity) -> str:
    text = f"{clause.dag_id}:{clause.task_id}" if clause.run_id is None else clause.task_id
    if _read_clause(text, producer.dag_id, producer.run_id) != clause:
        raise ValueError("a consumer is bound to another run than the producer's, or its id holds other characters")
    return text


def _read(text: str, dag_id: str, run_id: str) -> ConsumerScope:
    if text == EVERYBODY:
        return OPEN
    if text == _NOBODY:
        return ConsumerScope()
    if text.count(_BETWEEN) > MAX_CLAUSES:  # the caller is not a clause
        raise ValueError("too many clauses")
    written = text.split(_BETWEEN)
    admits_caller = written[-1] == _CALLER
    named = written[:-1] if admits_caller else written
    return ConsumerScope(tuple(_read_clause(one, dag_id, run_id) for one in named), admits_caller=admits_caller)


_read_cached = lru_cache(maxsize=1024)(_read)


def _read_clause(text: str, dag_id: str, run_id: str) -> Clause:
    if (found := _CLAUSE.fullmatch(text)) is None:
        raise ValueError("not a consumer")
    return Clause(dag_id, text, run_id) if found["dag_id"] is None else Clause(found["dag_id"], found["task_id"], None)
