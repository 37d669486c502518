"""What a test of a Dag opens after ``dag.test()``."""

from __future__ import annotations

import pytest
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_exclusive import ExclusiveTriggerDagRunOperator, exclusive_input, exclusive_task
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.testing import add_dag, result_of, triggered_run
from tests.airflow.running import a_dag


@pytest.fixture(scope="module")
def run():
    with a_dag() as dag:
        exclusive_task(lambda: (1, 2), task_id="one", consumers=[])()
        exclusive_task(lambda: "x" * 10_000, task_id="stored", consumers=[])()
        exclusive_task(lambda: {"a": 1, "b": 2.5}, task_id="parts", multiple_outputs=True, consumers=[])()
        exclusive_task(lambda x: x * 2, task_id="mapped", consumers=[]).expand(x=list(range(12)))
        exclusive_task(lambda ti: ti.xcom_push("rows", {3}), task_id="pushes", consumers=[])()
        task(lambda: [1], task_id="plain")()
        task(lambda: {"__exclusive__": "v1: 1 B msgpack in row"}, task_id="alike")()
        task(lambda x: None, task_id="nothings").expand(x=[1, 2])

        @task
        def skipped():
            raise AirflowSkipException

        skipped()
    add_dag(dag)
    return dag.test()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (["one"], (1, 2)),
        (["stored"], "x" * 10_000),
        (["parts"], {"a": 1, "b": 2.5}),
        (["parts", "b"], 2.5),
        (["mapped"], [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]),
        (["mapped", "return_value", 11], 22),
        (["pushes", "rows"], {3}),
        (["pushes"], None),
        (["plain"], [1]),
        (["alike"], {"__exclusive__": "v1: 1 B msgpack in row"}),
        (["nothings"], []),
        (["nothings", "return_value", 1], None),
    ],
)
def test_a_result_is_what_was_pushed(run, where, value):
    found = result_of(run, *where)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (["pushes", "row"], "Task 'pushes' has not pushed 'row' in run .*. It pushed 'rows'; its state is success"),
        (["skipped"], "It pushed nothing; its state is skipped"),
        (["mapped", "return_value", 12], r"Task 'mapped'\[12\] .* its state is unknown, because there is no such map"),
        (["mappd"], "has no task 'mappd'; did you mean 'mapped'"),
    ],
)
def test_a_result_that_is_not_there_is_explained(run, where, message):
    with pytest.raises(AssertionError, match=message):
        result_of(run, *where)


@pytest.fixture
def hand_over():
    """Run a parent that hands "rows" to a child, and return its run and the child's id."""

    def hand_over(**arguments):
        with a_dag() as child:
            exclusive_task(lambda rows: f"{rows}!", task_id="shout", consumers=["caller"])(exclusive_input("rows"))
        add_dag(child)
        with a_dag() as dag:
            extract = exclusive_task(lambda: "rows", task_id="extract")()
            ExclusiveTriggerDagRunOperator(
                task_id="hand_over", trigger_dag_id=child.dag_id, exclusive_keys={"rows": extract}, **arguments
            )
        add_dag(dag)
        return dag.test(), child.dag_id

    return hand_over


@pytest.mark.parametrize("waits", [True, False])
def test_a_triggered_run_has_results_whether_waited_for_or_not(hand_over, waits):
    run, child = hand_over(wait_for_completion=waits)

    triggered = triggered_run(run, "hand_over", child)

    assert str(triggered.state) == "success"
    assert result_of(triggered, "shout") == "rows!"
    assert triggered_run(run, "hand_over", child).id == triggered.id


def test_a_run_of_another_dag_is_not_it(hand_over):
    run, _ = hand_over()

    with pytest.raises(AssertionError, match="which is no run of Dag 'another'"):
        triggered_run(run, "hand_over", "another")
    with pytest.raises(AssertionError, match="has not pushed 'trigger_run_id'"):
        triggered_run(run, "extract", "another")


def test_a_dag_that_went_away_is_named(hand_over, mocker):
    run, child = hand_over()
    mocker.patch.dict("airflow_provider_exclusive.compat.dag_test._added", clear=True)

    with pytest.raises(AssertionError, match=f"Dag '{child}' was not found in: .*/dags. Pass it to add_dag"):
        triggered_run(run, "hand_over", child)


@pytest.mark.parametrize("read", ["get_one", "get_all"])
def test_reading_outside_a_task_says_what_to_use(run, read):
    from airflow.sdk.execution_time.xcom import XCom

    with pytest.raises(AccessDeniedError, match=r"where no task runs.*testing\.result_of"):
        getattr(XCom, read)(key="return_value", dag_id=run.dag_id, task_id="one", run_id=run.run_id)
