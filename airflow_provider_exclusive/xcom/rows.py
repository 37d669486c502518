"""Read rows through Airflow's own functions as the metadata database holds them, so that they are opened later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from airflow_provider_exclusive.compat.task_runner import has_supervisor
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.execution_time.failures import server_refusals

_returns_raw_rows: ContextVar[bool] = ContextVar("exclusive_returns_raw_rows", default=False)


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the metadata database holds it; the type distinguishes it from a value."""

    content: Any


def are_raw() -> bool:
    """Return whether the hooks of the backend are to return each row as a :class:`Row`."""
    return _returns_raw_rows.get()


@contextmanager
def raw_rows() -> Iterator[None]:
    """
    Let the hooks of the backend return rows instead of values while the block runs.

    :raises AccessDeniedError: if no task runs in this process.
    :raises ExclusiveError: if the API server refuses the read.
    """
    token = _returns_raw_rows.set(True)
    try:
        with server_refusals():
            yield
    except ImportError as missing:
        if has_supervisor():
            raise
        raise AccessDeniedError(
            "An XCom was requested where no task runs. Request it in a task. In a test, pass the run that dag.test() "
            "returned to airflow_provider_exclusive.testing.result_of.",
            reason="unknown-reader",
        ) from missing
    finally:
        _returns_raw_rows.reset(token)
