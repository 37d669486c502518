"""The few calls of Airflow's public REST API that the demonstration and the tests need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx


class AirflowApi:
    """
    A client of one API server whose simple auth manager treats everybody as an administrator.

    :param url: of the server, without a path.
    """

    def __init__(self, url: str) -> None:
        # trust_env: a proxy for the outside world must not be used between two processes of one machine.
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def is_healthy(self, components: Sequence[str]) -> bool:
        """Return whether the server answers and says that all ``components`` are healthy."""
        try:
            answer = self._client.get("/api/v2/monitor/health", timeout=5)
        except httpx.TransportError:
            return False
        if not answer.is_success:
            return False
        health = answer.json()
        return all((health.get(name) or {}).get("status") == "healthy" for name in components)

    def log_in(self) -> None:
        """Fetch the token that the other calls present."""
        token = self._client.get("/auth/token").raise_for_status().json()["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def dags(self) -> list[dict[str, Any]]:
        """Return the Dags that were parsed."""
        return list(self._call("GET", "/dags", params={"limit": 200})["dags"])

    def import_errors(self) -> list[dict[str, Any]]:
        """Return the import errors, each with ``filename`` and ``stack_trace``."""
        return list(self._call("GET", "/importErrors")["import_errors"])

    def trigger(self, dag_id: str, *, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a run."""
        body = {"dag_run_id": run_id, "conf": dict(conf), "logical_date": None}
        self._call("POST", f"/dags/{quote(dag_id)}/dagRuns", json=body)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        return str(self._call("GET", _run(dag_id, run_id))["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, one for each map index."""
        return list(self._call("GET", f"{_run(dag_id, run_id)}/taskInstances", params={"limit": 500})["task_instances"])

    def rendered_fields(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> dict[str, Any]:
        """Return what the UI shows as the rendered template fields of a task instance."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}"
        return dict(self._call("GET", path if map_index < 0 else f"{path}/{map_index}")["rendered_fields"])

    def clear(self, dag_id: str, run_id: str, task_ids: Sequence[str], *, downstream: bool) -> None:
        """Clear tasks, so that the scheduler re-runs them."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "only_failed": False,
            "include_downstream": downstream,
            "reset_dag_runs": True,
        }
        self._call("POST", f"/dags/{quote(dag_id)}/clearTaskInstances", json=body)

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._client.request(method, f"/api/v2{path}", **arguments)
        if answer.is_error:
            raise RuntimeError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}")
        return answer.json()


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"
