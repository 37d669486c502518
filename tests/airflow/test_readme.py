"""The Dags in README and docs are sound and run, and the README shows the refusal that a reader gets."""

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
README = (ROOT / "README.md").read_text(encoding="utf-8")


def examples_in(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


EXAMPLES = [*examples_in("README.md"), *examples_in("docs/scopes.md")]


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


def test_a_denied_reader_gets_the_refusal_that_the_readme_shows(read, tmp_path):
    (call,) = re.findall(r"`(ti\.xcom_pull\(.*\))`", README)
    (shown,) = re.findall(r"^```text\n(.*?)\n```", README, flags=re.DOTALL | re.MULTILINE)
    said = tmp_path / "said.txt"
    pulling = EXAMPLES[0].replace(
        "def report(rows): ...",
        f"""def report(rows, ti):
        try:
            {call}
        except Exception as error:
            __import__("pathlib").Path({str(said)!r}).write_text(f"{{type(error).__name__}}: {{error}}")
            raise
        """,
    )
    (dag,) = read(pulling).dags.values()

    run = Run(dag)

    assert (run.states["load"], run.states["report"]) == ("success", "failed")
    message = said.read_text(encoding="utf-8").replace(run.run_id, "…")
    assert message.replace(str(tmp_path / "example.py"), "sales.py") == shown


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
