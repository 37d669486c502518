"""A Dag and the Dag that it triggers and waits for, both run by one ``dag.test()``, which has no scheduler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.models.dagrun import DagRun
from airflow.sdk import get_current_context, task
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_exclusive import ExclusiveTriggerDagRunOperator, exclusive_input, exclusive_task
from airflow_provider_exclusive.compat.dag_test import add_dag
from tests.airflow.running import Run, a_dag

PAIR = """
import datetime
from airflow.sdk import dag, task
from airflow_provider_exclusive import ExclusiveTriggerDagRunOperator, exclusive_input, exclusive_task

@dag(schedule=None, start_date=datetime.datetime(2023, 1, 1))
def pair_parent():
    @exclusive_task
    def extract():
        return 20
    ExclusiveTriggerDagRunOperator(
        task_id="hand_over", trigger_dag_id="pair_child", exclusive_keys={"rows": extract()}, wait_for_completion=True
    )
    ExclusiveTriggerDagRunOperator(task_id="alone", trigger_dag_id="pair_child", wait_for_completion=True)

@dag(schedule=None)
def pair_child():
    @exclusive_task(consumers=["caller"])
    def double(rows):
        return rows * 2
    double(exclusive_input("rows", default=1))

pair_parent()
pair_child()
"""


@exclusive_task(consumers=["hand_over"])
def extract():
    return "rows"


@pytest.fixture
def child():
    with a_dag() as child:
        exclusive_task(consumers="caller", task_id="shout")(lambda rows: f"{rows}!")(exclusive_input("rows"))
    add_dag(child)
    return child


@pytest.fixture
def errors():
    return []


@pytest.fixture
def parent(errors):
    """Make a parent, and run it."""

    def parent(trigger_dag_id, *, seen=None, keys=("rows",), **arguments):
        with a_dag() as dag:
            handed = {"exclusive_keys": dict.fromkeys(keys, extract())} if keys else {}
            note = {"on_failure_callback": lambda context: errors.append(context["exception"])}
            trigger = ExclusiveTriggerDagRunOperator(
                task_id="hand_over", trigger_dag_id=trigger_dag_id, **handed, **note, **arguments
            )
            if seen is not None:
                task(task_id="read")(lambda results: seen.append(results))(trigger.output)
        return Run(dag)

    return parent


def runs_of(dag):
    with create_session() as session:
        return list(session.scalars(select(DagRun).where(DagRun.dag_id == dag.dag_id)))


@pytest.mark.parametrize("deferrable", [False, True])
def test_collected_results_come_from_the_child(parent, child, deferrable):
    seen = []

    run = parent(child.dag_id, seen=seen, collect={"shout": "shout"}, deferrable=deferrable)

    assert run.state == "success", run.states
    assert seen == [{"shout": "rows!"}]


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("keys", [("rows",), ()], ids=["hands over", "hands nothing over"])
def test_a_child_that_is_waited_for_runs(parent, keys, deferrable):
    with a_dag() as child:
        task(task_id="work")(lambda: None)()
    add_dag(child)

    run = parent(child.dag_id, keys=keys, wait_for_completion=True, deferrable=deferrable)

    (triggered,) = runs_of(child)
    assert (run.state, str(triggered.state)) == ("success", "success")
    assert run.xcom_rows()["hand_over", -1, "trigger_run_id"] == triggered.run_id


def test_a_child_that_is_not_waited_for_stays_queued(parent, child):
    assert parent(child.dag_id).state == "success"
    assert [str(run.state) for run in runs_of(child)] == ["queued"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_child_that_fails_fails_the_parent(parent, errors, deferrable):
    with a_dag() as child:
        task(task_id="broken")(lambda: 1 / 0)()
    add_dag(child)

    run = parent(child.dag_id, wait_for_completion=True, deferrable=deferrable)

    assert run.states["hand_over"] == "failed"
    assert "failed" in str(errors[0])


def test_an_end_that_nobody_awaits_is_an_error(parent, child, errors):
    parent(child.dag_id, wait_for_completion=True, allowed_states=["running"], failed_states=["failed"])

    assert "ended as success, which is neither in allowed_states nor in failed_states" in str(errors[0])


@pytest.mark.parametrize("keys", [("rows",), ()], ids=["hands over", "hands nothing over"])
def test_a_child_that_is_nowhere_is_named_at_once(parent, errors, keys):
    run = parent("nowhere", keys=keys, wait_for_completion=True)

    assert run.states["hand_over"] == "failed"
    assert "waits for a run of Dag 'nowhere'" in str(errors[0])
    assert os.environ["AIRFLOW__CORE__DAGS_FOLDER"] in str(errors[0])


def test_a_file_that_does_not_import_is_named(parent, errors):
    path = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]) / "broken.py"
    path.write_text("from airflow.sdk import dag\nimport no_such_module\n")
    try:
        parent("nowhere", wait_for_completion=True)
    finally:
        path.unlink()

    assert f"{path}, which failed to import (ModuleNotFoundError: No module named 'no_such_module')" in str(errors[0])


def test_the_task_goes_on_as_itself_afterwards(parent, child):
    after = []

    parent(
        child.dag_id,
        collect={"shout": "shout"},
        on_success_callback=lambda context: after.append(context["ti"].xcom_pull(task_ids="hand_over")),
    )

    assert after == [{"shout": "rows!"}]
    with pytest.raises(RuntimeError):
        get_current_context()


def test_each_mapped_instance_runs_a_child_of_its_own():
    with a_dag() as child:
        exclusive_task(consumers="caller", task_id="double")(lambda dag_run=None: dag_run.conf["n"] * 2)()
    add_dag(child)
    seen = []
    with a_dag() as dag:
        trigger = ExclusiveTriggerDagRunOperator.partial(
            task_id="hand_over", trigger_dag_id=child.dag_id, collect={"double": "double"}
        ).expand(conf=[{"n": 1}, {"n": 2}])
        task(task_id="read")(lambda results: seen.extend(results))(trigger.output)

    assert Run(dag).state == "success"
    assert seen == [{"double": 2}, {"double": 4}]


def test_a_child_may_have_a_child(parent, child):
    with a_dag() as middle:
        trigger = ExclusiveTriggerDagRunOperator(
            task_id="hand_over",
            trigger_dag_id=child.dag_id,
            exclusive_keys={"rows": exclusive_input("rows")},
            collect={"shout": "shout"},
        )
        exclusive_task(consumers="caller", task_id="again")(lambda results: results["shout"] * 2)(trigger.output)
    add_dag(middle)
    seen = []

    run = parent(middle.dag_id, seen=seen, collect={"again": "again"})

    assert run.state == "success", run.states
    assert seen == [{"again": "rows!rows!"}]


def test_test_values_of_the_parent_are_not_for_the_child(parent, child):
    seen = []

    with exclusive_input.overriding({"rows": "test value"}):
        parent(child.dag_id, seen=seen, collect={"shout": "shout"})

    assert seen == [{"shout": "rows!"}]


def test_tasks_test_runs_the_child_from_its_file(tmp_path):
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "pair.py").write_text(PAIR)
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"),
    }

    def airflow(*words):
        command = [sys.executable, "-m", "airflow", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)

    airflow("db", "migrate")
    airflow("dags", "reserialize")
    said = airflow("tasks", "test", "pair_parent", "alone")
    runs = airflow("dags", "list-runs", "pair_child", "--output", "plain")

    assert "Running run " in said.stdout + said.stderr
    assert "success" in runs.stdout
