"""Loops came with Airflow 3.4: each iteration has outputs of its own, and the next iteration and the gate read them."""

from __future__ import annotations

import pytest
from airflow.sdk import task, task_group
from airflow.utils.session import create_session

from airflow_provider_exclusive import exclusive_task
from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag
from airflow_provider_exclusive.definitions.parse_check import find_contradictions
from airflow_provider_exclusive.execution_time import running_task
from airflow_provider_exclusive.server import callers
from tests.airflow.running import Run, a_dag

pytestmark = pytest.mark.skipif(
    not hasattr(type(task_group(lambda: None)), "loop"), reason="this version of Airflow has no loops"
)


def test_iterations_gate_and_outside_readers_get_their_values():
    seen, outputs = [], []
    with a_dag() as dag:

        @task_group
        def refine():
            @exclusive_task
            def improve(*, loop):
                return (0 if loop.index == 0 else loop.previous) + 1

            outputs.append(improve())

        @task
        def finished(values):
            seen.append(list(values))

        refine.loop(max_iterations=5, until=lambda *, loop: loop.result >= 3)
        finished(outputs[0])

    assert find_contradictions(DeclaredDag.of(dag)) == []
    assert Run(dag).state == "success"
    assert seen == [[1, 2, 3]]


def test_server_and_worker_agree_who_an_iteration_is():
    running = []
    with a_dag() as dag:

        @task_group
        def repeat():
            @task
            def count(*, loop, ti=None):
                running.append((ti.id, running_task.current().identity))
                return loop.index

            count()

        repeat.loop(max_iterations=3, until=lambda *, loop: loop.result >= 1)

    assert Run(dag).state == "success"
    with create_session() as session:
        found = [callers.find_caller(ti_id, session.connection()).identity for ti_id, _ in running]
    assert found == [identity for _, identity in running]
    assert [identity.map_index for identity in found] == [-1, -1]
