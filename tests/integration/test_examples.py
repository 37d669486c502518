"""The example Dags do what they say, by ``dag.test()`` and under the real scheduler, with the installed package."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

from demo.examples import EXAMPLES
from demo.outcome import judge, refusal_reason, run_of
from stack.metadata import MetadataDatabase
from tests.runs import assert_succeeded

INTRUSIONS = [(example, refusal) for example in EXAMPLES for refusal in example.refusals]


def run(airflow, example) -> str:
    return run_of(airflow, example, airflow.run(example.triggered_by or example.dag_id))


def by_id(entry):
    return getattr(entry, "dag_id", getattr(entry, "reader", None))


def run_by_dag_test(environment, dags_folder, example) -> str:
    """Run an example as ``python example.py``, which ends in ``dag.test()``, and return all that it prints."""
    done = subprocess.run(
        [sys.executable, str(dags_folder / f"{example.dag_id}.py")],
        env=environment,
        cwd=environment["AIRFLOW_HOME"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def states_in(environment, example) -> list[tuple[str, str]]:
    database = MetadataDatabase(environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    rows = database.query("SELECT task_id, state FROM task_instance WHERE dag_id = :dag_id", dag_id=example.dag_id)
    return [(row["task_id"], row["state"]) for row in rows]


def test_the_installed_wheel_is_tested_here_and_in_airflow(airflow):
    ask = "import airflow_provider_exclusive as package; print(package.__file__)"
    here, there = (
        subprocess.run(
            [sys.executable, "-c", ask], env=env, cwd=airflow.home, capture_output=True, text=True, check=True
        ).stdout
        for env in (None, airflow.variables)
    )
    import airflow_provider_exclusive

    site_packages = Path(sysconfig.get_path("purelib"))
    for found in (here.strip(), there.strip(), str(airflow_provider_exclusive.__file__)):
        assert site_packages in Path(found).parents, "Run these tests by `make integration`, which installs the wheel."


@pytest.mark.parametrize(("example", "refusal"), INTRUSIONS, ids=by_id)
def test_an_intruder_is_refused_at_once_and_told_who_may_read(airflow, example, refusal):
    run_id = airflow.run(example.dag_id)
    assert airflow.task_states(example.dag_id, run_id)[refusal.reader] == "failed"
    assert refusal.because in refusal_reason(airflow, example, run_id, refusal)
    tries = {task["task_id"]: task["try_number"] for task in airflow.api.task_instances(example.dag_id, run_id)}
    assert tries[refusal.reader] == 1
    assert refusal.secret not in airflow.task_log(example.dag_id, run_id, refusal.reader)


def test_a_failed_run_shows_the_logs_of_task_and_scheduler(airflow):
    example, refusal = INTRUSIONS[0]
    run_id = airflow.run(example.dag_id)

    with pytest.raises(AssertionError) as told:
        assert_succeeded(airflow, example.dag_id, run_id)

    assert refusal.because in str(told.value)
    assert "executor_state" in str(told.value)


def test_the_demonstration_notices_a_value_that_did_not_arrive(airflow):
    example = EXAMPLES[0]
    altered = replace(example, readings=(replace(example.readings[0], says="transforming 43 rows"),))
    (fault,) = judge(airflow, altered, airflow.run(example.dag_id)).faults
    assert "did not reach transform intact" in fault


def test_the_demo_notices_missing_refusals_and_other_reasons(airflow):
    ((example, refusal),) = INTRUSIONS
    run_id = airflow.run(example.dag_id)
    other_reason = replace(example, refusals=(replace(refusal, because="may be read by: nobody"),))
    assert "was not refused for the right reason" in judge(airflow, other_reason, run_id).faults[0]
    no_refusal = replace(example, refusals=(replace(refusal, reader="friend"),))
    faults = " ".join(judge(airflow, no_refusal, run_id).faults)
    assert "friend ended as success, expected failed" in faults
    assert "is in the log of exclusive_intruder.friend, which may not read it" in faults


@pytest.mark.parametrize("example", EXAMPLES, ids=by_id)
def test_example_values_arrive_under_the_real_scheduler(airflow, example):
    outcome = judge(airflow, example, run(airflow, example))
    assert outcome.faults == ()


@pytest.mark.parametrize("example", [example for example in EXAMPLES if not example.waits], ids=by_id)
def test_dag_test_delivers_values_and_refuses_intruders(airflow_home, dags_folder, example):
    printed = run_by_dag_test(airflow_home, dags_folder, example)
    for reading in example.readings:
        assert reading.says in printed
    for refusal in example.refusals:
        assert "AccessDeniedError" in printed
        assert refusal.because in printed
    states = states_in(airflow_home, example)
    assert states
    for task_id, state in states:
        assert state == ("failed" if task_id in example.failing_tasks else "success"), printed


@pytest.mark.parametrize("example", EXAMPLES, ids=by_id)
def test_clearing_the_first_task_repeats_the_outcome(airflow, example):
    run_id = run(airflow, example)
    before = airflow.xcom_rows(dag_id=example.dag_id, run_id=run_id)
    airflow.clear(example.dag_id, run_id, [reading.producer for reading in example.readings])
    airflow.wait(example.dag_id, run_id)
    after = airflow.xcom_rows(dag_id=example.dag_id, run_id=run_id)
    assert [row.key for row in after] == [row.key for row in before]
    assert not {row.stored for row in after} & {row.stored for row in before}
    for task_id, state in airflow.task_states(example.dag_id, run_id).items():
        assert state == ("failed" if task_id in example.failing_tasks else "success")
