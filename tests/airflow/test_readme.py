"""The Dags in the README are sound and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag
from airflow_provider_exclusive.definitions.parse_check import find_contradictions
from airflow_provider_exclusive.format.reference import is_reference_row
from tests.airflow.running import Run

ROOT = Path(__file__).resolve().parent.parent.parent


def examples_in(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


EXAMPLES = examples_in("README.md")


@pytest.fixture
def read(tmp_path):
    """Read an example as Airflow reads a Dag file."""

    def read(source: str) -> DagBag:
        (tmp_path / "example.py").write_text(source, encoding="utf-8")
        return DagBag(tmp_path)

    return read


def test_what_the_first_example_calls_an_import_error_is_one(read):
    handed_over = EXAMPLES[0].replace('report(out["rows"])', 'report(out["days"])')
    assert handed_over != EXAMPLES[0]

    (message,) = read(handed_over).import_errors.values()

    assert "'report' takes key 'days' of task 'transform'" in message


@pytest.mark.parametrize("source", EXAMPLES)
def test_an_example_is_sound_and_runs_and_seals_its_outputs(read, source):
    bag = read(source)
    assert bag.import_errors == {}
    (dag,) = bag.dags.values()
    assert find_contradictions(DeclaredDag.of(dag)) == []

    run = Run(dag)

    assert run.state == "success"
    sealed = {task_id for (task_id, _, _), row in run.xcom_rows().items() if is_reference_row(row)}
    assert sealed
    assert sealed == {task.task_id for task in dag.tasks if task.downstream_task_ids}


def test_the_example_of_a_hand_over_is_sound(read):
    (source,) = examples_in("docs/hand-over.md")

    bag = read(source)

    assert bag.import_errors == {}
    assert set(bag.dags) == {"sales", "reporting"}
    assert [find_contradictions(DeclaredDag.of(dag)) for dag in bag.dags.values()] == [[], []]
    assert bag.dags["sales"].get_task("hand_over").upstream_task_ids == {"extract"}
