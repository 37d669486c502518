"""
Find opened exclusive values in the arguments that a task leaves while it waits: Airflow stores them as plain JSON.

A task that defers, or waits for a person, leaves arguments for the method that resumes it. The search finds an opened
value itself, a part of one, and a text that contains an opened text of some length.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from enum import Enum
from typing import Any, Final

from airflow_provider_exclusive.exceptions import ScopeError
from airflow_provider_exclusive.execution_time.parts import parts_of
from airflow_provider_exclusive.execution_time.running_task import Opened

_CACHED_INTEGERS: Final = range(-5, 257)
_LEAST_TEXT: Final = 16
"""Characters; that a text contains a shorter one may be an accident."""


def refuse_opened_values(arguments: Any, opened: Iterable[Opened]) -> None:
    """
    Check that ``arguments`` contain no opened exclusive value.

    :param arguments: for the method that resumes the task; mappings and sequences are searched.
    :raises ScopeError: naming the input that one of them contains, but not its value.
    """
    inputs = list(opened)
    parts = {id(part): entry for entry in inputs for part in parts_of(entry.value) if _is_unique(part)}
    texts = [entry for entry in inputs if isinstance(entry.value, str) and len(entry.value) >= _LEAST_TEXT]
    for argument in parts_of(arguments):
        found = parts.get(id(argument)) or next((entry for entry in texts if _contains(argument, entry.value)), None)
        if found is not None:
            raise ScopeError(
                f"Cannot defer: the arguments for resuming contain the exclusive output "
                f"{found.task_id}[{found.key!r}], which Airflow would store in its database in plain text. Remove it "
                "from defer(kwargs=…), and pull it again after resuming."
            )


def _is_unique(part: Any) -> bool:
    """Return whether an equal object created elsewhere has another identity; Python shares some objects."""
    if isinstance(part, (str, bytes)):
        return len(part) > 1
    if isinstance(part, (tuple, frozenset)):
        return len(part) > 0
    if isinstance(part, int):
        return not isinstance(part, bool) and part not in _CACHED_INTEGERS
    return part is not None and not isinstance(part, (Enum, tzinfo, type))


def _contains(argument: Any, text: str) -> bool:
    return isinstance(argument, str) and text in argument
