"""
A real Airflow for every test in this folder: API server, scheduler, Dag processor and triggerer on PostgreSQL.

``airflow`` is one :class:`stack.airflow.AirflowStack` for the whole session, with this package's backend and the files
driver switched on; starting it takes about half a minute. It serves ``example_dags/*.py`` and every file in
``tests/integration/dags/``: to test something end to end, put a Dag file there and write::

    def test_something_is_sealed(airflow):
        run_id = airflow.run("my_dag", conf={"size": 3})          # triggers and waits for the end, whatever it be
        assert airflow.task_states("my_dag", run_id) == {"extract": "success", "load": "success"}
        (row,) = airflow.xcom_rows(dag_id="my_dag", run_id=run_id)  # as it lies in the metadata database
        assert "__exclusive__" in row.value
        events = [entry["event"] for entry in airflow.log_entries("my_dag", run_id, "load")]  # also what it printed
        assert "3 rows" in events

``airflow.clear(…)`` and ``airflow.wait(…)`` rerun tasks; ``airflow.metadata`` reads and edits rows as an attacker with
database access would; ``airflow.home / "exclusive"`` is the store. A Dag file that must *not* import goes into
``tests/integration/broken_dags/`` and is tested with a stack of its own or by parsing.

``airflow_home`` is an empty SQLite Airflow without servers, for ``dag.test()`` and the CLI in subprocesses.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from stack.airflow import AirflowStack
from stack.environment import airflow_environment, exclusive_options
from stack.postgres import postgres_server

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "example_dags"


class FolderScheduling(LoadScopeScheduling):
    """Gives all tests of a folder to one process, because they share an Airflow."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0].rpartition("/")[0]


# Marks for `--dist loadgroup` would do the same, but xdist 3.8 does not see them under pytest 9.2.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log) -> FolderScheduling:
    return FolderScheduling(config, log)


@pytest.fixture(scope="session")
def dags_folder(tmp_path_factory) -> Path:
    """All Dag files of the session in one folder; a test may add one and ``airflow.wait_for_dags({"its id"})``."""
    folder = tmp_path_factory.mktemp("dags")
    for path in [*EXAMPLES.glob("*.py"), *(Path(__file__).parent / "dags").glob("*.py")]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="session")
def airflow(dags_folder) -> Iterator[AirflowStack]:
    """The running Airflow; see above."""
    with (
        postgres_server() as database,
        AirflowStack(
            dags_folder, database=database, triggerer=True, environment=exclusive_options({}), progress=print
        ) as stack,
    ):
        assert stack.import_errors() == []
        yield stack


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory, dags_folder) -> dict[str, str]:
    """The environment of an Airflow on SQLite that nobody serves, with the backend switched on."""
    environment = airflow_environment(tmp_path_factory.mktemp("airflow-home"), dags=dags_folder) | exclusive_options({})
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, check=True, env=environment, capture_output=True)
    return environment
