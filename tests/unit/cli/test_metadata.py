"""What the commands read from the metadata database: here tables of the same names in memory, and no Airflow."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import JSON, Column, DateTime, Integer, String, create_engine, event
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Mapper, Session, declarative_base

from airflow_provider_exclusive.cli.metadata import RunRows, read_run

Base = declarative_base()
NOON = datetime(2026, 11, 21, 12, 0)
MARKED = {"__exclusive__": "v1: 9 B json in row", "consumers": "load", "sealed": "AAAA"}


class DagModel(Base):
    __tablename__ = "dag"
    dag_id = Column(String, primary_key=True)


class DagRun(Base):
    __tablename__ = "dag_run"
    id = Column(Integer, primary_key=True)
    dag_id, run_id = Column(String), Column(String)


class XComModel(Base):
    __tablename__ = "xcom"
    id = Column(Integer, primary_key=True)
    dag_id, run_id, task_id, key = Column(String), Column(String), Column(String), Column(String)
    map_index, value, timestamp = Column(Integer), Column(JSON), Column(DateTime)


class Log(Base):
    __tablename__ = "log"
    id = Column(Integer, primary_key=True)
    event, dttm, extra = Column(String), Column(DateTime), Column(String)
    dag_id, run_id, task_id, map_index = Column(String), Column(String), Column(String), Column(Integer)


@pytest.fixture(scope="module", autouse=True)
def _mapped():
    """Map these tables alone: an Airflow that another test has loaded would import all of its models first."""
    import_all = getattr(sys.modules.get("airflow.models"), "import_all_models", None)
    is_listening = import_all is not None and event.contains(Mapper, "before_configured", import_all)
    if is_listening:
        event.remove(Mapper, "before_configured", import_all)
    Base.registry.configure()
    if is_listening:
        event.listen(Mapper, "before_configured", import_all, once=True)


@pytest.fixture
def session(monkeypatch):
    """The database; Airflow's models and sessions lead to it."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:

        @contextmanager
        def create_session():
            yield session

        models = {"dag": DagModel, "dagrun": DagRun, "xcom": XComModel, "log": Log}
        for name, model in models.items():
            module = SimpleNamespace(**{model.__name__: model})
            monkeypatch.setitem(sys.modules, f"airflow.models.{name}", module)
        monkeypatch.setitem(sys.modules, "airflow.utils.session", SimpleNamespace(create_session=create_session))
        yield session
    engine.dispose()


@pytest.fixture
def add(session):
    """Add rows to the database, beside the run ``run-1`` of Dag ``etl``."""

    def add(*rows):
        session.add_all(rows)
        session.commit()

    add(DagModel(dag_id="etl"), DagRun(dag_id="etl", run_id="run-1"))
    return add


def xcom(value, **fields):
    defaults = {"dag_id": "etl", "run_id": "run-1", "task_id": "extract", "map_index": -1, "key": "return_value"}
    return XComModel(value=value, **({"timestamp": NOON} | defaults | fields))


def log(kind="exclusive.denied", **fields):
    defaults = {"dag_id": "etl", "run_id": "run-1", "task_id": "spy", "map_index": -1, "dttm": NOON, "extra": "{}"}
    return Log(event=kind, **(defaults | fields))


def failure_of(dag_id, run_id):
    with pytest.raises(SystemExit) as ended:
        read_run(dag_id, run_id)
    return str(ended.value.code)


class TestMissing:
    def test_an_unknown_dag_comes_with_the_nearest(self, add):
        assert failure_of("elt", "run-1").startswith("Dag 'elt' is not in the metadata database; did you mean 'etl'?")

    def test_a_dag_that_was_never_parsed_says_where_to_look(self, add):
        assert failure_of("zzzzz", "run-1") == (
            "Dag 'zzzzz' is not in the metadata database. If its file is new, the Dag processor has not parsed it yet, or "
            "could not: see airflow dags list-import-errors. List all with: airflow dags list"
        )

    def test_an_unknown_run_comes_with_the_nearest(self, add):
        assert failure_of("etl", "run-2") == (
            "Dag 'etl' has no run 'run-2'; did you mean 'run-1'? List all with: airflow dags list-runs etl"
        )

    def test_an_unknown_run_far_from_all_comes_with_the_latest(self, add):
        add(DagRun(dag_id="etl", run_id="run-9"), DagRun(dag_id="web", run_id="last"))
        assert "has no run 'zzzzz'; its latest is 'run-9'." in failure_of("etl", "zzzzz")

    def test_a_dag_without_runs_says_so(self, add):
        add(DagModel(dag_id="new"))
        assert "Dag 'new' has no run 'run-1'; it has no runs." in failure_of("new", "run-1")

    def test_the_run_of_a_dag_that_is_gone_is_told_apart(self, add):
        add(DagRun(dag_id="gone", run_id="run-7"))
        assert failure_of("gone", "zzz").startswith("Dag 'gone' has no run 'zzz'; its latest is 'run-7'.")

    def test_the_run_of_another_dag_is_none(self, add):
        add(DagRun(dag_id="web", run_id="only-web"))
        assert "Dag 'etl' has no run 'only-web'" in failure_of("etl", "only-web")

    def test_a_command_to_paste_is_quoted(self, add):
        add(DagModel(dag_id="a; b"))
        assert failure_of("a; b", "x").endswith("airflow dags list-runs 'a; b'")


