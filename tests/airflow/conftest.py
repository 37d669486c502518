"""
Tests in this folder run Dags by ``dag.test()`` inside the test process, with the backend configured.

Airflow reads its environment when it is imported, so it is set here, before any test module is.
"""

from __future__ import annotations

import atexit
import base64
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

# Each of these keeps one process busy for longer than half of the other files together.
_STARTED_FIRST = ("test_decision_table.py", "test_hand_over_attacks.py")
_HERE = Path(__file__).parent
_HOME = Path(tempfile.mkdtemp(prefix="exclusive-airflow-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": str(_HOME),
    "AIRFLOW__CORE__XCOM_BACKEND": "airflow_provider_exclusive.xcom.backend.ExclusiveXComBackend",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
    "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__CORE__DAGS_FOLDER": str(_HOME / "dags"),
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(_HOME / "logs"),
}


(_HOME / "dags").mkdir()


@event.listens_for(Engine, "connect")
def _do_not_wait_for_the_disk(connection, _) -> None:
    """Nothing here has to survive a crash; every database of these tests is SQLite."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.close()


def pytest_collection_modifyitems(items) -> None:
    """Start the longest files first, so that at the end no process works alone."""
    items.sort(key=lambda item: item.path.parent != _HERE or item.path.name not in _STARTED_FIRST)


@pytest.fixture(scope="session", autouse=True)
def metadata_database():
    """An Airflow home with a migrated SQLite database, removed when this process ends."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    return _HOME


@pytest.fixture(scope="module", autouse=True)
def own_trigger_route():
    """After a module that attached the plugin to an API server in this process, dag.test() has Airflow's own route."""
    yield
    from airflow.api_fastapi.execution_api.routes import dag_runs

    from airflow_provider_exclusive.compat import replace

    replaced = dag_runs.trigger_dag_run
    replaced.__code__ = replace.original_of(replaced).__code__
    vars(replaced).pop(replace._MARK, None)
