"""A real Airflow in a temporary folder: database, API server, scheduler, Dag processor, and an optional triggerer."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

from stack.api import AirflowApi
from stack.environment import airflow_environment, server_options
from stack.metadata import MetadataDatabase, XComRow
from stack.processes import HOST, LeashedProcess, ServerFailedError, free_port, wait_until

_COMMANDS: Final = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
_HEALTH_NAMES: Final = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}
_FINISHED: Final = frozenset({"success", "failed"})


def _silent(_: str) -> None:
    """Report no progress."""


@dataclass
class AirflowStack:
    """
    An Airflow that lives as long as its ``with`` block, and never longer than this process.

    :param dags: the folder of Dag files. Files added or changed later are read within a few seconds.
    :param environment: variables for every component, over a clean environment.
    :param components: variables for one component alone, by its name, such as ``"api-server"``.
    :param database: SQLAlchemy URL of an empty database; None is SQLite.
    :param triggerer: whether to run a triggerer, which deferred tasks need.
    :param progress: called with one line for each step of the start.
    """

    dags: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    components: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    database: str | None = None
    triggerer: bool = False
    progress: Callable[[str], None] = _silent

    home: Path = field(init=False)
    url: str = field(init=False)
    api: AirflowApi = field(init=False)
    metadata: MetadataDatabase = field(init=False)
    variables: dict[str, str] = field(init=False, repr=False)
    _servers: list[LeashedProcess] = field(init=False, default_factory=list)
    _cleanup: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, run_id: str | None = None) -> str:
        """Start a run of a Dag that has been parsed, and return its id."""
        chosen = run_id or f"manual__{uuid4().hex[:12]}"
        self.api.trigger(dag_id, run_id=chosen, conf=conf or {})
        return chosen

    def wait(self, dag_id: str, run_id: str, timeout: float = 120) -> str:
        """
        Return the final state of a run.

        :param timeout: seconds.
        :raises ServerFailedError: if the run takes longer or a component ends.
        """
        self._wait_until(lambda: self.api.run_state(dag_id, run_id) in _FINISHED, timeout, f"{dag_id} run {run_id}")
        return self.api.run_state(dag_id, run_id)

    def run(self, dag_id: str, conf: Mapping[str, Any] | None = None, timeout: float = 120) -> str:
        """Start a run, wait until it ends in any state, and return its id."""
        run_id = self.trigger(dag_id, conf)
        self.wait(dag_id, run_id, timeout)
        return run_id

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return the state of each task instance; a mapped one is called ``"task[0]"``."""
        return {
            task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else ""): task["state"]
            for task in self.api.task_instances(dag_id, run_id)
        }

    def clear(self, dag_id: str, run_id: str, task_ids: Sequence[str], *, downstream: bool = True) -> None:
        """Clear tasks, by default with all their downstream tasks, so that the scheduler re-runs them."""
        self.api.clear(dag_id, run_id, task_ids, downstream=downstream)

    def task_log(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
        """Return the content of Airflow's log files for a task instance, of all tries."""
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        if map_index >= 0:
            folder /= f"map_index={map_index}"
        return "\n".join(log.read_text(errors="replace") for log in sorted(folder.glob("attempt=*.log")))

    def log_entries(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[dict[str, Any]]:
        """Return the log of a task instance: what it printed is in ``event``, an error in ``error_detail``."""
        lines = self.task_log(dag_id, run_id, task_id, map_index).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def rendered_fields(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return what the UI shows as the rendered template fields of a task instance."""
        return self.api.rendered_fields(dag_id, run_id, task_id, map_index)

    def xcom_rows(self, *, dag_id: str | None = None, run_id: str | None = None) -> list[XComRow]:
        """Return the XComs as they are stored in the metadata database: all, or those of one Dag or run."""
        return self.metadata.xcom_rows(dag_id=dag_id, run_id=run_id)

    def import_errors(self) -> list[dict[str, Any]]:
        """Return the import errors, each with ``filename`` and ``stack_trace``."""
        return self.api.import_errors()

    def wait_for_dags(self, dag_ids: Collection[str], timeout: float = 60) -> None:
        """
        Wait until Dags have been parsed.

        :raises ServerFailedError: if that takes more than ``timeout`` seconds.
        """
        wanted = set(dag_ids)
        self._wait_until(
            lambda: wanted <= {dag["dag_id"] for dag in self.api.dags()}, timeout, f"Dags {sorted(wanted)}"
        )

    def restart(self, component: str, environment: Mapping[str, str] | None = None) -> None:
        """
        Restart a component and wait until it is healthy.

        :param environment: variables for it alone, instead of those in :attr:`components`; None keeps those.
        :raises ServerFailedError: if it does not become healthy.
        """
        (server,) = [server for server in self._servers if server.name == component]
        server.stop()
        self._servers.remove(server)
        self._launch(
            component, _COMMANDS[component], self.components.get(component) if environment is None else environment
        )
        self._await_health()

    def stop(self) -> None:
        """Stop every process and remove the temporary folder; safe to call twice."""
        self._cleanup.close()

    def _start(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="exclusive-stack-"))
        self._cleanup.callback(shutil.rmtree, self.home, ignore_errors=True)
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        base = airflow_environment(self.home, dags=self.dags, database=self.database)
        self.variables = {**base, **server_options(port), **self.environment}
        self.metadata = MetadataDatabase(self.variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
        self.api = AirflowApi(self.url)
        self._cleanup.callback(self.api.close)
        self._cleanup.callback(self._stop_servers)
        self._migrate()
        self._serve()
        self._await_dags()

    def _migrate(self) -> None:
        started = time.monotonic()
        self._launch("db migrate", ["db", "migrate"]).finish(timeout=120)
        self._servers.clear()
        self.progress(f"metadata database created ({time.monotonic() - started:.0f} s)")

    def _serve(self) -> None:
        started = time.monotonic()
        for name, command in _COMMANDS.items():
            if name != "triggerer" or self.triggerer:
                self._launch(name, command, self.components.get(name))
        self._await_health()
        self.api.log_in()
        names = ", ".join(server.name for server in self._servers)
        self.progress(f"{names} healthy ({time.monotonic() - started:.0f} s)")

    def _await_health(self) -> None:
        expected = [_HEALTH_NAMES[server.name] for server in self._servers if server.name in _HEALTH_NAMES]
        self._wait_until(lambda: self.api.is_healthy(expected), 120, "all components to be healthy")

    def _await_dags(self) -> None:
        self._wait_until(lambda: not self._unread_files(), 60, "the Dag files to be parsed")
        errors = self.api.import_errors()
        self.progress(f"{len(self.api.dags())} Dags parsed, {len(errors)} import errors")

    def _unread_files(self) -> set[Path]:
        """Return the Dag files, by the rule of Airflow's safe mode, that have neither Dags nor an import error yet."""
        texts = {path: path.read_text().lower() for path in self.dags.rglob("*.py")}
        files = {path for path, text in texts.items() if "dag" in text and "airflow" in text}
        read = {Path(dag["fileloc"]) for dag in self.api.dags()}
        return files - read - {self.dags / error["filename"] for error in self.api.import_errors()}

    def _launch(self, name: str, arguments: Sequence[str], own: Mapping[str, str] | None = None) -> LeashedProcess:
        server = LeashedProcess(
            name,
            [sys.executable, "-m", "airflow", *arguments],
            environment={**self.variables, **(own or {})},
            folder=self.home,
            log=self.home / f"{name.replace(' ', '-')}.log",
        )
        self._servers.append(server)
        return server

    def _stop_servers(self) -> None:
        for server in self._servers:
            server.let_go()
        for server in self._servers:
            server.stop()

    def _wait_until(self, ready: Callable[[], bool], timeout: float, what: str) -> None:
        wait_until(ready, servers=self._servers, timeout=timeout, what=what)


__all__ = ["AirflowStack", "ServerFailedError"]
