"""
The one place in the execution API where every access to an XCom is asked for permission: ``has_xcom_access``.

Airflow's routes hold that function itself, so it is given another body. ``dependency_overrides``, FastAPI's own way,
would analyse every dependency of every request of the execution API anew and double the time of plain reads
(``benchmarks/decision_cost.py`` measures it).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

_EXPECTED: Final = ["dag_id", "run_id", "task_id", "xcom_key", "request", "session", "token"]
_GUARD: Final = "_airflow_provider_exclusive_guard"
_ORIGINAL: Final = "_airflow_provider_exclusive_original"

Check = Callable[..., bool]


def guard_xcom_access(create_guard: Callable[[Check], Check]) -> None:
    """
    Let a guard decide before any route of an XCom runs; a second call replaces the guard.

    :param create_guard: makes the guard from Airflow's own check, which the guard must ask, too.
    :raises LookupError: if Airflow's check is not as expected.
    """
    from airflow.api_fastapi.execution_api.routes import xcoms

    check: Any = xcoms.has_xcom_access
    original = check.__globals__.get(_ORIGINAL)
    if original is None:
        original = _copy_of(check)
    check.__globals__[_ORIGINAL] = original
    check.__globals__[_GUARD] = create_guard(original)
    check.__code__ = _ask_guard.__code__


def _copy_of(check: Any) -> Check:
    found = list(inspect.signature(check).parameters)
    if found != _EXPECTED or not isinstance(check, FunctionType) or check.__code__.co_freevars:
        raise LookupError(f"Airflow's has_xcom_access takes {found}, expected a plain function of {_EXPECTED}")
    return FunctionType(check.__code__, check.__globals__, check.__name__, check.__defaults__)


def _ask_guard(dag_id: Any, run_id: Any, task_id: Any, xcom_key: Any, request: Any, session: Any, token: Any) -> Any:
    # Only the code of this function is used, in Airflow's module, where the guard is a global.
    return _airflow_provider_exclusive_guard(  # type: ignore[name-defined]  # noqa: F821  # see above
        dag_id, run_id, task_id, xcom_key, request, session, token
    )