class TestLatest:
    def test_without_a_run_the_latest_of_the_dag_is_read(self, add):
        add(DagRun(dag_id="etl", run_id="run-9"), DagRun(dag_id="web", run_id="last"), xcom(MARKED, run_id="run-9"))
        found = read_run("etl", None)
        assert (found.run_id, len(found.xcoms)) == ("run-9", 1)

    def test_a_dag_that_never_ran_says_so(self, add):
        add(DagModel(dag_id="new"))
        assert failure_of("new", None) == "Dag 'new' has no runs."


class TestUnreadable:
    @pytest.mark.parametrize("kind", [OperationalError, ProgrammingError])
    def test_a_database_that_fails_names_the_option(self, session, mocker, kind):
        mocker.patch.object(session, "scalar", side_effect=kind("SELECT", {}, Exception("open-sesame")))
        message = failure_of("etl", "run-1")
        assert message.startswith(f"Could not read the metadata database ({kind.__name__}).")
        assert "sql_alchemy_conn" in message
        assert "open-sesame" not in message

    def test_an_id_that_cannot_be_encoded_is_no_dag(self, session, mocker):
        mocker.patch.object(session, "scalar", side_effect=UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"))
        assert failure_of("\ud800", "run-1").startswith("There is no such Dag or run")

    def test_an_error_of_nobody_is_not_hidden(self, session, mocker):
        mocker.patch.object(session, "scalar", side_effect=ZeroDivisionError)
        with pytest.raises(ZeroDivisionError):
            read_run("etl", "run-1")


class TestXComs:
    def read(self):
        return read_run("etl", "run-1").xcoms

    def test_a_run_without_outputs_has_none(self, add):
        assert read_run("etl", "run-1") == RunRows("run-1", [], [])

    def test_a_row_with_the_marker_is_read_whole(self, add):
        add(xcom(MARKED, task_id="extract", map_index=3, key="rows"))
        (row,) = self.read()
        assert (row.task_id, row.map_index, row.key, row.content) == ("extract", 3, "rows", MARKED)
        assert row.when == NOON

    @pytest.mark.parametrize(
        "plain", ["text", {"exclusive": 1}, {"xxexclusivexx": 1}, {"__exclusive": 1}, "__exclusive__", None, 7]
    )
    def test_a_plain_row_is_not_read(self, add, plain):
        add(xcom(plain if plain != "__exclusive__" else {"text": "the marker is __exclusive__"}))
        assert self.read() == []

    @pytest.mark.parametrize("elsewhere", [{"dag_id": "web"}, {"run_id": "run-2"}, {"run_id": "run-"}])
    def test_another_run_is_not_read(self, add, elsewhere):
        add(xcom(MARKED, **elsewhere))
        assert self.read() == []

    def test_the_oldest_comes_first_and_then_by_name(self, add):
        add(
            xcom(MARKED, task_id="a", timestamp=NOON + timedelta(hours=1)),
            xcom(MARKED, task_id="b", map_index=1),
            xcom(MARKED, task_id="b", map_index=0, key="z"),
            xcom(MARKED, task_id="b", map_index=0, key="y"),
        )
        assert [(row.task_id, row.map_index, row.key) for row in self.read()] == [
            ("b", 0, "y"),
            ("b", 0, "z"),
            ("b", 1, "return_value"),
            ("a", -1, "return_value"),
        ]


class TestAudit:
    def read(self, run_id="run-1"):
        return read_run("etl", run_id).audits

    @pytest.mark.parametrize("kind", ["exclusive.read", "exclusive.denied", "exclusive.write_denied"])
    def test_each_event_of_the_run_is_read(self, add, kind):
        add(log(kind, extra='{"count": 2}', map_index=4))
        (row,) = self.read()
        assert (row.event, row.when, row.extra) == (kind, NOON, '{"count": 2}')
        assert (row.dag_id, row.run_id, row.task_id, row.map_index) == ("etl", "run-1", "spy", 4)

    @pytest.mark.parametrize("kind", ["exclusive", "exclusive.readx", "cli_dags_list", "EXCLUSIVE.READ"])
    def test_another_event_is_not_read(self, add, kind):
        add(log(kind))
        assert self.read() == []

    def test_a_reader_elsewhere_counts_if_the_run_was_asked_for(self, add):
        add(log(dag_id="web", run_id="run-5", extra=json.dumps({"run_id": "run-1"})))
        assert [row.dag_id for row in self.read()] == ["web"]

    @pytest.mark.parametrize("asked", ["run-2", "run-11", "a run-1"])
    def test_another_run_is_not_read(self, add, asked):
        add(log(run_id="run-5", extra=json.dumps({"run_id": asked})))
        assert self.read() == []

    @pytest.mark.parametrize("run_id", ["100%", "a_b", "manual__2026", 'a"b', "übung", "a\\b"])
    def test_a_run_is_found_by_any_name(self, add, run_id):
        add(DagRun(dag_id="etl", run_id=run_id), log(run_id=None, extra=json.dumps({"run_id": run_id})))
        assert len(self.read(run_id)) == 1

    @pytest.mark.parametrize(("run_id", "other"), [("100%", "100 of 100"), ("a_b", "axb")])
    def test_a_name_is_no_pattern(self, add, run_id, other):
        add(DagRun(dag_id="etl", run_id=run_id), log(run_id=None, extra=json.dumps({"run_id": other})))
        assert self.read(run_id) == []

    def test_the_oldest_comes_first(self, add):
        add(log(task_id="late", dttm=NOON + timedelta(hours=1)), log(task_id="one"), log(task_id="two"))
        assert [row.task_id for row in self.read()] == ["one", "two", "late"]
