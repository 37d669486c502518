"""Runs a Dag by ``dag.test()`` and reads what Airflow kept about it."""

from __future__ import annotations

import datetime
import itertools
import os
import sqlite3
from pathlib import Path

from airflow.models import xcom
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from airflow_provider_exclusive.compat.dag_test import add_dag

_numbers = itertools.count()


def a_dag(**kwargs) -> DAG:
    """A Dag of its own for each test; Airflow keeps what ran, so ids must differ."""
    return DAG(f"dag_{next(_numbers)}", schedule=None, start_date=datetime.datetime(2023, 1, 1), **kwargs)


class Run:
    """What one run left behind."""

    def __init__(self, dag: DAG, **kwargs) -> None:
        add_dag(dag)
        dag_run = dag.test(**kwargs)
        self.dag_id, self.run_id, self.state = dag_run.dag_id, dag_run.run_id, str(dag_run.state)
        self.states = {
            (ti.task_id if ti.map_index < 0 else (ti.task_id, ti.map_index)): str(ti.state)
            for ti in dag_run.get_task_instances()
        }

    def rendered_fields(self, task_id: str, map_index: int = -1) -> dict:
        with_fields = selectinload(TaskInstance.rendered_task_instance_fields)
        return self._task_instance(task_id, map_index, with_fields).rendered_task_instance_fields.rendered_fields

    def label(self, task_id: str, map_index: int) -> str | None:
        return self._task_instance(task_id, map_index).rendered_map_index

    def xcom_rows(self) -> dict:
        return read_rows(self.dag_id, self.run_id)

    def _task_instance(self, task_id: str, map_index: int, *options):
        with create_session() as session:
            return session.scalars(
                select(TaskInstance)
                .where(
                    TaskInstance.dag_id == self.dag_id,
                    TaskInstance.run_id == self.run_id,
                    TaskInstance.task_id == task_id,
                    TaskInstance.map_index == map_index,
                )
                .options(*options)
            ).one()


def read_rows(dag_id: str, run_id: str) -> dict[tuple[str, int, str], object]:
    """Return the raw XCom rows of a run by task id, map index and key, as the metadata database holds them."""
    with create_session() as session:
        return {place: row.value for place, row in _rows(session, dag_id, run_id).items()}


def write_row(dag_id: str, run_id: str, task_id: str, value: object, *, key="return_value", map_index=-1) -> None:
    """Overwrite the row of an XCom, as somebody with SQL would."""
    with create_session() as session:
        _rows(session, dag_id, run_id)[task_id, map_index, key].value = value


def _rows(session, dag_id: str, run_id: str) -> dict:
    if not hasattr(xcom, "XComModelV2"):
        found = session.scalars(select(xcom.XComModel).filter_by(dag_id=dag_id, run_id=run_id))
        return {(row.task_id, row.map_index, row.key): row for row in found}
    # Airflow 3.4 keeps XComs by task instance id.
    found = session.execute(
        select(TaskInstance, xcom.XComModelV2)
        .join(TaskInstance, TaskInstance.id == xcom.XComModelV2.task_instance_id)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    )
    return {(owner.task_id, owner.map_index, row.key): row for owner, row in found}


def everything_kept() -> bytes:
    """Return every byte of the metadata database and of the embedded store."""
    home = Path(os.environ["AIRFLOW_HOME"])
    with sqlite3.connect(home / "airflow.db") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files = [path for path in home.rglob("*") if path.is_file() and path.suffix != ".cfg"]
    return b"\n".join(path.read_bytes() for path in files)
