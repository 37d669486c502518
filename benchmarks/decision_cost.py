"""
What the plugin costs the API server: a plain read, and an exclusive one that is decided and opened there.

Usage: ``python -m benchmarks.decision_cost [--reads 400]`` in the folder of this repository, with Airflow, psycopg2 and
PostgreSQL's programs installed; needs no server beforehand. Two API servers on one PostgreSQL, one with the plugin and
one without, answer the same reads of the same task in turn over loopback. Then eight readers at once read the exclusive
value, each again and again after a pause. Prints medians and 99th percentiles in ms: of whole requests as the client
sees them, and of the decision as the server's own timer (``exclusive.decision`` of Airflow's metrics) sees it.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from demo.postgres import postgres_server
from demo.processes import free_port

WARM_UP = 30
READERS = 8
PAUSE_SECONDS = 0.1  # without one, readers wait for the server's only event loop, and for nothing else
PLUGIN = "airflow_provider_exclusive.plugins.exclusive"
TIMES = "/decision-times"
DAG = """
import datetime
from airflow.sdk import dag, task
from airflow_provider_exclusive import exclusive_task

@dag(schedule=None, start_date=datetime.datetime(2023, 1, 1))
def cost():
    @exclusive_task(consumers=["reader"])
    def exclusive(): return "x" * 2000
    @task
    def plain(): return {"padding": "x" * 700}
    @task
    def reader(): ...
    [exclusive(), plain()] >> reader()

cost()
"""


def prepare(home: Path, database: str) -> None:
    """Make this process and its children use an Airflow of their own in ``home``, on ``database``."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CORE__XCOM_BACKEND": "airflow_provider_exclusive.xcom.backend.ExclusiveXComBackend",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    (home / "dags").mkdir()
    (home / "dags" / "cost.py").write_text(DAG, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)


def run_dag() -> tuple[str, str]:
    """Run the Dag once; return its run id and a token of its reader, which is then set to running."""
    from airflow.api_fastapi.execution_api import app
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    run = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder").dags["cost"].test()
    with create_session() as session:
        reader = session.scalars(select(TaskInstance).where(TaskInstance.task_id == "reader")).one()
        reader.state = "running"
        generator: Any = app._jwt_generator  # noqa: SLF001  # Airflow's own way to sign a token; it has no public one
        return str(run.run_id), generator().generate({"sub": str(reader.id), "scope": "execution"})


def serve(port: int, *, with_plugin: bool) -> None:
    """Be an API server until killed."""
    import uvicorn
    from airflow.api_fastapi.app import create_app

    app = create_app()
    if not with_plugin:
        app.user_middleware = [entry for entry in app.user_middleware if getattr(entry.cls, "__module__", "") != PLUGIN]
    keep_decision_times(app)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


def keep_decision_times(app: Any) -> None:
    """Take the place of a metrics server: :data:`TIMES` answers the times of the decisions since it was last asked."""
    from airflow._shared.observability.metrics import stats
    from airflow._shared.observability.metrics.base_stats_logger import NoStatsLogger
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from airflow_provider_exclusive.server import metrics

    times: list[float] = []

    class Keeper(NoStatsLogger):
        @classmethod
        def timing(cls, stat: str, dt: Any, **_: Any) -> None:
            if stat == metrics.DECISION:
                times.append(dt.total_seconds() * 1000)

    async def answer(_: Any) -> JSONResponse:
        # Here, because Airflow sets up its own metrics when the server starts.
        stats.initialize(factory=Keeper, export_legacy_names=False)
        kept = list(times)
        times.clear()
        return JSONResponse(kept)

    app.router.routes.insert(0, Route(TIMES, answer))


@contextmanager
def api_server(*, with_plugin: bool) -> Iterator[httpx.Client]:
    """A client of an API server in a process of its own, once that answers."""
    port = free_port()
    mode = "with" if with_plugin else "without"
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.decision_cost", "--serve", str(port), mode])
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


def measure(reads: int, run_id: str, token: str) -> dict[str, list[float]]:
    """Return the milliseconds of each read, by what was read and from which server."""
    headers = {"Authorization": f"Bearer {token}"}
    paths = {
        task_id: f"/execution/xcoms/cost/{quote(run_id, safe='')}/{task_id}/return_value"
        for task_id in ("plain", "exclusive")
    }
    with api_server(with_plugin=True) as plugin, api_server(with_plugin=False) as without:
        plugin.headers, without.headers = headers, headers
        plugin.get(TIMES)
        times = measure_in_turn(reads, paths, {"plugin": plugin, "without": without})
        times["decision, in the server"] = plugin.get(TIMES).json()[-reads:]
        times[f"exclusive, {READERS} readers"] = measure_at_once(reads, paths["exclusive"], plugin)
        times[f"decision, in the server, {READERS} readers"] = plugin.get(TIMES).json()
    return times


def measure_in_turn(reads: int, paths: dict[str, str], servers: dict[str, httpx.Client]) -> dict[str, list[float]]:
    """Read everything from every server in random order, again and again."""
    times: dict[str, list[float]] = defaultdict(list)
    for number in range(-WARM_UP, reads):
        turns = list(product(paths, servers))
        random.shuffle(turns)  # the first read after a pause is dearer, whichever it is
        for what, server in turns:
            elapsed, opened = read(servers[server], paths[what])
            if opened != (server == "plugin" and what == "exclusive"):
                raise SystemExit(f"{what} from the server {server}: opened is {opened}")
            if number >= 0:
                times[f"{what}, {server}"].append(elapsed)
    return times


def measure_at_once(reads: int, path: str, server: httpx.Client) -> list[float]:
    """Let several clients read the same, each after a pause."""

    def read_after_pause(client: httpx.Client) -> float:
        time.sleep(random.uniform(0, 2 * PAUSE_SECONDS))
        return read(client, path)[0]

    def read_on(_: int) -> list[float]:
        with httpx.Client(base_url=server.base_url, headers=server.headers, timeout=30) as client:
            return [read_after_pause(client) for _ in range(reads)]

    with ThreadPoolExecutor(READERS) as pool:
        return [elapsed for found in pool.map(read_on, range(READERS)) for elapsed in found]


def read(client: httpx.Client, path: str) -> tuple[float, bool]:
    """Return how many ms one read took, and whether it came with a data key."""
    begin = time.perf_counter()
    response = client.get(path)
    elapsed = (time.perf_counter() - begin) * 1000
    return elapsed, "data_key" in response.raise_for_status().text


def report(times: dict[str, list[float]]) -> None:
    """Print what was measured."""
    for name, found in times.items():
        p99 = statistics.quantiles(found, n=100)[98]
        print(f"{name:36}  median {statistics.median(found):6.2f} ms   p99 {p99:6.2f} ms   ({len(found)} reads)")
    median = {name: statistics.median(found) for name, found in times.items()}
    ratio = median["plain, plugin"] / median["plain, without"]
    print(f"a plain read takes {ratio:.3f} of its time without the plugin")
    added = median["exclusive, plugin"] - median["exclusive, without"]
    print(f"deciding and opening an exclusive read adds {added:.2f} ms for the client")


def main() -> None:
    """Measure and print, or be one of the two servers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reads", type=int, default=400)
    parser.add_argument("--serve", nargs=2, metavar=("PORT", "with|without"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(int(arguments.serve[0]), with_plugin=arguments.serve[1] == "with")
        return
    with tempfile.TemporaryDirectory(prefix="exclusive-cost-") as home, postgres_server() as database:
        prepare(Path(home), database)
        report(measure(arguments.reads, *run_dag()))


if __name__ == "__main__":
    main()
