"""What is private, or differs by version, in Airflow's API server and its metadata database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from airflow_provider_exclusive.compat.replace import Create, Replacement, replace_functions

_ROUTE: Final = ("dag_id", "run_id", "task_id", "key", "session")
_FUNCTIONS: Final = {
    "has_xcom_access": ("dag_id", "run_id", "task_id", "xcom_key", "request", "session", "token"),
    "get_xcom": _ROUTE,
    "get_mapped_xcom_by_index": _ROUTE,
    "get_mapped_xcom_by_slice": _ROUTE,
    "set_xcom": (*_ROUTE, "map_index", "value"),
}


def replace_xcom_functions(creates: Mapping[str, Create]) -> None:
    """
    Give other bodies to the functions through which every access to an XCom goes.

    FastAPI's own way for dependencies, ``dependency_overrides``, would analyse every dependency of every request of
    the execution API again and double the time of plain reads.

    Airflow 3.4 adds parameters to the routes, and 3.2 has a coroutine for ``has_xcom_access``, which is refused.
    Guarded by row 9 of ``docs/airflow-facts.md``.

    :param creates: by name of the check that every route of XComs asks before it runs, or of a route.
    :raises UnsupportedAirflowError: if one of Airflow's functions is not as expected; then none is replaced.
    """
    from airflow.api_fastapi.execution_api.routes import xcoms

    replacements = {name: Replacement(one, _FUNCTIONS[name], accepts_others=True) for name, one in creates.items()}
    replace_functions(xcoms, replacements, bodies=True)
