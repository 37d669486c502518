"""
Push outputs of many map indexes to the API server, as their task instances would push them.

A process for each of a thousand task instances would take a quarter of an hour, and only the pull of their outputs is
measured. So the scheduler creates task instances of an operator that it never runs, and one process pushes for all of
them: each output with the token of its task instance, through the API server, sealed by this package.
"""

from __future__ import annotations

import sys
from typing import Any, Final
from urllib.parse import quote

import httpx

from airflow_provider_exclusive.compat.execution_api import mint_token
from benchmarks.payloads import text
from benchmarks.probe import SIDES, THEIRS

TASK: Final = "produce"
READER: Final = "gather"
SIZES: Final = (64, 2048)
"""Characters of a mapped value: one that is stored in the row, and one in the store."""
_MOST_OF_ALL_SIZES: Final = 1000


def sizes(count: int) -> tuple[int, ...]:
    """Return the sizes that are measured with ``count`` map indexes: of very many, the smallest only."""
    return SIZES if count <= _MOST_OF_ALL_SIZES else SIZES[:1]


def push(dag_id: str, run_id: str, api_server_url: str) -> None:
    """Push one value of each size on each side for every task instance of :data:`TASK` in a run."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    of_run = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == TASK)
    with create_session() as session:
        found = session.execute(select(TaskInstance.id, TaskInstance.map_index).where(*of_run)).all()
    with httpx.Client(base_url=api_server_url, timeout=60, trust_env=False) as client:
        for ti_id, map_index in found:
            token = mint_token(ti_id)
            for key, row in _rows(dag_id, run_id, map_index, str(ti_id), sizes(len(found))).items():
                path = f"/execution/xcoms/{dag_id}/{quote(run_id, safe='')}/{TASK}/{key}"
                headers = {"Authorization": f"Bearer {token}"}
                client.post(path, params={"map_index": map_index}, headers=headers, json=row).raise_for_status()


def _rows(dag_id: str, run_id: str, map_index: int, ti_id: str, measured: tuple[int, ...]) -> dict[str, Any]:
    from airflow_provider_exclusive.scopes.identity import TaskIdentity
    from airflow_provider_exclusive.scopes.scope import Clause, ConsumerScope
    from airflow_provider_exclusive.wiring import current_store

    producer = TaskIdentity(dag_id, run_id, TASK, map_index, ti_id)
    scope = ConsumerScope((Clause(dag_id, READER, run_id),))
    rows: dict[str, Any] = {}
    for size in measured:
        for side in SIDES:
            key, value = f"{side}-{size}", text(size)
            is_sealed = side == THEIRS
            rows[key] = (
                current_store().put(value, producer=producer, key=key, scope=scope).to_row() if is_sealed else value
            )
    return rows


if __name__ == "__main__":
    push(*sys.argv[1:])
