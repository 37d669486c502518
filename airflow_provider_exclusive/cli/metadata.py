"""Read from the metadata database what it holds about the exclusive outputs of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import Any, Final, NoReturn

from airflow_provider_exclusive.cli.output import did_you_mean, fail
from airflow_provider_exclusive.format.reference import MARKER

EVENTS: Final = ("exclusive.read", "exclusive.denied", "exclusive.write_denied")
_KNOWN_RUNS: Final = 1000


@dataclass(frozen=True, slots=True)
class XComRow:
    """
    One XCom row that carries the marker of a reference.

    :param content: the row's JSON.
    :param when: when it was written.
    """

    task_id: str
    map_index: int
    key: str
    content: Any
    when: datetime


@dataclass(frozen=True, slots=True)
class AuditRow:
    """
    One row of Airflow's audit log about exclusive values.

    The fields from ``dag_id`` to ``map_index`` name the reader; each of them may be missing.

    :param extra: the row's JSON text.
    """

    event: str
    when: datetime | None
    dag_id: str | None
    run_id: str | None
    task_id: str | None
    map_index: int | None
    extra: str | None


@dataclass(frozen=True, slots=True)
class RunRows:
    """
    The rows about one run, oldest first.

    :param xcoms: its exclusive XComs.
    :param audits: the audit log's rows.
    """

    run_id: str
    xcoms: Sequence[XComRow]
    audits: Sequence[AuditRow]


def read_run(dag_id: str, run_id: str | None) -> RunRows:
    """
    Return what is stored about a run.

    :param run_id: None for the latest run.
    :raises SystemExit: if the run does not exist, or the database cannot be read.
    """
    with _session() as session:
        found = _find_run(session, dag_id, run_id)
        return RunRows(found, list(_xcom_rows(session, dag_id, found)), list(_audit_rows(session, found)))


@contextmanager
def _session() -> Iterator[Any]:
    from airflow.utils.session import create_session
    from sqlalchemy.exc import DatabaseError

    try:
        with create_session() as session:
            yield session
    except UnicodeEncodeError:
        fail("There is no such Dag or run: an id contains characters that cannot be encoded.")
    except DatabaseError as failure:
        fail(
            f"Could not read the metadata database ({type(failure).__name__}). Check [database] sql_alchemy_conn, and "
            "that `airflow db check` and `airflow db check-migrations` succeed."
        )


def _find_run(session: Any, dag_id: str, run_id: str | None) -> str:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    latest = select(DagRun.run_id).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc())
    wanted = latest if run_id is None else latest.where(DagRun.run_id == run_id)
    found = session.scalar(wanted.limit(1))
    if found is None:
        _fail_without_run(session, dag_id, run_id, session.scalars(latest.limit(_KNOWN_RUNS)).all())
    return str(found)


def _fail_without_run(session: Any, dag_id: str, run_id: str | None, runs: Sequence[str]) -> NoReturn:
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    if not runs and session.get(DagModel, dag_id) is None:
        known = session.scalars(select(DagModel.dag_id)).all()
        fail(
            f"Dag {dag_id!r} is not in the metadata database{did_you_mean(dag_id, known) or '.'} If its file is new, "
            "the Dag processor has not parsed it yet, or could not: see airflow dags list-import-errors. List all "
            "with: airflow dags list"
        )
    if run_id is None:
        fail(f"Dag {dag_id!r} has no runs.")
    hint = did_you_mean(run_id, runs) or _latest(runs)
    fail(f"Dag {dag_id!r} has no run {run_id!r}{hint} List all with: airflow dags list-runs {quote(dag_id)}")


def _latest(runs: Sequence[str]) -> str:
    return f"; its latest is {runs[0]!r}." if runs else "; it has no runs."


def _xcom_rows(session: Any, dag_id: str, run_id: str) -> Iterator[XComRow]:
    from airflow.models.xcom import XComModel
    from sqlalchemy import String, cast, select

    # The database looks for the marker, so that large plain values are not loaded.
    statement = (
        select(XComModel.task_id, XComModel.map_index, XComModel.key, XComModel.value, XComModel.timestamp)
        .where(XComModel.dag_id == dag_id, XComModel.run_id == run_id)
        .where(cast(XComModel.value, String).contains(f'"{MARKER}"', autoescape=True))
        .order_by(XComModel.timestamp, XComModel.task_id, XComModel.map_index, XComModel.key)
    )
    for row in session.execute(statement):
        yield XComRow(*row)


def _audit_rows(session: Any, run_id: str) -> Iterator[AuditRow]:
    from airflow.models.log import Log
    from sqlalchemy import or_, select

    # The JSON of an event names the run. This only narrows the rows down; the report reads the JSON.
    is_about_run = Log.extra.contains(json.dumps(run_id), autoescape=True)
    statement = (
        select(Log).where(Log.event.in_(EVENTS), or_(is_about_run, Log.run_id == run_id)).order_by(Log.dttm, Log.id)
    )
    for log in session.scalars(statement):
        yield AuditRow(log.event, log.dttm, log.dag_id, log.run_id, log.task_id, log.map_index, log.extra)
