"""Prove that an API server refuses: request an XCom that no task may read, which guard and middleware must refuse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from airflow_provider_exclusive.access.error_codes import PROBE_DAG, PROBED
from airflow_provider_exclusive.compat.execution_api import mint_token
from airflow_provider_exclusive.server.middleware import NOT_ATTACHED_BECAUSE, PROBE_HEADER

_KEY_ID: Final = re.compile(r"\b[0-9a-f]{32}\b")


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """
    What an API server did with the probe.

    :param is_proved: whether guard and middleware both refused it.
    :param explanation: what happened, and what to do if nothing is proved.
    :param key_ids: of the private keys that the API server holds.
    :param is_installed: whether the plugin is there, although it may not be attached.
    :param was_asked: False if this process cannot sign a token that the API server accepts, as on a hardened worker.
        Then nothing is known about the plugin.
    """

    is_proved: bool
    explanation: str
    was_asked: bool = True
    key_ids: frozenset[str] = frozenset()
    is_installed: bool = False


def probe(execution_api_url: str, *, timeout_seconds: float = 10) -> ProbeResult:
    """
    Request an XCom from the API server that its plugin must refuse.

    Needs the JWT secret, as on the machine of an API server or scheduler. Never raises.

    :param execution_api_url: such as ``http://localhost:8080/execution/``.
    """
    import httpx

    url = f"{execution_api_url.rstrip('/')}/xcoms/{PROBE_DAG}/probe/probe/probe"
    try:
        token = mint_token()
    except (ValueError, OSError) as missing:
        # Without its message, which may contain what is in the key file.
        return _not_asked(f"this process has no key to sign a task token with ({type(missing).__name__})")
    except Exception as failure:  # noqa: BLE001  # any other failure proves nothing, and doctor reports it
        return ProbeResult(
            is_proved=False,
            explanation=f"could not sign a task token: {type(failure).__name__}: {failure}. Use a release of "
            "airflow-provider-exclusive that supports this version of Airflow.",
        )
    try:
        response = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=timeout_seconds)
    except Exception as failure:  # noqa: BLE001  # any failure proves nothing, and doctor reports it
        return ProbeResult(
            is_proved=False,
            explanation=f"could not reach the API server at {execution_api_url}: {type(failure).__name__}: "
            f"{failure}. Check that it runs, and check [core] execution_api_server_url.",
        )
    return _judge(response.status_code, response.headers.get(PROBE_HEADER.decode()), response.text)


def _judge(status: int, header: str | None, body: str) -> ProbeResult:
    guarded, watched = status == 403 and PROBED in body, header == "attached"  # noqa: PLR2004  # Forbidden
    if guarded and watched:
        key_ids = frozenset(_KEY_ID.findall(body))
        explanation = "the API server refused the probe."
        return ProbeResult(is_proved=True, explanation=explanation, key_ids=key_ids, is_installed=True)
    if header is not None and header.startswith(NOT_ATTACHED_BECAUSE):
        why = header.removeprefix(NOT_ATTACHED_BECAUSE)
        return ProbeResult(
            is_proved=False,
            explanation=f"the plugin 'exclusive' could not attach to the API server ({why}).",
            is_installed=True,
        )
    if status in (401, 403) and not guarded:
        return _not_asked(f"the API server did not accept a task token signed here (HTTP {status})")
    return ProbeResult(
        is_proved=False,
        explanation=f"the API server answered the probe with HTTP {status} instead of refusing it: the plugin "
        "'exclusive' is not attached there. Install airflow-provider-exclusive where it runs, restart it, and do not "
        "start it with --apps execution.",
    )


def _not_asked(why: str) -> ProbeResult:
    return ProbeResult(
        is_proved=False,
        explanation=f"{why}: [api_auth] jwt_secret is missing here or differs from the API server's, which is right "
        "for a worker.",
        was_asked=False,
    )
