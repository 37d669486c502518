"""
Hostile tasks of ``benchmarks.stall`` against the running Airflow, in a process of their own, with its environment.

Usage: ``python -m tests.integration.hardened.stalling HOST PORT PID PUBLIC_KEY``; the process is the API server. Prints
what was answered as JSON, as :func:`main` returns it.
"""

from __future__ import annotations

import datetime
import json
import sys
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any

import psutil

from airflow_provider_exclusive.crypto.data_keys import ServerDataKeys
from airflow_provider_exclusive.crypto.keyring import parse_key
from benchmarks.hostile import Planter, Request
from benchmarks.stall import send_letters
from benchmarks.stall_airflow import DAG_ID, LONG, MAPPED, WRITERS, Client, Hardened, find_tasks, path_of

READERS = 6
OF_EACH_KIND = 18
PULLS = 40
WARM_UP, LETTERS, CHARACTERS = 16, 48, 5_000_000
RUN_ID = "stalled"


def insert_tasks() -> None:
    """Put a run and its tasks into the metadata database; no scheduler looks at the runs of a Dag that no file holds."""
    # Airflow is imported in this process alone: the tests' own process knows nothing of the stack's metadata database.
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import insert

    from tests.airflow.attacks_metadata import coordinates
    from tests.airflow.attacks_places import Place

    now = datetime.datetime.now(datetime.UTC)
    run = {"dag_id": DAG_ID, "run_id": RUN_ID, "run_type": "manual", "state": "running", "run_after": now}
    places = [Place(DAG_ID, RUN_ID, name) for name in ("plain", "honest", "friend", LONG, *WRITERS)]
    places += [Place(DAG_ID, RUN_ID, "mapped", number) for number in range(MAPPED)]
    state = {"state": "running", "pool": "default_pool", "try_number": 1}
    with create_session() as session:
        session.execute(insert(DagRun.__table__), [run])
        rows = [{"id": uuid.uuid4(), **coordinates(place), **state} for place in places]
        session.execute(insert(TaskInstance.__table__), rows)


def remove_tasks() -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(DagRun.__table__).where(DagRun.dag_id == DAG_ID))


def send(world: Hardened, requests: list[Request]) -> Counter[str]:
    """Send requests over one connection, and count the answers by status and reason."""
    client, found = Client(world.address), Counter()
    for request in requests:
        status, body = request.send(client)
        detail = json.loads(body).get("detail") if status == 403 else None
        found[f"{status} {detail['reason']}" if isinstance(detail, dict) and "reason" in detail else str(status)] += 1
        assert status in request.statuses, (status, request.path, body[:300])
    return found


def main(world: Hardened) -> dict[str, Any]:
    """Return the answers to hostile requests by kind, those to honest pulls, and the bytes of memory around letters."""
    tasks = find_tasks(DAG_ID, RUN_ID)
    assert Client(world.address).push(tasks["plain"], "return_value", "x" * 64) == 201
    pull = Request(path_of(tasks["plain"].identity, "return_value"), tasks["honest"], (200,))
    keys = ServerDataKeys(world.public_key)
    kinds, _ = Planter(Client(world.address), tasks, find_tasks, keys).plant(chain=0, many=20)
    with ThreadPoolExecutor(READERS + 1) as pool:
        pulls = pool.submit(send, world, [pull] * PULLS)
        hostile = {kind: pool.submit(send, world, list(islice(cycle(asked), OF_EACH_KIND)))
                   for kind, asked in kinds.items()}  # fmt: skip
        answers = {kind: future.result() for kind, future in hostile.items()}
    server, memory, letters = psutil.Process(world.pid), [], Counter()
    for count in (WARM_UP, LETTERS):
        letters += send_letters(world.address, tasks[WRITERS[0]], keys, count, CHARACTERS)
        memory.append(server.memory_info().rss)
    return {"hostile": answers, "pulls": pulls.result(), "letters": letters, "memory": memory}


if __name__ == "__main__":
    host, port, pid, public_key = sys.argv[1:]
    key = parse_key(public_key, option="the public key")
    insert_tasks()
    try:
        print(json.dumps(main(Hardened((host, int(port)), int(pid), key, find_tasks, RUN_ID))))
    finally:
        remove_tasks()
