"""
Measure what the plugin costs the API server: for plain reads, exclusive reads, and reads of handed-over values.

Usage: ``python -m benchmarks.decision_cost [--reads 200] [--rounds 3] [--pause 0.1]`` in the folder of this repository,
with Airflow, psycopg2 and PostgreSQL's programs installed; no running server is needed. Two API servers on one
PostgreSQL, one with the plugin and one without, answer the same reads in turn over loopback. Each round restarts them
in the other order, because two processes of the same program differ by some percent. Then eight readers at once read
the exclusive value, each again and again after a pause. Prints medians and 99th percentiles in ms: of whole requests as
the client sees them, of the decision as the server's own timer (``exclusive.decision`` of Airflow's metrics) sees it,
and, for the readers at once, of the one statement by which Airflow finds the row in these requests. A decision queries
the database once, too, and waits as long for a processor.
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from urllib.parse import quote

import httpx

from airflow_provider_exclusive.compat.execution_api import mint_token
from benchmarks.decision_server import DECISIONS, TIMES, api_server
from stack.postgres import postgres_server

WARM_UP = 30
READERS = 8
PAUSE_SECONDS = 0.1  # of each reader; without a pause, they only wait for the server's one event loop
DAG = """
import datetime
from airflow.sdk import dag, task
from airflow_provider_exclusive import ExclusiveTriggerDagRunOperator, exclusive_task

@dag(schedule=None, start_date=datetime.datetime(2023, 1, 1))
def cost():
    @exclusive_task(consumers=["reader", "hand_over"])
    def exclusive(): return "x" * 2000
    @task
    def plain(): return {"padding": "x" * 700}
    @task
    def reader(): ...
    value = exclusive()
    [value, plain()] >> reader()
    ExclusiveTriggerDagRunOperator(
        task_id="hand_over", trigger_dag_id="triggered", exclusive_keys={"value": value}
    )

@dag(schedule=None)
def triggered():
    @task
    def handed_reader(): ...
    handed_reader()

cost()
triggered()
"""


def prepare(home: Path, database: str) -> None:
    """Make this process and its children use a separate Airflow in ``home``, on ``database``."""
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


def run_dag() -> tuple[str, dict[str, str]]:
    """Run the Dag once; return its run id and a token for each of the two readers, which are then set to running."""
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    run = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder").dags["cost"].test()
    with create_session() as session:
        readers = session.scalars(
            select(TaskInstance).where(TaskInstance.task_id.in_(["reader", "handed_reader"]))
        ).all()
        tokens = {}
        for reader in readers:
            reader.state = "running"
            tokens[reader.task_id] = mint_token(reader.id)
        return str(run.run_id), tokens


@dataclass(frozen=True)
class Reading:
    """
    Something to read.

    :param name: for the report.
    :param path: of the request.
    :param token: of the task that reads.
    """

    name: str
    path: str
    token: str


def readings(run_id: str, tokens: dict[str, str]) -> list[Reading]:
    """Return what is read: a plain value, an exclusive one, and the same one from the triggered run."""
    path = f"/execution/xcoms/cost/{quote(run_id, safe='')}/{{}}/return_value"
    return [
        Reading("plain", path.format("plain"), tokens["reader"]),
        Reading("exclusive", path.format("exclusive"), tokens["reader"]),
        Reading("handed over", path.format("exclusive"), tokens["handed_reader"]),
    ]


def measure(reads: int, number: int, wanted: list[Reading], pause: float) -> dict[str, list[float]]:
    """Return the milliseconds of each read in one round, by what was read and from which server."""
    order = ("plugin", "without") if number % 2 else ("without", "plugin")
    with ExitStack() as stack:
        servers = {name: stack.enter_context(api_server(with_plugin=name == "plugin")) for name in order}
        servers["plugin"].get(TIMES)
        times = measure_in_turn(reads, wanted, servers)
        exclusive = wanted[1]
        measure_at_once(WARM_UP, exclusive, servers["plugin"], pause)
        servers["plugin"].get(TIMES)
        times[f"exclusive, {READERS} readers"] = measure_at_once(reads, exclusive, servers["plugin"], pause)
        in_server = servers["plugin"].get(TIMES).json()
        times |= {f"{name}, {READERS} readers": found for name, found in in_server.items()}
    return times


def measure_in_turn(reads: int, wanted: list[Reading], servers: dict[str, httpx.Client]) -> dict[str, list[float]]:
    """Read everything from every server in random order, again and again."""
    times: dict[str, list[float]] = defaultdict(list)
    for number in range(-WARM_UP, reads):
        turns = list(product(wanted, servers))
        random.shuffle(turns)  # the first read after a pause is slower, whichever it is
        for reading, server in turns:
            elapsed, opened = read(servers[server], reading)
            is_decided = server == "plugin" and reading.name != "plain"
            if opened != is_decided:
                raise SystemExit(f"{reading.name} from the server {server}: opened is {opened}")
            in_server = servers[server].get(TIMES).json()
            if number >= 0:
                times[f"{reading.name}, {server}"].append(elapsed)
                if is_decided:
                    times[f"{DECISIONS}, {reading.name}"] += in_server[DECISIONS]
    return times


def measure_at_once(reads: int, reading: Reading, server: httpx.Client, pause: float) -> list[float]:
    """Let several clients read the same value, each after a pause."""

    def read_after_pause(client: httpx.Client) -> float:
        time.sleep(random.uniform(0, 2 * pause))
        return read(client, reading)[0]

    def read_on(_: int) -> list[float]:
        with httpx.Client(base_url=server.base_url, timeout=30) as client:
            return [read_after_pause(client) for _ in range(reads)]

    with ThreadPoolExecutor(READERS) as pool:
        return [elapsed for found in pool.map(read_on, range(READERS)) for elapsed in found]


def read(client: httpx.Client, reading: Reading) -> tuple[float, bool]:
    """Return how many ms one read took, and whether the response has an opened secret."""
    begin = time.perf_counter()
    response = client.get(reading.path, headers={"Authorization": f"Bearer {reading.token}"})
    elapsed = (time.perf_counter() - begin) * 1000
    return elapsed, '"opened"' in response.raise_for_status().text


def report(rounds: list[dict[str, list[float]]]) -> None:
    """Print what was measured."""
    for name in rounds[0]:
        found = [elapsed for times in rounds for elapsed in times[name]]
        p99 = statistics.quantiles(found, n=100)[98]
        print(f"{name:38}  median {statistics.median(found):6.2f} ms   p99 {p99:6.2f} ms   ({len(found)} reads)")
    ratios = [
        statistics.median(times["plain, plugin"]) / statistics.median(times["plain, without"]) for times in rounds
    ]
    print(
        f"a plain read takes {', '.join(f'{ratio:.3f}' for ratio in ratios)} of its time without the plugin, by round"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reads", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS, help="seconds between two reads of one of many")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="exclusive-cost-") as home, postgres_server() as database:
        prepare(Path(home), database)
        wanted = readings(*run_dag())
        report([measure(arguments.reads, number, wanted, arguments.pause) for number in range(arguments.rounds)])


if __name__ == "__main__":
    main()
