"""Where in a Dag's source something is declared; found on the call stack, without Airflow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from airflow_provider_exclusive.exceptions import InvalidScopeError

_NOT_A_DAG: Final = frozenset({"airflow", "airflow_provider_exclusive", "contextlib"})


@dataclass(frozen=True, slots=True)
class SourceLine:
    """Where in the Dag's source something was declared."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


def calling_line() -> SourceLine | None:
    """Return the line of the Dag file that is being run, or None outside of one."""
    frame = sys._getframe(1)  # noqa: SLF001  # the documented way to a caller's line, as in logging and warnings
    # An operator sets its own scope from within Airflow, which is not where the Dag declares it.
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _NOT_A_DAG:
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return SourceLine(frame.f_code.co_filename, frame.f_lineno) if frame is not None else None


@contextmanager
def naming_the_line() -> Iterator[None]:
    """Let an error begin with the line of the Dag file: Airflow shows only the last two frames of an import error."""
    try:
        yield
    except InvalidScopeError as invalid:
        line = calling_line()
        if line is None or invalid.line is not None:
            raise
        raise InvalidScopeError(str(invalid), line=str(line)) from None
