"""Proof that an API server refuses: a read that no task may do is tried, and must be refused by both halves."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from airflow_provider_exclusive.server.guard import PROBE_DAG
from airflow_provider_exclusive.server.middleware import PROBE_HEADER


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """
    What an API server did with the probe.

    :param is_proved: whether guard and middleware both refused it.
    :param explanation: what was seen, and if it is not proved, what to do.
    """

    is_proved: bool
    explanation: str


def probe(execution_api_url: str, *, timeout_seconds: float = 10) -> ProbeResult:
    """
    Ask the API server for an XCom that its plugin must refuse.

    Needs the JWT secret, as on the machine of an API server or scheduler. Never raises.

    :param execution_api_url: such as ``http://localhost:8080/execution/``.
    """
    import httpx

    url = f"{execution_api_url.rstrip('/')}/xcoms/{PROBE_DAG}/probe/probe/probe"
    try:
        headers = {"Authorization": f"Bearer {_mint_token()}"}
        response = httpx.get(url, headers=headers, timeout=timeout_seconds)
    except Exception as failure:  # noqa: BLE001  # whatever it is, nothing is proved, and doctor says why
        return ProbeResult(
            is_proved=False,
            explanation=f"the API server at {execution_api_url} could not be asked: {type(failure).__name__}: "
            f"{failure}. Run this where the API server runs, with its configuration.",
        )
    return _judge(response.status_code, response.headers.get(PROBE_HEADER.decode()), response.text)


def _judge(status: int, header: str | None, body: str) -> ProbeResult:
    guarded, watched = status == 403 and "exclusive-probe" in body, header == "attached"  # noqa: PLR2004  # Forbidden
    if guarded and watched:
        return ProbeResult(is_proved=True, explanation="the API server refused the probe.")
    if status in (401, 403) and not guarded:
        return ProbeResult(
            is_proved=False,
            explanation=f"the API server did not take the token of the probe (HTTP {status}): [api_auth] jwt_secret "
            "differs here. Run this with the API server's configuration.",
        )
    return ProbeResult(
        is_proved=False,
        explanation=f"the API server answered the probe with HTTP {status} instead of refusing it: the plugin "
        "'exclusive' is not attached there. Install airflow-provider-exclusive where it runs, restart it, and do not "
        "start it with --apps execution.",
    )


def _mint_token() -> str:
    # Airflow's own way to sign a task's token; it has no public one.
    from airflow.api_fastapi.execution_api import app

    generator: Any = app._jwt_generator  # noqa: SLF001
    return str(generator().generate({"sub": str(uuid.uuid4()), "scope": "execution"}))
