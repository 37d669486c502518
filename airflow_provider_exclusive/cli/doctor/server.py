"""Check that the connection to the API server is safe, and that its plugin refuses what it must."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from airflow_provider_exclusive.cli.doctor.facts import Facts, is_loopback
from airflow_provider_exclusive.cli.doctor.report import Area, Finding
from airflow_provider_exclusive.exceptions import ConfigurationError, ExclusiveError

_SERVER: Final = Area("server")
_CURE: Final = (
    "Install airflow-provider-exclusive where the API server runs, set [exclusive] private_key there, do not start it "
    "with --apps execution, which loads no plugins, and look for 'exclusive' in its startup log. Until then, a task "
    "that calls the API directly can read the row of any XCom."
)
_FIT: Final = (
    "Use a release of airflow-provider-exclusive that supports this version of Airflow where the API server runs; its "
    "log has the details. Until then, it answers every exclusive value with 503."
)
_ELSEWHERE: Final = (
    "Run airflow exclusive doctor where the API server or a scheduler runs, with the configuration there: it can send "
    "the probe, and fails if the plugin does not refuse it."
)


def check(facts: Facts) -> Iterator[Finding]:
    """Check the connection to the API server, then its plugin."""
    yield from _check_tls(facts.api_url)
    yield from _check_plugin(facts)


def _check_tls(api_url: str) -> Iterator[Finding]:
    try:
        parts = urlsplit(api_url)
    except ValueError:
        yield _SERVER.error(
            "url",
            f"Workers reach the API server by {api_url!r}, which is not a valid URL.",
            "Fix [core] execution_api_server_url, or [api] base_url, from which it is derived.",
        )
        return
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        yield _SERVER.warning(
            "tls",
            f"Workers reach the API server at {parts.hostname} without TLS: task tokens, and in a hardened deployment "
            "the data keys of what tasks read, are visible on the network.",
            "Serve it over https ([api] ssl_cert and ssl_key, or a proxy), and set [core] execution_api_server_url to "
            "the https URL.",
        )


def _check_plugin(facts: Facts) -> Iterator[Finding]:
    try:
        result = facts.probe(facts.api_url)
    except ExclusiveError as failure:
        yield _not_proved(str(failure))
        return
    except Exception as failure:  # noqa: BLE001  # a probe that fails proves nothing
        yield _not_proved(f"the probe raised {type(failure).__name__}")
        return
    if not result.was_asked:
        yield _SERVER.warning("plugin", f"plugin: cannot be checked from here: {result.explanation}", _ELSEWHERE)
    elif not result.is_proved:
        yield _not_proved(result.explanation, cure=_FIT if result.is_installed else _CURE)
    else:
        yield _SERVER.ok("plugin", f"When a task requested an XCom that no task may read, {result.explanation}")
        yield from _check_keys(facts, result.key_ids)


def _check_keys(facts: Facts, held_there: frozenset[str]) -> Iterator[Finding]:
    if isinstance(facts.keys, ConfigurationError):
        return  # the check of the keys has reported it
    here = facts.keys.key_id
    if here in held_there:
        yield _SERVER.ok("keys", f"The API server holds the private key of key_id {here}.")
    else:
        yield _SERVER.error(
            "keys",
            f"This process seals under key_id {here}; the API server holds {', '.join(sorted(held_there)) or 'none'}, "
            "so it cannot open what is sealed here.",
            "Give both the same [exclusive] private_key (or its public half, or the same [core] fernet_key), and "
            "restart the API server.",
        )


def _not_proved(why: str, cure: str = _CURE) -> Finding:
    return _SERVER.error("plugin", f"plugin: not proved: {why}", cure)
