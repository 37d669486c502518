"""
The XCom backend: Airflow's hooks as thin adapters onto :mod:`~airflow_provider_exclusive.xcom.push` and ``pull``.

Airflow 3.3 calls ``serialize_value`` and ``deserialize_value``; 3.4 prefers ``store_value`` and ``load_value``. The
overrides of ``set`` and, for 3.4, of ``_send_set`` translate refusals and keep the map index. The overrides of
``get_one`` and ``get_all`` know the requested coordinate; the hooks do not. While one of these runs, the hooks return
the raw row, and the override then opens it. For lazy sequences,
:mod:`~airflow_provider_exclusive.xcom.lazy_sequences` does the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final

from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_exclusive.execution_time import running_task
from airflow_provider_exclusive.execution_time.failures import server_refusals
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.xcom import declared, lazy_sequences, pull, push
from airflow_provider_exclusive.xcom.preload import preload_before_forks
from airflow_provider_exclusive.xcom.rows import Row, are_raw, raw_rows

_QUERY_OF_ALL: Final = frozenset({"key", "dag_id", "task_id", "run_id", "include_prior_dates"})

_deleting: ContextVar[Coordinate | None] = ContextVar("exclusive_deleting", default=None)
_setting: ContextVar[int | None] = ContextVar("exclusive_setting", default=None)
"""The map index that ``set`` was given: Airflow 3.4 does not tell it to ``store_value``."""


preload_before_forks()


@contextmanager
def _write_by_coordinates(map_index: int | None) -> Iterator[None]:
    token = _setting.set(-1 if map_index is None else map_index)
    try:
        with server_refusals():
            yield
    finally:
        _setting.reset(token)


class ExclusiveXComBackend(BaseXCom):
    """
    Seals the outputs of exclusive tasks, opens them for their consumers, and leaves plain tasks as they are.

    Configure it with ``[core] xcom_backend = airflow_provider_exclusive.xcom.backend.ExclusiveXComBackend``.
    """

    @staticmethod
    def serialize_value(
        value: Any,
        *,
        key: str | None = None,
        task_id: str | None = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        map_index: int | None = None,
    ) -> Any:
        """Return the content of the row for a pushed value (Airflow 3.3)."""
        return push.push(value, Coordinate(dag_id, run_id, task_id, -1 if map_index is None else map_index, key))

    @classmethod
    def store_value(cls, coordinate: Any, key: str, value: Any) -> Any:
        """Return the content of the row for a pushed value (Airflow 3.4)."""
        return push.push(value, _locate(coordinate, key))

    @classmethod
    def set(cls, key: str, value: Any, **where: Any) -> None:
        """Push a value; see :meth:`airflow.sdk.bases.xcom.BaseXCom.set`."""
        with _write_by_coordinates(where.get("map_index")):
            super().set(key, value, **where)

    @classmethod
    async def aset(cls, key: str, value: Any, **where: Any) -> None:
        """Push a value; see :meth:`airflow.sdk.bases.xcom.BaseXCom.aset`."""
        with _write_by_coordinates(where.get("map_index")):
            await super().aset(key, value, **where)

    @classmethod
    def _send_set(cls, msg: Any) -> None:
        """Send a row (Airflow 3.4, which does not push through :meth:`set`)."""
        with server_refusals():
            super()._send_set(msg)  # type: ignore[misc]  # 3.3 has none and calls none

    @classmethod
    async def _asend_set(cls, msg: Any) -> None:
        """Send a row (Airflow 3.4, which does not push through :meth:`aset`)."""
        with server_refusals():
            await super()._asend_set(msg)  # type: ignore[misc]  # 3.3 has none and calls none

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        """Return the value of a row (Airflow 3.3)."""
        return _value_of(result.value)

    @classmethod
    def load_value(cls, stored: Any) -> Any:
        """Return the value of a row (Airflow 3.4)."""
        return _value_of(stored)

    @classmethod
    def get_one(cls, **kwargs: Any) -> Any:
        """Return one value; see :meth:`airflow.sdk.bases.xcom.BaseXCom.get_one`."""
        with raw_rows():
            found = super().get_one(**kwargs)
        return cls._open_one(found, kwargs)

    @classmethod
    async def aget_one(cls, **kwargs: Any) -> Any:
        """Return one value; see :meth:`airflow.sdk.bases.xcom.BaseXCom.aget_one`."""
        with raw_rows():
            found = await super().aget_one(**kwargs)
        return await asyncio.to_thread(cls._open_one, found, kwargs)

    @classmethod
    def _open_one(cls, found: Any, query: Mapping[str, Any]) -> Any:
        requested = _requested_one(query)
        if isinstance(found, Row):
            return pull.pull([found.content], requested)[0]
        if declared.expects_reference(requested, running_task.current()):
            # Airflow returns None for a missing row and for one that holds null, which no exclusive task writes.
            where = {name: value for name, value in query.items() if name in _QUERY_OF_ALL}
            with raw_rows():
                rows = super().get_all(**where) or []
            pull.pull([row.content for row in rows if row.content is None], requested)
        return None

    @classmethod
    def get_all(cls, **kwargs: Any) -> Any:
        """Return the values of all map indexes; see :meth:`airflow.sdk.bases.xcom.BaseXCom.get_all`."""
        with raw_rows():
            found = super().get_all(**kwargs)
        return _open_all(found, _requested_all(kwargs))

    @classmethod
    async def aget_all(cls, **kwargs: Any) -> Any:
        """Return the values of all map indexes; see :meth:`airflow.sdk.bases.xcom.BaseXCom.aget_all`."""
        with raw_rows():
            found = await super().aget_all(**kwargs)
        return await asyncio.to_thread(_open_all, found, _requested_all(kwargs))

    @classmethod
    def delete(cls, key: str, task_id: str, dag_id: str, run_id: str, map_index: int | None = None) -> None:
        """Delete a row and purge its payload."""
        token = _deleting.set(Coordinate(dag_id, run_id, task_id, -1 if map_index is None else map_index, key))
        try:
            with server_refusals():
                super().delete(key=key, task_id=task_id, dag_id=dag_id, run_id=run_id, map_index=map_index)
        finally:
            _deleting.reset(token)

    @classmethod
    def purge(cls, xcom: Any, *args: Any) -> None:  # noqa: ARG003  # the signature of Airflow's hook
        """Remove the payload of a row that is being deleted; never raises."""
        if (target := _deleting.get()) is not None:
            push.purge(xcom.value, target)


def _value_of(row: Any) -> Any:
    return Row(row) if are_raw() else pull.pull([row], lazy_sequences.requested())[0]


def _requested_one(query: Mapping[str, Any]) -> Coordinate:
    """Return the coordinate that ``get_one`` requests; a missing map index means an unmapped task."""
    return replace(_requested_all(query), map_index=-1 if query.get("map_index") is None else query["map_index"])


def _requested_all(query: Mapping[str, Any]) -> Coordinate:
    """Return the coordinate that ``get_all`` requests; ``include_prior_dates`` accepts earlier runs."""
    run_id = None if query.get("include_prior_dates") else query["run_id"]
    return Coordinate(query["dag_id"], run_id, query["task_id"], key=query["key"])


def _open_all(found: Any, requested: Coordinate) -> Any:
    return pull.pull([row.content for row in found], requested) if found else found


def _locate(coordinate: Any, key: str) -> Coordinate:
    """
    Return the coordinate of an ``XComCoordinate`` (Airflow 3.4), which names the writer but no map index.

    It names no writer if ``set`` was called without a task's context, as in a callback. Then ``set`` knows the index.
    """
    if coordinate.ti_id is None:
        return Coordinate(coordinate.dag_id, coordinate.run_id, coordinate.task_id, _setting.get(), key)
    running = running_task.current()
    is_own = running is not None and str(coordinate.ti_id) == running.identity.ti_id
    map_index = running.identity.map_index if running is not None and is_own else None
    return Coordinate(coordinate.dag_id, coordinate.run_id, coordinate.task_id, map_index, key)


lazy_sequences.attach(ExclusiveXComBackend)
