"""What is private, or differs by version, in Airflow's API server and its metadata database."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from airflow_provider_exclusive.compat.replace import Create, Replacement, replace_functions

_ROUTE: Final = ("dag_id", "run_id", "task_id", "key", "session")
_FUNCTIONS: Final = {
    "has_xcom_access": ("dag_id", "run_id", "task_id", "xcom_key", "request", "session", "token"),
    "get_xcom": _ROUTE,
    "get_mapped_xcom_by_index": _ROUTE,
    "get_mapped_xcom_by_slice": _ROUTE,
    "set_xcom": (*_ROUTE, "map_index", "value"),
}


def airflow_version() -> str:
    """Return the version of Airflow that runs here."""
    import airflow

    return str(airflow.__version__)


def replace_xcom_functions(creates: Mapping[str, Create]) -> None:
    """
    Give other bodies to the functions through which every access to an XCom goes.

    FastAPI's own way for dependencies, ``dependency_overrides``, would analyse every dependency of every request of
    the execution API again and double the time of plain reads.

    Airflow 3.4 adds parameters to the routes. Guarded by row 9 of ``docs/airflow-facts.md``.

    :param creates: by name of the check that every route of XComs asks before it runs, or of a route.
    :raises UnsupportedAirflowError: if one of Airflow's functions is not as expected; then none is replaced.
    """
    from airflow.api_fastapi.execution_api.routes import xcoms

    replacements = {name: Replacement(one, _FUNCTIONS[name], accepts_others=True) for name, one in creates.items()}
    replace_functions(xcoms, replacements, bodies=True)


def replace_trigger_function(create: Create) -> None:
    """
    Give another body to the function by which a task triggers a run.

    Guarded by row 14 of ``docs/airflow-facts.md``.

    :raises UnsupportedAirflowError: if it is not as expected; then it is not replaced.
    """
    from airflow.api_fastapi.execution_api.routes import dag_runs

    replacement = Replacement(create, ("dag_id", "run_id", "payload", "session", "token"), accepts_others=True)
    replace_functions(dag_runs, {"trigger_dag_run": replacement}, bodies=True)


@cache
def task_instance_statements() -> list[Any]:
    """
    Return the statements that find a task instance by ``ti_id``, in any of its tries; the first that finds one counts.

    Until Airflow 3.3 a retry moves the earlier try to another table while its process still runs; 3.4 keeps it.
    Guarded by row 34 of ``docs/airflow-facts.md``.
    """
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import bindparam, select

    keys: list[tuple[Any, Any]] = [(TaskInstance, TaskInstance.id)]
    try:
        from airflow.models.taskinstancehistory import TaskInstanceHistory
    except ImportError:
        pass
    else:
        keys.append((TaskInstanceHistory, TaskInstanceHistory.task_instance_id))
    return [select(*_columns(model, key)).where(key == bindparam("ti_id")) for model, key in keys]


@cache
def present_tries_statement() -> Any:
    """
    Return the statement for the present tries of a task: id, map index, state, end and number of each.

    Its parameters are ``dag_id``, ``run_ids``, ``task_id``, ``map_index``, and ``any_map_index`` to find all of them.
    Guarded by row 34 of ``docs/airflow-facts.md``.
    """
    from airflow.models.taskinstance import TaskInstance

    statement = _tries_statement(TaskInstance, TaskInstance.id)
    return statement.where(TaskInstance.working_set.is_(True)) if _keeps_earlier_tries() else statement


@cache
def tries_statement() -> Any:
    """
    Return the statement for those of the tries ``ti_ids`` that are present; see :func:`present_tries_statement`.

    By primary key: for one reader and one writer the database neither plans nor searches.
    """
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import bindparam, select

    statement = select(*_columns(TaskInstance, TaskInstance.id)).where(
        TaskInstance.id.in_(bindparam("ti_ids", expanding=True))
    )
    return statement.where(TaskInstance.working_set.is_(True)) if _keeps_earlier_tries() else statement


@cache
def earlier_tries_statement() -> Any:
    """
    Return the statement for the earlier tries of a task, the latest first; see :func:`present_tries_statement`.

    Airflow 3.4 keeps them beside the present ones; before, they are in another table.
    """
    from airflow.models.taskinstance import TaskInstance

    if _keeps_earlier_tries():
        statement = _tries_statement(TaskInstance, TaskInstance.id).where(TaskInstance.working_set.is_not(True))
        return statement.order_by(TaskInstance.try_number.desc())
    history = import_module("airflow.models.taskinstancehistory").TaskInstanceHistory
    return _tries_statement(history, history.task_instance_id).order_by(history.try_number.desc())


def _keeps_earlier_tries() -> bool:
    from airflow.models.taskinstance import TaskInstance

    return hasattr(TaskInstance, "working_set")


def _columns(model: Any, key: Any) -> list[Any]:
    """Return what is asked of a try of a task instance; ``stored_index`` differs from ``map_index`` in a loop."""
    return [
        key.label("ti_id"),
        model.dag_id,
        model.run_id,
        model.task_id,
        _public_map_index(model).label("map_index"),
        model.map_index.label("stored_index"),
        model.try_number,
        model.state,
        model.end_date,
    ]


def _tries_statement(model: Any, key: Any) -> Any:
    from sqlalchemy import Boolean, bindparam, or_, select

    return select(*_columns(model, key)).where(
        model.dag_id == bindparam("dag_id"),
        model.run_id.in_(bindparam("run_ids", expanding=True)),
        model.task_id == bindparam("task_id"),
        or_(bindparam("any_map_index", type_=Boolean), _public_map_index(model) == bindparam("map_index")),
    )


@cache
def xcom_statement() -> Any:
    """
    Return the statement for the rows at a key of a task instance, each with the id of its present try.

    Its parameters are ``dag_id``, ``run_id``, ``task_id``, ``map_index`` and ``key``, each after ``xcom_``. Airflow's
    own ``XComModel.get_many`` does the same, but is built again for every read, which in 3.4 takes 10 ms.

    Airflow 3.4 keeps XComs by task instance id, and those of earlier tries, too; before, their coordinates are those
    of the task instance. Guarded by row 34 of ``docs/airflow-facts.md``.
    """
    from airflow.models import xcom
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import and_, bindparam, select

    rows: Any
    if hasattr(xcom, "XComModelV2"):
        rows = xcom.XComModelV2
        owner = and_(TaskInstance.id == rows.task_instance_id, TaskInstance.working_set.is_(True))
    else:
        rows = xcom.XComModel
        shared = ("dag_id", "run_id", "task_id", "map_index")
        owner = and_(*(getattr(TaskInstance, name) == getattr(rows, name) for name in shared))
    return (
        select(rows.value, TaskInstance.id)
        .join(TaskInstance, owner)
        .where(
            TaskInstance.dag_id == bindparam("xcom_dag_id"),
            TaskInstance.run_id == bindparam("xcom_run_id"),
            TaskInstance.task_id == bindparam("xcom_task_id"),
            _public_map_index(TaskInstance) == bindparam("xcom_map_index"),
            rows.key == bindparam("xcom_key"),
        )
    )


def _public_map_index(model: Any) -> Any:
    """
    Return the SQL expression of the map index that a task instance has for its clients.

    In Airflow 3.4 the stored index of a task in a loop is its iteration; clients see -1 there, and so must we.
    Guarded by row 2 of ``docs/airflow-facts.md``.
    """
    try:
        coordinates = import_module("airflow.models.task_coordinates")
    except ModuleNotFoundError:
        return model.map_index
    return coordinates.public_map_index_expression(model)


def create_xcom_response(key: str, value: Any) -> Any:
    """
    Return what Airflow's route answers for a single XCom.

    Guarded by row 9 of ``docs/airflow-facts.md``.
    """
    from airflow.api_fastapi.execution_api.datamodels.xcom import XComResponse

    return XComResponse(key=key, value=value)


def find_stats() -> Any:
    """
    Return the module by which Airflow reports metrics, or None: decisions do not depend on being counted.

    Guarded by row 40 of ``docs/airflow-facts.md``.
    """
    try:
        from airflow._shared.observability.metrics import stats
    except ImportError:
        return None
    return stats


def mint_token(ti_id: object = None) -> str:
    """
    Sign a token as the API server does for a task.

    Airflow has no public way to do that. Guarded by row 13 of ``docs/airflow-facts.md``.

    :param ti_id: the id of the task instance; without it, that of one that does not exist.
    :raises ValueError: if this process has no secret to sign with.
    """
    from airflow.api_fastapi.execution_api import app

    generator: Any = app._jwt_generator  # noqa: SLF001
    return str(generator().generate({"sub": str(ti_id or uuid.uuid4()), "scope": "execution"}))
