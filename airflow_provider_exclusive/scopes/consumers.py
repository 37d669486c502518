"""
Consumer scopes as Dag authors write them, and how they are resolved when a task pushes.

:class:`ScopeDeclaration` is parsed with the Dag. When a task pushes a value, it is *resolved* to the value's
:class:`~airflow_provider_exclusive.scopes.scope.ConsumerScope`. This module does not depend on Airflow.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import FunctionType
from typing import Final

from airflow_provider_exclusive.exceptions import InvalidScopeError
from airflow_provider_exclusive.scopes.identity import CALLER_WORD, TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope, check_globs
from airflow_provider_exclusive.scopes.source_line import naming_the_line

RETURN_KEY: Final = "return_value"
EVERY_KEY: Final = "*"

# Airflow allows word characters, dots and dashes in ids (airflow.utils.helpers.KEY_REGEX); a clause adds two wildcards.
_DAG_ID = re.compile(r"[\w.\-]{1,250}")
_TASK_PATTERN = re.compile(r"[\w.\-*?]{1,250}")


class _Downstream(Enum):
    DOWNSTREAM = "DOWNSTREAM"

    def __repr__(self) -> str:
        return self.name


DOWNSTREAM: Final = _Downstream.DOWNSTREAM
"""The direct downstream tasks of the producer at the time of the push."""


class _Caller(Enum):
    CALLER = CALLER_WORD


CALLER: Final = _Caller.CALLER
"""The task that triggered the producer's run; a Dag author writes ``"caller"``."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """
    One consumer as a Dag author writes it.

    :param task: a task id, or a glob over task ids (``*`` and ``?``), so ``"etl.*"`` matches a task group.
    :param dag: another Dag's id; None means the producer's own Dag. Tasks of another Dag may read from any run.
    :param any_run: whether other runs of the producer's own Dag may read as well.
    :raises InvalidScopeError: if a field is empty, of the wrong type or not a valid id.
    """

    task: str
    dag: str | None = None
    any_run: bool = False

    def __post_init__(self) -> None:
        with naming_the_line():
            _check_name("task", self.task, _TASK_PATTERN)
            if self.dag is not None:
                _check_name("dag", self.dag, _DAG_ID)
            if not isinstance(self.any_run, bool):
                raise InvalidScopeError(f"Consumer(any_run=…): got {self.any_run!r}, expected True or False.")

    def __str__(self) -> str:
        name = f"{self.dag}:{self.task}" if self.dag else self.task
        return f"{name} (any run)" if self.any_run else name


Declared = Consumer | _Downstream | _Caller


@dataclass(frozen=True, slots=True)
class ScopeDeclaration:
    """
    The consumer scopes of one task's outputs, key by key, as its Dag declares them.

    :param by_key: who may read each key; ``"*"`` stands for the keys that are not named. If a key is neither named nor
        covered by ``"*"``, only its producer may read it.
    """

    by_key: Mapping[str, tuple[Declared, ...]]

    @classmethod
    def parse(cls, spec: object) -> ScopeDeclaration:
        """
        Parse what a Dag author wrote.

        :param spec: one clause, a collection of clauses, or a mapping from key to either. A clause is a task id or
            glob, ``"dag:task"``, ``"caller"``, a :class:`Consumer` or :data:`DOWNSTREAM`.
        :raises InvalidScopeError: if it is anything else.
        """
        if isinstance(spec, Mapping):
            if not spec:
                raise InvalidScopeError(
                    "consumers={} names no key. Write consumers=[] if no task may read, or {'*': [...]} for every key."
                )
            return cls({_parse_key(key): _parse_clauses_of(key, clauses) for key, clauses in spec.items()})
        return cls({EVERY_KEY: _parse_clauses(spec)})

    def declared_for(self, key: str) -> tuple[Declared, ...]:
        """Return the clauses that apply to ``key``, by its own name or by ``"*"``."""
        return self.by_key.get(key, self.by_key.get(EVERY_KEY, ()))

    def consumers(self) -> Iterable[tuple[str, Declared]]:
        """Yield each key with each of its clauses."""
        for key, clauses in self.by_key.items():
            for clause in clauses:
                yield key, clause

    def resolve(
        self,
        key: str,
        *,
        producer: TaskIdentity,
        downstream: Collection[str],
        parts: Collection[str] | None = None,
    ) -> ConsumerScope:
        """
        Return the scope of one value.

        :param producer: the task instance that pushes.
        :param downstream: the ids of its direct downstream tasks, which :data:`DOWNSTREAM` stands for.
        :param parts: for the ``return_value`` of a task with multiple outputs, the keys of its parts. Unless
            ``return_value`` has its own scope, only tasks that may read every part may read it. An empty
            ``return_value`` is treated as if it had all keys that are named.
        """
        if key != RETURN_KEY or parts is None or RETURN_KEY in self.by_key:
            return self._resolve(self.declared_for(key), producer, downstream)
        whole = OPEN
        # Many parts share few scopes, and an intersection compares all clauses, so each scope is used only once.
        for declared in dict.fromkeys(self.declared_for(part) for part in parts or self.by_key):
            whole = whole.intersection(self._resolve(declared, producer, downstream))
        return whole

    def _resolve(
        self, declared: tuple[Declared, ...], producer: TaskIdentity, downstream: Collection[str]
    ) -> ConsumerScope:
        clauses = (
            clause for one in declared for clause in _resolve_clause(one, producer=producer, downstream=downstream)
        )
        return ConsumerScope(tuple(dict.fromkeys(clauses)), admits_caller=CALLER in declared)


@dataclass(frozen=True, slots=True)
class OutputDeclaration:
    """
    What a Dag author declares about a task's outputs.

    :param scope: who may read what.
    :param codec: name of the codec that the task requests; None chooses by type.
    :param mask: whether the texts in its values are masked in the logs of producer and consumers.
    """

    scope: ScopeDeclaration
    codec: str | None = None
    mask: bool = False


def _check_name(field: str, name: object, pattern: re.Pattern[str]) -> None:
    if not isinstance(name, str):
        _refuse_object(name)
        raise InvalidScopeError(
            f"A consumer's {field} must be an id as a string; got {reprlib.repr(name)} of type {type(name).__name__}."
        )
    if not name:
        raise InvalidScopeError(f"A consumer's {field} is empty; expected an id such as 'load'.")
    if not pattern.fullmatch(name):
        raise InvalidScopeError(
            f"A consumer's {field} is {name!r}, which is not a valid id: ids consist of at most 250 letters, digits, "
            f"'_', '.' and '-'{' (in a task, * and ? are wildcards)' if pattern is _TASK_PATTERN else ''}."
        )


def _parse_key(key: object) -> str:
    if not isinstance(key, str) or not key:
        raise InvalidScopeError(f"A scope's key must be the name of an XCom key, such as 'row_count'; got {key!r}.")
    return key


def _parse_clauses_of(key: object, spec: object) -> tuple[Declared, ...]:
    try:
        return _parse_clauses(spec)
    except InvalidScopeError as error:
        raise InvalidScopeError(f"The scope of key {key!r} is invalid: {error.message}") from None


def _parse_clauses(spec: object) -> tuple[Declared, ...]:
    if isinstance(spec, (str, Consumer, _Downstream, _Caller)):
        return (_parse_clause(spec),)
    if isinstance(spec, (list, tuple, set, frozenset)):
        # The order of a set differs between processes, but the same Dag must write the same reference in all of them.
        clauses = spec if isinstance(spec, (list, tuple)) else sorted(spec, key=str)
        parsed = tuple(dict.fromkeys(_parse_clause(clause) for clause in clauses))
        check_globs(one.task for one in parsed if isinstance(one, Consumer))
        return parsed
    _refuse_object(spec)
    raise InvalidScopeError(
        f"A consumer scope must be a task id, a Consumer, DOWNSTREAM, or a list of these; got {reprlib.repr(spec)} "
        f"of type {type(spec).__name__}."
    )


def _refuse_object(value: object) -> None:
    """Refuse a task or task group that is passed itself, with the id to write instead; leave other values alone."""
    # A decorated function has the id among its arguments; one that is not decorated is a task's id by its name.
    task_id = _attribute(value, "task_id", arguments="kwargs") or _attribute(
        getattr(value, "operator", None), "task_id", arguments="kwargs"
    )
    group_id = _attribute(value, "group_id", arguments="tg_kwargs")
    function = value.__name__ if isinstance(value, FunctionType) and value.__name__.isidentifier() else None
    name = f"{group_id}.*" if group_id else task_id or function
    if name:
        raise InvalidScopeError(f"A consumer is named by its id, not by the task or task group itself: write {name!r}.")


def _attribute(value: object, name: str, *, arguments: str) -> str | None:
    kept = getattr(value, arguments, None)
    found = getattr(value, name, None) or (kept.get(name) if isinstance(kept, dict) else None)
    return found if isinstance(found, str) else None


def _parse_clause(clause: object) -> Declared:
    if isinstance(clause, (Consumer, _Downstream, _Caller)):
        return clause
    if isinstance(clause, str) and clause == CALLER.value:
        return CALLER
    if isinstance(clause, str) and ":" in clause:
        dag, _, task = clause.partition(":")
        return Consumer(task=task, dag=dag)
    # Consumer itself rejects anything that is not a valid task id, and says what is expected.
    return Consumer(task=clause)  # type: ignore[arg-type]


def _resolve_clause(declared: Declared, *, producer: TaskIdentity, downstream: Collection[str]) -> Iterable[Clause]:
    if isinstance(declared, _Caller):
        return []  # when the value is read, the hand-over record says who the caller is
    if isinstance(declared, _Downstream):
        return [Clause(producer.dag_id, task_id, producer.run_id) for task_id in sorted(downstream)]
    if declared.dag in (None, producer.dag_id):
        return [Clause(producer.dag_id, declared.task, None if declared.any_run else producer.run_id)]
    return [Clause(str(declared.dag), declared.task, None)]
