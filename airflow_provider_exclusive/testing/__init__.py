"""
For tests of Dags: open what a run of ``dag.test()`` pushed, and ask who may read an output.

The fixture that sets up an Airflow for ``dag.test()`` is in :mod:`airflow_provider_exclusive.testing.pytest_plugin`,
which pytest loads wherever this package is installed. So the names below are loaded at first use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_exclusive.testing.dags import (
        add_dag,
        assert_may_read,
        assert_refused,
        result_of,
        triggered_run,
    )

__all__ = ["add_dag", "assert_may_read", "assert_refused", "result_of", "triggered_run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("airflow_provider_exclusive.testing.dags"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
