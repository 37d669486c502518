"""``python -m demo``: a real Airflow runs the example Dags; the exit code is 0 if everything is as expected."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console

from demo.examples import EXAMPLES
from demo.outcome import Outcome, judge, run_of
from demo.report import print_table
from stack.airflow import AirflowStack
from stack.environment import exclusive_options
from stack.processes import ServerFailedError, stop_on_sigterm
from stack.redis_server import redis_server

_DAGS: Final = Path(__file__).resolve().parent.parent / "example_dags"
_UNSATISFIED, _BROKEN, _INTERRUPTED = 1, 2, 130
_READABLE_WIDTH = 160


class Demonstration:
    """
    One run of the demonstration.

    :param store: ``"files"`` or ``"redis"``.
    :param keep: whether to leave the UI open until Ctrl-C.
    """

    def __init__(self, store: str, *, keep: bool) -> None:
        self._store = store
        self._keep = keep
        self._started = time.monotonic()
        self._console = Console()
        if not self._console.is_terminal:
            self._console = Console(width=_READABLE_WIDTH)

    def show(self) -> int:
        """
        Start everything, run the Dags, print the table, stop everything.

        :return: the exit code.
        :raises ServerFailedError: if a server fails or a run takes too long.
        """
        with ExitStack() as servers:
            environment = self._start_store(servers)
            stack = servers.enter_context(AirflowStack(_DAGS, environment=environment, progress=self._say))
            outcomes = self._run_examples(stack)
            print_table(self._console, stack, outcomes)
            code = self._conclude(outcomes)
            if self._keep:
                self._leave_open(stack.url)
        self._say("everything is stopped and removed")
        return code

    def _start_store(self, servers: ExitStack) -> Mapping[str, str]:
        if self._store != "redis":
            self._say("store: files below the temporary AIRFLOW_HOME, the default")
            return exclusive_options({})
        server = servers.enter_context(redis_server())
        self._say(f"store: a redis-server on port {server.port}")
        return {**exclusive_options({"conn_id": "exclusive_demo"}), "AIRFLOW_CONN_EXCLUSIVE_DEMO": server.connection}

    def _run_examples(self, stack: AirflowStack) -> list[Outcome]:
        if errors := stack.import_errors():
            raise ServerFailedError("\n".join(f"{error['filename']}:\n{error['stack_trace']}" for error in errors))
        started = {one.dag_id: stack.trigger(one.dag_id) for one in EXAMPLES if not one.triggered_by}
        self._say(f"running {', '.join(started)}")
        outcomes = []
        for example in EXAMPLES:
            run_id = run_of(stack, example, started[example.triggered_by or example.dag_id])
            stack.wait(example.dag_id, run_id)
            tasks = ", ".join(f"{task} {state}" for task, state in stack.task_states(example.dag_id, run_id).items())
            self._say(f"{example.dag_id}: {tasks}")
            outcomes.append(judge(stack, example, run_id))
        return outcomes

    def _conclude(self, outcomes: list[Outcome]) -> int:
        faults = [fault for outcome in outcomes for fault in outcome.faults]
        for fault in faults:
            self._console.print(f"FAILED: {fault}", style="red", markup=False)
        if faults:
            return _UNSATISFIED
        self._console.print(
            "OK: every value arrived intact at its consumers, and the intruder was refused (its task fails by design).",
            style="green",
        )
        return 0

    def _leave_open(self, url: str) -> None:
        self._console.print(f"Airflow is at {url} (everybody is an administrator). Ctrl-C ends it.")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            self._say("stopping")

    def _say(self, line: str) -> None:
        self._console.print(f"[{time.monotonic() - self._started:4.0f} s] {line}", markup=False, highlight=False)


def main(arguments: list[str]) -> int:
    """Run the demonstration; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="A real Airflow runs the example Dags.")
    parser.add_argument("--store", choices=("files", "redis"), default="files", help="where payloads are stored")
    parser.add_argument("--keep", action="store_true", help="leave the UI open until Ctrl-C")
    options = parser.parse_args(arguments)
    with stop_on_sigterm():
        try:
            return Demonstration(options.store, keep=options.keep).show()
        except ServerFailedError as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return _BROKEN
        except KeyboardInterrupt:
            print("Interrupted; everything is stopped and removed.", file=sys.stderr)
            return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
