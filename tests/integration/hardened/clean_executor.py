"""
An executor whose tasks hold no secret of the deployment: ``[core] executor = clean_executor.CleanExecutor``.

It hands each workload to one worker process, which it starts with nothing but the variables below. That process is
executed, not forked, so neither its environment nor its memory ever held what the scheduler holds.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from itertools import count
from pathlib import Path

from airflow.executors.base_executor import BaseExecutor
from airflow.utils.state import TaskInstanceState

PASSED_ON = frozenset(
    {
        "HOME",
        "LANG",
        "LC_ALL",
        "NO_PROXY",
        "PATH",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "TZ",
        "AIRFLOW__CORE__DAGS_FOLDER",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW__CORE__PARALLELISM",
        "AIRFLOW__CORE__XCOM_BACKEND",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH",
        "AIRFLOW__EXCLUSIVE__CONN_ID",
        "AIRFLOW__EXCLUSIVE__INLINE_BYTES",
        "AIRFLOW__EXCLUSIVE__PUBLIC_KEY",
        "AIRFLOW__EXCLUSIVE__STORAGE",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
    }
)
"""All that a worker learns from the scheduler's environment."""


class CleanExecutor(BaseExecutor):
    """Runs tasks in forks of a worker process with an environment of its own."""

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._worker = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("clean_worker.py")), str(self.parallelism)],
                stdin=theirs,
                env=_environment(),
            )
        ours.setblocking(False)
        self._channel = ours
        self._unread = b""
        self._numbers = map(str, count())
        self._sent: dict[str, object] = {}
        self._dispatched: Counter[object] = Counter()

    def _process_workloads(self, workload_items) -> None:
        for workload in workload_items:
            key = self.get_workload_key(workload) if hasattr(self, "get_workload_key") else workload.key
            del self.queued_tasks[key]
            self._sent[number := next(self._numbers)] = key
            self.running.add(key)
            self._dispatched[key] += 1
            self._channel.setblocking(True)
            self._channel.sendall(f"{number} {workload.model_dump_json()}\n".encode())
            self._channel.setblocking(False)

    def sync(self) -> None:
        try:
            self._unread += self._channel.recv(65536)
        except BlockingIOError:
            return
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            number, exit_code = json.loads(line)
            key = self._sent.pop(number)
            # A deferred task can be back before the process of its first half is gone; both have the same key.
            self._dispatched[key] -= 1
            state = TaskInstanceState.FAILED if exit_code else TaskInstanceState.SUCCESS
            self.change_state(key, state, remove_running=not self._dispatched[key])

    def end(self) -> None:
        self._channel.shutdown(socket.SHUT_WR)
        self._worker.wait()

    def terminate(self) -> None:
        self._worker.terminate()


def _environment() -> dict[str, str]:
    passed_on = {name: value for name, value in os.environ.items() if name in PASSED_ON}
    home = Path(os.environ["AIRFLOW_HOME"]) / "worker"
    home.mkdir(exist_ok=True)
    return {**passed_on, "AIRFLOW_HOME": str(home)}
