"""One Airflow per backend: PostgreSQL, API server, scheduler with LocalExecutor, Dag processor, and Redis if needed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psutil

from airflow_provider_exclusive.crypto import keyring
from airflow_provider_exclusive.crypto.sealing import KEY_BYTES
from benchmarks.floor import socket_server
from benchmarks.probe import Order
from benchmarks.results import read_results
from stack.airflow import AirflowStack, ServerFailedError
from stack.environment import exclusive_options
from stack.postgres import postgres_server
from stack.processes import HOST, wait_until
from stack.redis_server import RedisServer, redis_server

ROOT: Final = Path(__file__).resolve().parent.parent
BACKENDS: Final = {
    "b": "common.io, files",
    "c": "plain Redis",
    "d": "exclusive, files",
    "e": "exclusive, Redis, hardened",
}
_PARALLELISM: Final = 36
_OFFLOAD_BYTES: Final = 1000  # near [exclusive] inline_bytes, so that both store about the same values in the row
_PATIENCE_SECONDS: Final = 1800.0
_LOOKS: Final = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """A running Airflow with one backend, and what its tasks need to measure."""

    letter: str
    stack: AirflowStack
    folder: Path
    floor_port: int
    api_server: list[int]
    say: Say

    def order(self, name: str, **wishes: Any) -> Order:
        """Return an order whose results are written to a new folder."""
        results = self.folder / name
        results.mkdir(exist_ok=True)
        return Order(str(results), floor_port=self.floor_port, api_server=self.api_server, **wishes)

    def run(self, dag_id: str, order: Order, *, expected: int) -> dict[str, Any]:
        """
        Run a Dag once; see :meth:`wait`.

        :param expected: how many result files its tasks write.
        """
        run_id = self.stack.trigger(dag_id, order.conf())
        return self.wait(dag_id, [run_id], order, expected=expected)

    def wait(self, dag_id: str, run_ids: list[str], order: Order, *, expected: int) -> dict[str, Any]:
        """
        Wait for the results of runs and for their ends, and return the results by name.

        It queries the API server as rarely as possible, because that would disturb the measurement.

        :raises ServerFailedError: if a run fails.
        """
        deadline, look = time.monotonic() + _PATIENCE_SECONDS, time.monotonic() + _LOOKS
        while len(read_results(order.results)) < expected and time.monotonic() < deadline:
            time.sleep(0.1)
            if time.monotonic() > look:
                if any(self.stack.api.run_state(dag_id, run_id) == "failed" for run_id in run_ids):
                    break
                look = time.monotonic() + _LOOKS
        for run_id in run_ids:
            if self.stack.wait(dag_id, run_id) != "success":
                raise ServerFailedError(self._failure(dag_id, run_id))
        return read_results(order.results)

    def query(self, statement: str) -> dict[str, Any]:
        """Query the metadata database for one row; ``{xcom}`` in the statement stands for the XCom table."""
        table = "xcom_v2" if self.stack.metadata.query("SELECT to_regclass('xcom_v2') AS name")[0]["name"] else "xcom"
        return self.stack.metadata.query(statement.format(xcom=table))[0]

    def push_mapped(self, dag_id: str, run_id: str, count: int) -> None:
        """
        Push the outputs of :mod:`benchmarks.mapped_outputs` once the scheduler has created their task instances.

        :raises ServerFailedError: if it does not create them, or the outputs cannot be pushed.
        """
        made = f"SELECT count(*) AS made FROM task_instance WHERE run_id = '{run_id}' AND state = 'success'"
        wait_until(lambda: self.query(made)["made"] >= count, servers=(), timeout=900, what=f"{count} task instances")
        environment = {**self.stack.variables, **self.stack.components.get("api-server", {})}
        command = [sys.executable, "-m", "benchmarks.mapped_outputs", dag_id, run_id, self.stack.url]
        pushed = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if pushed.returncode:
            raise ServerFailedError(f"The outputs of {dag_id} could not be pushed:\n{pushed.stderr[-2000:]}")

    def _failure(self, dag_id: str, run_id: str) -> str:
        states = self.stack.task_states(dag_id, run_id)
        lines = [f"Run {run_id} of Dag {dag_id} failed: {states}"]
        for name in (name for name, state in states.items() if state == "failed"):
            task_id, _, index = name.rstrip("]").partition("[")
            errors = self.stack.log_entries(dag_id, run_id, task_id, int(index) if index else -1)
            lines += [
                f"{name}: {error['exc_type']}: {error['exc_value']}"
                for entry in errors
                for error in entry.get("error_detail", [])
            ]
        return "\n".join(lines)


@contextmanager
def running(letter: str, say: Say) -> Iterator[Bench]:
    """Run the Airflow of one backend for as long as the context lasts."""
    with ExitStack() as parts:
        folder = Path(parts.enter_context(TemporaryDirectory(prefix="exclusive-bench-")))
        environment, components = _BUILDERS[letter](folder, parts)
        environment |= {
            "AIRFLOW__CORE__PARALLELISM": str(_PARALLELISM),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }
        database = parts.enter_context(postgres_server())
        stack = parts.enter_context(
            AirflowStack(
                ROOT / "benchmarks" / "dags", environment, components=components, database=database, progress=say
            )
        )
        if errors := stack.import_errors():
            raise ServerFailedError("\n".join(error["stack_trace"] for error in errors))
        yield Bench(letter, stack, folder, parts.enter_context(socket_server()), _api_server(), say)


def _object_storage(folder: Path, _: ExitStack) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    store = folder / "common-io"
    store.mkdir()
    return {
        "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": store.as_uri(),
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": str(_OFFLOAD_BYTES),
    }, {}


def _plain_redis(_: Path, parts: ExitStack) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    from benchmarks.plain_redis_backend import URL_VARIABLE

    server = parts.enter_context(redis_server())
    return {
        "AIRFLOW__CORE__XCOM_BACKEND": "benchmarks.plain_redis_backend.PlainRedisXComBackend",
        URL_VARIABLE: f"redis://:{server.password}@{HOST}:{server.port}/0",
    }, {}


def _files(folder: Path, _: ExitStack) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    return exclusive_options({"storage": (folder / "exclusive").as_uri()}), {}


def _hardened_redis(_: Path, parts: ExitStack) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return an environment in which the API server alone holds the private key."""
    server: RedisServer = parts.enter_context(redis_server())
    raw = os.urandom(KEY_BYTES)
    public = keyring.format_key(keyring.PrivateKey.from_raw(raw).public)
    options = exclusive_options({"conn_id": "exclusive_bench", "public_key": public})
    private = {"AIRFLOW__EXCLUSIVE__PRIVATE_KEY": keyring.format_key(raw)}
    return {**options, "AIRFLOW_CONN_EXCLUSIVE_BENCH": server.connection}, {"api-server": private}


_BUILDERS: Final = {"b": _object_storage, "c": _plain_redis, "d": _files, "e": _hardened_redis}


def _api_server() -> list[int]:
    """Return the ids of the processes of the one API server that this process runs."""
    children = psutil.Process().children(recursive=True)
    names = {child.pid: " ".join(child.cmdline()).replace("_", "-") for child in children}
    if found := [pid for pid, name in names.items() if "api-server" in name]:
        return found
    raise ServerFailedError(f"No API server among the processes {sorted(names.values())}.")
