"""
A hardened API server on PostgreSQL, and task instances with their tokens; for ``benchmarks.stall``.

No scheduler runs: the tasks have ended, are set to running, and whoever holds their tokens asks in their names.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psutil

from airflow_provider_exclusive.compat.execution_api import mint_token
from airflow_provider_exclusive.crypto import keyring
from airflow_provider_exclusive.crypto.sealing import KEY_BYTES
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from stack.environment import airflow_environment, exclusive_options, server_options
from stack.postgres import postgres_server
from stack.processes import HOST, LeashedProcess, free_port, wait_until

DAG_ID: Final = "s"  # the shorter the ids, the longer the globs that fit into a row
CHILD: Final = "c"
LONG: Final = "a" * 240
"""The task that reads in vain and triggers: a glob takes as long as the id that it is compared with."""
WRITERS: Final = tuple(f"w{number}" for number in range(8))
MAPPED: Final = 8
"""How many instances the task has whose outputs are read as a list."""
_TOKEN_SECONDS: Final = 7200
_DAGS: Final = f"""
import datetime
from airflow.sdk import dag, task

def a_task(name, value=None):
    @task(task_id=name)
    def function(): return value
    return function()

@dag(schedule=None, start_date=datetime.datetime(2023, 1, 1))
def {DAG_ID}():
    a_task("plain", "x" * 64)
    task(lambda number: None).override(task_id="mapped").expand(number=list(range({MAPPED})))
    for name in ["honest", "friend", "{LONG}", {", ".join(map(repr, WRITERS))}]: a_task(name)

@dag(schedule=None, start_date=datetime.datetime(2023, 1, 1))
def {CHILD}():
    a_task("{LONG}")

{DAG_ID}()
{CHILD}()
"""


@dataclass(frozen=True)
class Task:
    """
    A task instance as whoever holds its token.

    :param token: for the execution API.
    """

    identity: TaskIdentity
    token: str


Find = Callable[[str, str], dict[str, Task]]
"""Returns the task instances of a run of a Dag, by task id and map index, all of them running."""


class Client:
    """
    One connection to the execution API that costs the machine little.

    :param address: host and port.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=120)

    def ask(self, method: str, path: str, by: Task, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        headers = {"Authorization": f"Bearer {by.token}", "Content-Type": "application/json"}
        try:
            self._connection.request(method, f"/execution{path}", body, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except BaseException:
            self._connection.close()
            raise

    def push(self, by: Task, key: str, row: Any) -> int:
        """Push a row as the task itself would, at its own coordinates, and return the status of the answer."""
        return self.ask("POST", path_of(by.identity, key), by, json.dumps(row).encode())[0]


def path_of(of: TaskIdentity, key: str) -> str:
    """Return the path of an XCom."""
    parts = (of.dag_id, of.run_id, of.task_id, key)
    query = f"?map_index={of.map_index}" if of.map_index >= 0 else ""
    return "/xcoms/" + "/".join(quote(part, safe="") for part in parts) + query


@dataclass(frozen=True)
class Hardened:
    """
    The running deployment.

    :param address: host and port of its API server.
    :param pid: of the API server.
    :param public_key: what its workers hold.
    """

    address: tuple[str, int]
    pid: int
    public_key: bytes
    find: Find
    run_id: str


@contextmanager
def hardened() -> Iterator[Hardened]:
    """Run the deployment for as long as the context lasts; this process becomes one of its workers."""
    raw = os.urandom(KEY_BYTES)
    public_key = keyring.PrivateKey.from_raw(raw).public
    with tempfile.TemporaryDirectory(prefix="exclusive-stall-") as name, postgres_server() as database:
        home, port = Path(name), free_port()
        prepare(home, {
            **airflow_environment(home, dags=home / "dags", database=database),
            **server_options(port),
            **exclusive_options({"public_key": keyring.format_key(public_key), "storage": (home / "store").as_uri()}),
            "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": str(_TOKEN_SECONDS),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        })  # fmt: skip
        run_id = run_dag()
        with api_server(home, port, keyring.format_key(raw)) as pid:
            yield Hardened((HOST, port), pid, public_key, find_tasks, run_id)


def prepare(home: Path, environment: dict[str, str]) -> None:
    """Make this process and its children use a separate Airflow in ``home``."""
    os.environ.clear()
    os.environ |= environment
    (home / "dags").mkdir()
    (home / "dags" / "stall.py").write_text(_DAGS, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)


def run_dag() -> str:
    """Store the Dags, run the first, and return its run id."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    bundles: Any = DagBundlesManager
    bundles().sync_bundles_to_db()
    bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    return str(bag.dags[DAG_ID].test().run_id)


def find_tasks(dag_id: str, run_id: str) -> dict[str, Task]:
    """See :data:`Find`."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    of_run = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    tasks = {}
    with create_session() as session:
        for one in session.scalars(select(TaskInstance).where(*of_run)):
            one.state = "running"
            identity = TaskIdentity(dag_id, run_id, one.task_id, one.map_index, str(one.id))
            index = f"[{one.map_index}]" if one.map_index >= 0 else ""
            tasks[f"{one.task_id}{index}"] = Task(identity, mint_token(one.id))
    return tasks


@contextmanager
def api_server(home: Path, port: int, private_key: str) -> Iterator[int]:
    """Run ``airflow api-server`` with the private key, and yield its process id once it answers."""
    log = home / "api-server.log"
    environment = {**os.environ, "AIRFLOW__EXCLUSIVE__PRIVATE_KEY": private_key}
    command = [sys.executable, "-m", "airflow", "api-server"]
    process = LeashedProcess("api-server", command, environment=environment, folder=home, log=log)
    try:
        wait_until(lambda: _answers((HOST, port)), servers=[process], timeout=120, what="the API server to answer")
        yield listener(port)
    finally:
        process.stop()


def listener(port: int) -> int:
    """Return the id of the process among the descendants of this one that listens on ``port``."""
    for child in psutil.Process().children(recursive=True):
        if any(one.laddr.port == port and one.status == psutil.CONN_LISTEN for one in child.net_connections()):
            return int(child.pid)
    raise LookupError(f"no process started from here listens on port {port}")


def _answers(address: tuple[str, int]) -> bool:
    connection = http.client.HTTPConnection(*address, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/execution/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False
