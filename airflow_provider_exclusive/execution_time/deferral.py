"""
Finds opened exclusive values in what a task leaves behind while it waits: Airflow stores that as plain JSON.

A task that defers, or waits for a person, leaves arguments for the method with which it resumes. What can be seen of
them here: an opened value itself, a part of one, and a text in which an opened text of some length occurs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from enum import Enum
from typing import Any, Final

from airflow_provider_exclusive.exceptions import ScopeError
from airflow_provider_exclusive.execution_time.running_task import Opened

_SEQUENCES: Final = (list, tuple, set, frozenset)
_CACHED_INTEGERS: Final = range(-5, 257)
_TELLING_TEXT: Final = 16
"""Characters from which on it is no accident that a text contains another."""


def refuse_opened_values(arguments: Any, opened: Iterable[Opened]) -> None:
    """
    Hold that no opened exclusive value is among ``arguments``.

    :param arguments: with which a task is to resume; mappings and sequences are looked through.
    :raises ScopeError: naming the input that one of them holds, but not its value.
    """
    inputs = list(opened)
    parts = {id(part): entry for entry in inputs for part in _parts(entry.value) if _is_unique(part)}
    texts = [entry for entry in inputs if isinstance(entry.value, str) and len(entry.value) >= _TELLING_TEXT]
    for argument in _parts(arguments):
        found = parts.get(id(argument)) or next((entry for entry in texts if _contains(argument, entry.value)), None)
        if found is not None:
            raise ScopeError(
                f"This task wants to wait and then resume with the exclusive {found.task_id}[{found.key!r}] among its "
                "arguments, which Airflow would store in its database in clear text. Leave it out of defer(kwargs=…) "
                "and pull it again in the method that resumes."
            )


def _parts(value: Any) -> Iterator[Any]:
    """Yield ``value`` and all it is made of, each object once; without the keys of mappings."""
    waiting, seen = [value], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, Mapping):
            waiting.extend(part.values())
        elif isinstance(part, _SEQUENCES):
            waiting.extend(part)


def _is_unique(part: Any) -> bool:
    """Return whether an equal object made elsewhere would be another one; Python keeps some only once."""
    if isinstance(part, (str, bytes)):
        return len(part) > 1
    if isinstance(part, (tuple, frozenset)):
        return len(part) > 0
    if isinstance(part, int):
        return not isinstance(part, bool) and part not in _CACHED_INTEGERS
    return part is not None and not isinstance(part, (Enum, tzinfo, type))


def _contains(argument: Any, text: str) -> bool:
    return isinstance(argument, str) and text in argument
