"""Tests of Dag authors: an empty folder, one test file, and pytest in a process of its own with the installed package."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stack.environment import clean_environment

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parent.parent.parent
TESTING = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
TEN_LINES, *_ = re.findall(r"^```py\n(.*?)^```", TESTING, flags=re.DOTALL | re.MULTILINE)
(PAGE,) = re.findall(r"^```python\n(.*?)^```", TESTING, flags=re.DOTALL | re.MULTILINE)

PAIR = """
from airflow.sdk import dag
from airflow_provider_exclusive import ExclusiveTriggerDagRunOperator, exclusive_input, exclusive_task
from airflow_provider_exclusive.testing import result_of, triggered_run

@dag(schedule=None)
def sales():
    @exclusive_task
    def extract():
        return [17, 25]
    ExclusiveTriggerDagRunOperator(
        task_id="hand_over", trigger_dag_id="reporting", exclusive_keys={"rows": extract()}, collect={"sum": "total"}
    )

@dag(schedule=None)
def reporting():
    @exclusive_task(consumers=["caller"])
    def total(rows):
        return sum(rows)
    total(exclusive_input("rows"))

parent, child = sales(), reporting()
"""

USE = """
def test_pair(exclusive_airflow):
    run = parent.test()
    assert result_of(run, "hand_over") == {"sum": 42}
    assert result_of(triggered_run(run, "hand_over", "reporting"), "total") == 42
"""


@pytest.fixture
def run_pytest(tmp_path):
    """Write files into an empty folder, run pytest there and return what it says."""

    def run_pytest(files, *options, expect=0, **variables):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content)
        environment = clean_environment() | {"HOME": str(tmp_path / "home"), "PYTHONPATH": ""} | variables
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        said = done.stdout + done.stderr
        assert done.returncode == expect, said
        return said

    return run_pytest


def test_ten_lines_in_an_empty_folder_are_a_test(run_pytest, tmp_path):
    assert len(list(filter(None, TEN_LINES.splitlines()))) <= 10

    said = run_pytest({"test_sales.py": TEN_LINES})

    assert "1 passed" in said
    assert not (tmp_path / "home" / "airflow").exists()


def test_the_page_shows_tests_that_pass(run_pytest):
    assert "2 passed" in run_pytest({"test_sales.py": PAGE})


def test_a_pair_in_one_file_runs(run_pytest):
    assert "1 passed" in run_pytest({"test_pair.py": PAIR + USE})


def test_a_pair_in_the_dags_folder_runs(run_pytest):
    test = PAIR.split("@dag", maxsplit=1)[0] + "from sales import parent\n" + USE

    assert "1 passed" in run_pytest({"dags/sales.py": PAIR, "test_pair.py": test}, PYTHONPATH="dags")


def test_the_developers_own_airflow_is_left_alone(run_pytest, tmp_path):
    own = tmp_path / "own"
    variables = {
        "AIRFLOW_HOME": str(own),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{own}/mine.db",
        "AIRFLOW__EXCLUSIVE__CONN_ID": "production",
    }

    assert "1 passed" in run_pytest({"test_sales.py": TEN_LINES}, **variables)
    assert not own.exists()


IMPORTING = "import airflow.configuration\n"


def test_airflow_that_was_imported_before_is_said(run_pytest, tmp_path):
    said = run_pytest({"conftest.py": IMPORTING, "test_sales.py": TEN_LINES}, expect=1)

    assert "a conftest.py or another test module imported Airflow" in said
    assert f"with the home {tmp_path}/home/airflow" in said
    assert "Write `exclusive_airflow = true` into pytest's configuration" in said


def test_the_option_sets_up_before_conftest(run_pytest):
    files = {"conftest.py": IMPORTING, "test_sales.py": TEN_LINES, "pytest.ini": "[pytest]\nexclusive_airflow = true\n"}

    assert "1 passed" in run_pytest(files)


def test_other_projects_notice_nothing(run_pytest):
    test = """
import os, sys
def test_nothing():
    assert not [name for name in sys.modules if name.partition(".")[0] in {"airflow", "redis", "msgpack"}]
    assert not [name for name in os.environ if name.startswith("AIRFLOW")]
"""
    assert "1 passed" in run_pytest({"test_nothing.py": test})
    # Nor does a test file beside one that names the fixture, if only the first is asked for.
    assert "1 passed" in run_pytest({"test_nothing.py": test, "test_sales.py": TEN_LINES}, "test_nothing.py")
