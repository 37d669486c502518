"""Loops came with Airflow 3.4: each iteration has outputs of its own, and the next iteration and the gate read them."""

from __future__ import annotations

import pytest
from airflow.sdk import task, task_group

from airflow_provider_exclusive import exclusive_task
from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag
from airflow_provider_exclusive.definitions.parse_check import find_contradictions
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
