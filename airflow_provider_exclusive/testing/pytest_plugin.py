"""
A pytest plugin with the fixture ``exclusive_airflow``: an Airflow of its own for ``dag.test()``.

pytest loads this module wherever the package is installed, so it imports nothing of Airflow and changes nothing until a
test module names the fixture. Airflow reads its configuration while it is imported, so the environment is set just
before pytest imports that module, or, with ``exclusive_airflow = true`` in pytest's configuration, before every
``conftest.py``.
"""

from __future__ import annotations

import ast
import base64
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

_NAME: Final = "exclusive_airflow"
# What would lead a test to another database, key or store. Everything else is the user's to set.
_REPLACED: Final = (
    "AIRFLOW_CONFIG",
    "AIRFLOW__DATABASE__",
    "AIRFLOW__DAG_PROCESSOR__",
    "AIRFLOW__EXCLUSIVE__CONN_ID",
    "AIRFLOW__EXCLUSIVE__STORAGE",
    "AIRFLOW__EXCLUSIVE__PUBLIC_KEY",
    "AIRFLOW__EXCLUSIVE__PRIVATE_KEY",
)

_home: Final[pytest.StashKey[Path]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that sets up Airflow before every ``conftest.py``."""
    parser.addini(_NAME, "set up the Airflow of the fixture exclusive_airflow at once", type="bool", default=False)


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Set the environment before any ``conftest.py`` can import Airflow."""
    if early_config.getini(_NAME):
        _prepare(early_config)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Set the environment before pytest imports the first test module that names the fixture."""
    if isinstance(collector, pytest.Module) and _names_fixture(collector.path.read_text("utf-8", errors="replace")):
        _prepare(collector.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the home."""
    if _home in config.stash:
        shutil.rmtree(config.stash[_home], ignore_errors=True)


@pytest.fixture(scope="session")
def exclusive_airflow(pytestconfig: pytest.Config) -> Iterator[Path]:
    """
    Set up what ``dag.test()`` needs: a home, a migrated SQLite database, the Dags folder, the XCom backend and a store.

    Dags need not be in the Dags folder, which is ``dags`` in pytest's root directory unless
    ``AIRFLOW__CORE__DAGS_FOLDER`` names another one. The value is the home, which is removed when pytest ends.
    """
    home = _require_home(pytestconfig)
    migration = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], capture_output=True, text=True, check=False
    )
    if migration.returncode:
        pytest.fail(f"`airflow db migrate` failed:\n{migration.stdout}{migration.stderr}", pytrace=False)
    from airflow.sdk import DAG

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DAG, "test", _adding(DAG.test))
        yield home


def _names_fixture(source: str) -> bool:
    """Return whether the fixture is an argument in a module, or a string of its own as for ``usefixtures``."""
    if _NAME not in source:
        return False
    try:
        nodes = ast.walk(ast.parse(source))
    except SyntaxError:  # pytest reports it when it imports the module
        return False
    return any(_NAME in (getattr(node, "arg", None), getattr(node, "value", None)) for node in nodes)


def _prepare(config: pytest.Config) -> None:
    if _home in config.stash or _imported_home() is not None:
        return
    home = config.stash[_home] = Path(tempfile.mkdtemp(prefix="exclusive-airflow-"))
    for name in [name for name in os.environ if name.startswith(_REPLACED)]:
        del os.environ[name]
    dags = config.rootpath / "dags"
    os.environ.setdefault("AIRFLOW__CORE__DAGS_FOLDER", str(dags if dags.is_dir() else home / "dags"))
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__XCOM_BACKEND": "airflow_provider_exclusive.xcom.backend.ExclusiveXComBackend",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__EXCLUSIVE__PRIVATE_KEY": base64.b64encode(os.urandom(32)).decode(),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }
    Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).mkdir(parents=True, exist_ok=True)


def _imported_home() -> str | None:
    """Return the home with which Airflow was imported; None if it was not imported yet."""
    configuration = sys.modules.get("airflow.configuration")
    if configuration is not None:
        return str(configuration.AIRFLOW_HOME)
    return os.environ.get("AIRFLOW_HOME", "~/airflow") if "airflow.sdk" in sys.modules else None


def _require_home(config: pytest.Config) -> Path:
    if _home not in config.stash:
        pytest.fail(
            f"The fixture {_NAME} cannot set up its Airflow: before pytest came to the first test module that names "
            "the fixture, a conftest.py or another test module imported Airflow, with the home "
            f"{_imported_home()}. Write `{_NAME} = true` into pytest's configuration (section [pytest] of pytest.ini, "
            "or [tool.pytest.ini_options] of pyproject.toml), so that it is set up first.",
            pytrace=False,
        )
    return config.stash[_home]


def _adding(test: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``DAG.test`` for Dags that are defined in a test, which no Dag bundle holds."""
    from airflow_provider_exclusive.compat import dag_test

    @functools.wraps(test)
    def add_and_test(dag: Any, *args: Any, **kwargs: Any) -> Any:
        for one in dag_test.dags_beside(dag):
            if not dag_test.is_in_bundle(one):
                dag_test.add_dag(one)
        return test(dag, *args, **kwargs)

    return add_and_test
