"""An API server with or without the plugin that reports how long its decisions took; for ``decision_cost``."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from stack.processes import free_port

PLUGIN = "airflow_provider_exclusive.plugins.exclusive"
TIMES = "/decision-times"
DECISIONS = "decision in the server"
STATEMENTS = "Airflow's own statement"


def serve(port: int, *, with_plugin: bool) -> None:
    """Run an API server until it is killed."""
    import uvicorn
    from airflow.api_fastapi.app import create_app

    app = create_app()
    if not with_plugin:
        app.user_middleware = [entry for entry in app.user_middleware if getattr(entry.cls, "__module__", "") != PLUGIN]
    keep_decision_times(app)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


def keep_decision_times(app: Any) -> None:
    """
    Replace a metrics server: a request to :data:`TIMES` returns what was measured since the last one.

    These are the times of the decisions, and of Airflow's own statement that finds the row of an XCom, in ms.
    """
    from airflow._shared.observability.metrics import stats
    from airflow._shared.observability.metrics.base_stats_logger import NoStatsLogger
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from airflow_provider_exclusive.server import metrics

    decisions: list[float] = []
    statements = keep_statement_times()

    class Keeper(NoStatsLogger):
        @classmethod
        def timing(cls, stat: str, dt: Any, **_: Any) -> None:
            if stat == metrics.DECISION:
                decisions.append(dt.total_seconds() * 1000)

    async def answer(_: Any) -> JSONResponse:
        # Here, because Airflow sets up its own metrics when the server starts.
        stats.initialize(factory=Keeper, export_legacy_names=False)
        kept = {DECISIONS: list(decisions), STATEMENTS: list(statements)}
        decisions.clear()
        statements.clear()
        return JSONResponse(kept)

    app.router.routes.insert(0, Route(TIMES, answer))


def keep_statement_times() -> list[float]:
    """Return a list that grows by the time, in ms, of each of Airflow's own database queries for an XCom."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    times: list[float] = []

    @event.listens_for(Engine, "before_cursor_execute")
    def begin(_con: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: Any) -> None:
        context.begun = time.perf_counter()

    @event.listens_for(Engine, "after_cursor_execute")
    def end(_con: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: Any) -> None:
        if "FROM xcom" in statement:
            times.append((time.perf_counter() - context.begun) * 1000)

    return times


@contextmanager
def api_server(*, with_plugin: bool) -> Iterator[httpx.Client]:
    """Run an API server in a separate process, and yield a client once it answers."""
    port = free_port()
    mode = "with" if with_plugin else "without"
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.decision_server", str(port), mode])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            while not is_up(client):
                time.sleep(0.2)
            yield client
    finally:
        process.kill()
        process.wait()


def is_up(client: httpx.Client) -> bool:
    """Return whether the server answers."""
    try:
        return client.get("/execution/health").is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    serve(int(sys.argv[1]), with_plugin=sys.argv[2] == "with")
