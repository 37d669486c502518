"""
An Airflow whose workers hold no secret: the private key is with the API server alone, as in a hardened deployment.

``hardened`` is one :class:`stack.airflow.AirflowStack` for the session, on PostgreSQL, with ``clean_executor`` in place of
the LocalExecutor. It serves every file in ``tests/integration/hardened/dags/``. Tests that stop or restart a part of it
put it right again. The runs that several tests look at are fixtures, too.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_exclusive.crypto import keyring
from stack.airflow import AirflowStack
from stack.environment import exclusive_options
from stack.postgres import postgres_server
from tests.runs import assert_succeeded

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class KeyPair:
    """The key pair of the deployment, as configuration holds it."""

    private: str
    public: str

    @classmethod
    def new(cls) -> KeyPair:
        raw = os.urandom(keyring.KEY_BYTES)
        return cls(keyring.format_key(raw), keyring.format_key(keyring.PrivateKey.from_raw(raw).public))


@pytest.fixture(scope="session")
def canary() -> str:
    """The end of every confidential value of these Dags; no Dag file holds it in one piece."""
    return "-of-the-mine"


@pytest.fixture(scope="session")
def key_pair() -> KeyPair:
    return KeyPair.new()


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory) -> Path:
    """The directory in which workers keep their sealed payloads."""
    return tmp_path_factory.mktemp("shared-store")


@pytest.fixture(scope="session")
def hardened(tmp_path_factory, key_pair, shared_store) -> Iterator[AirflowStack]:
    """The running Airflow; see above."""
    dags = tmp_path_factory.mktemp("hardened-dags")
    for path in (HERE / "dags").glob("*.py"):
        shutil.copy(path, dags)
    environment = {
        **exclusive_options({"public_key": key_pair.public, "storage": shared_store.as_uri(), "audit": "all"}),
        "AIRFLOW__CORE__EXECUTOR": "clean_executor.CleanExecutor",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
    }
    components = {"api-server": {"AIRFLOW__EXCLUSIVE__PRIVATE_KEY": key_pair.private}}
    with (
        postgres_server() as database,
        AirflowStack(
            dags, environment=environment, components=components, database=database, triggerer=True, progress=print
        ) as stack,
    ):
        assert stack.import_errors() == []
        yield stack


def printed_json(stack: AirflowStack, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[dict]:
    """What a task printed as lines of JSON, in all its tries."""
    events = [str(entry.get("event")) for entry in stack.log_entries(dag_id, run_id, task_id, map_index)]
    return [json.loads(event) for event in events if event.startswith("{")]


@pytest.fixture(scope="session")
def printed(hardened):
    """``printed(dag_id, run_id, task_id)``: see :func:`printed_json`."""

    def of(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[dict]:
        return printed_json(hardened, dag_id, run_id, task_id, map_index)

    return of


@pytest.fixture(scope="session")
def errors_of(hardened):
    """``errors_of(dag_id, run_id, task_id)``: the errors in a task's log, as ``Type: message`` lines."""

    def of(dag_id: str, run_id: str, task_id: str) -> str:
        return "\n".join(
            f"{error['exc_type']}: {error['exc_value']}"
            for entry in hardened.log_entries(dag_id, run_id, task_id)
            for error in entry.get("error_detail", [])
        )

    return of


@pytest.fixture(scope="session")
def readers_run(hardened) -> str:
    """A finished run of ``readers``, in which every task succeeded."""
    run_id = hardened.run("readers", timeout=180)
    assert_succeeded(hardened, "readers", run_id)
    return run_id


@pytest.fixture(scope="session")
def callbacks_run(hardened) -> str:
    """A finished run of ``callbacks``, in which two tasks failed on purpose."""
    return hardened.run("callbacks")


@dataclass(frozen=True)
class Intrusion:
    """
    What intruders attempted against one run.

    :param run_id: the run of ``confidences`` that they attacked.
    :param before: its XComs before they did; those of the intruder itself left out.
    :param after: the same afterwards.
    :param attempts: by intruder, then by the name of the attempt: ``outcome``, ``status`` and ``detail``.
    """

    run_id: str
    before: list
    after: list
    attempts: dict[str, dict[str, dict]]


@pytest.fixture(scope="session")
def intrusion(hardened) -> Intrusion:
    """An intruder in the same run, one in another run of the same Dag and one in another Dag have had their way."""
    run_id = hardened.run("confidences")
    assert_succeeded(hardened, "confidences", run_id)
    before = rows_of_victims(hardened, run_id)
    hardened.clear("confidences", run_id, ["intruder"], downstream=False)
    hardened.wait("confidences", run_id)
    other_run = hardened.run("confidences", conf={"victim_run": run_id})
    strange_run = hardened.run("strangers", conf={"victim_run": run_id})
    intruders = {
        "the same run": ("confidences", run_id),
        "another run": ("confidences", other_run),
        "another Dag": ("strangers", strange_run),
    }
    attempts = {
        name: {attempt["name"]: attempt for attempt in printed_json(hardened, dag_id, run, "intruder")}
        for name, (dag_id, run) in intruders.items()
    }
    return Intrusion(run_id, before, rows_of_victims(hardened, run_id), attempts)


def rows_of_victims(stack: AirflowStack, run_id: str) -> list:
    return [row for row in stack.xcom_rows(dag_id="confidences", run_id=run_id) if row.task_id != "intruder"]
