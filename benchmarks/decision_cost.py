"""
What an exclusive read costs the API server more than a plain one, measured in the server.

Usage: ``python benchmarks/decision_cost.py [--reads 400]``, with the package and Airflow installed; needs no server
beforehand. It starts Airflow's own API application in this process on SQLite, once with the plugin and once without,
and lets the same token read a plain row and an exclusive one, in turn, through ASGI without any socket. Prints medians
and the 99th percentile, in ms.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any
from urllib.parse import quote


def prepare_home(home: str) -> None:
    """Set the environment of an Airflow in ``home`` and migrate its database."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__XCOM_BACKEND": "airflow_provider_exclusive.xcom.backend.ExclusiveXComBackend",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{home}/dags",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    os.makedirs(f"{home}/dags")
    with open(f"{home}/dags/cost.py", "w", encoding="utf-8") as file:
        file.write(DAG)
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)


DAG = '''
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
'''


def run_dag() -> tuple[str, Any]:
    """Run the Dag once; return its run id and the id of its reader, which is then set to running."""
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    folder = os.environ["AIRFLOW__CORE__DAGS_FOLDER"]
    dag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder").dags["cost"]
    run = dag.test()
    with create_session() as session:
        reader = session.scalars(select(TaskInstance).where(TaskInstance.task_id == "reader")).one()
        reader.state = "running"
        return str(run.run_id), reader.id


def mint_token(ti_id: Any) -> str:
    """Return a task's token, as the scheduler would give it."""
    from airflow.api_fastapi.execution_api.app import _jwt_generator

    return str(_jwt_generator().generate({"sub": str(ti_id), "scope": "execution"}))


async def measure(reads: int, run_id: str, token: str) -> dict[str, list[float]]:
    """Return the milliseconds of each read, by what was read and by which application."""
    import httpx
    from airflow.api_fastapi.app import create_app

    with_plugin, without = create_app(), create_app()
    without.user_middleware = [entry for entry in without.user_middleware if entry.cls.__module__ != PLUGIN]
    times: dict[str, list[float]] = {}
    async with with_plugin.router.lifespan_context(with_plugin), without.router.lifespan_context(without):
        for number in range(reads + WARM_UP):
            for name, app in (("plugin", with_plugin), ("no plugin", without)):
                async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
                    for task_id in ("plain", "exclusive"):
                        path = f"/execution/xcoms/cost/{quote(run_id, safe='')}/{task_id}/return_value"
                        begin = time.perf_counter()
                        response = await client.get(path, headers={"Authorization": f"Bearer {token}"})
                        elapsed = (time.perf_counter() - begin) * 1000
                        assert response.status_code == 200, response.text
                        assert ("data_key" in response.text) == (name == "plugin" and task_id == "exclusive")
                        if number >= WARM_UP:
                            times.setdefault(f"{task_id}, {name}", []).append(elapsed)
    return times


PLUGIN = "airflow_provider_exclusive.plugins.exclusive"
WARM_UP = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reads", type=int, default=400)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="exclusive-cost-") as home:
        prepare_home(home)
        run_id, reader = run_dag()
        times = asyncio.run(measure(arguments.reads, run_id, mint_token(reader)))
    for name, found in times.items():
        p99 = statistics.quantiles(found, n=100)[98]
        print(f"{name:22}  median {statistics.median(found):6.2f} ms   p99 {p99:6.2f} ms   ({len(found)} reads)")
    median = {name: statistics.median(found) for name, found in times.items()}
    print(f"a plain read with the plugin takes {median['plain, plugin'] / median['plain, no plugin']:.3f} of its time")
    print(f"deciding an exclusive read adds {median['exclusive, plugin'] - median['exclusive, no plugin']:.2f} ms")


if __name__ == "__main__":
    main()
