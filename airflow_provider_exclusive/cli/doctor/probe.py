"""Proof that an API server refuses: a read that no task may do is tried, and must be refused by both halves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from airflow_provider_exclusive.compat.execution_api import mint_token
from airflow_provider_exclusive.server.guard import PROBE_DAG
from airflow_provider_exclusive.server.middleware import PROBE_HEADER

_KEY_ID: Final = re.compile(r"\b[0-9a-f]{32}\b")


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """
    What an API server did with the probe.

    :param is_proved: whether guard and middleware both refused it.
    :param explanation: what was seen, and if it is not proved, what to do.
    :param key_ids: of the private keys that the API server holds.
    :param was_asked: False if this process can sign no token that the API server takes, as on a hardened worker. Then
        nothing is known about the plugin, good or bad.
    """

    is_proved: bool
    explanation: str
    was_asked: bool = True
    key_ids: frozenset[str] = frozenset()


def probe(execution_api_url: str, *, timeout_seconds: float = 10) -> ProbeResult:
    """
    Ask the API server for an XCom that its plugin must refuse.

    Needs the JWT secret, as on the machine of an API server or scheduler. Never raises.

    :param execution_api_url: such as ``http://localhost:8080/execution/``.
    """
    import httpx

    url = f"{execution_api_url.rstrip('/')}/xcoms/{PROBE_DAG}/probe/probe/probe"
    try:
        token = mint_token()
    except (ValueError, OSError) as missing:
        # Not its message: it may repeat what lies in the key file.
        return _not_asked(f"this process has nothing to sign a task's token with ({type(missing).__name__})")
    except Exception as failure:  # noqa: BLE001  # whatever else it is, nothing is proved, and doctor says why
        return ProbeResult(
            is_proved=False,
            explanation=f"no token of a task could be signed: {type(failure).__name__}: {failure}. Use a release of "
            "airflow-provider-exclusive that supports this version of Airflow.",
        )
    try:
        response = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=timeout_seconds)
    except Exception as failure:  # noqa: BLE001  # whatever it is, nothing is proved, and doctor says why
        return ProbeResult(
            is_proved=False,
            explanation=f"the API server at {execution_api_url} could not be reached: {type(failure).__name__}: "
            f"{failure}. Check that it runs, and [core] execution_api_server_url.",
        )
    return _judge(response.status_code, response.headers.get(PROBE_HEADER.decode()), response.text)


def _judge(status: int, header: str | None, body: str) -> ProbeResult:
    guarded, watched = status == 403 and "exclusive-probe" in body, header == "attached"  # noqa: PLR2004  # Forbidden
    if guarded and watched:
        key_ids = frozenset(_KEY_ID.findall(body))
        return ProbeResult(is_proved=True, explanation="the API server refused the probe.", key_ids=key_ids)
    if status in (401, 403) and not guarded:
        return _not_asked(f"the API server did not take a task's token signed here (HTTP {status})")
    return ProbeResult(
        is_proved=False,
        explanation=f"the API server answered the probe with HTTP {status} instead of refusing it: the plugin "
        "'exclusive' is not attached there. Install airflow-provider-exclusive where it runs, restart it, and do not "
        "start it with --apps execution.",
    )


def _not_asked(why: str) -> ProbeResult:
    return ProbeResult(
        is_proved=False,
        explanation=f"{why}: [api_auth] jwt_secret is missing here or is another than the API server's, which is right "
        "for a worker.",
        was_asked=False,
    )
