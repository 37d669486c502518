"""The API server: whether the way there is safe, and whether the plugin there refuses what it must."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from airflow_provider_exclusive.cli.doctor.facts import Facts, is_loopback
from airflow_provider_exclusive.cli.doctor.report import Area, Finding
from airflow_provider_exclusive.exceptions import ConfigurationError, ExclusiveError

_SERVER: Final = Area("server")
_CURE: Final = (
    "Install airflow-provider-exclusive where the API server runs, give it [exclusive] private_key, do not start it "
    "with --apps execution, which loads no plugin, and look for 'exclusive' in its log of the start. Until then a task "
    "that calls the API by itself reads any XCom's row."
)
_ELSEWHERE: Final = (
    "Run airflow exclusive doctor where the API server or a scheduler runs, with the configuration there: it can ask, "
    "and fails if the plugin does not refuse."
)


def check(facts: Facts) -> Iterator[Finding]:
    """Check the way to the API server, then ask it."""
    yield from _check_tls(facts.api_url)
    yield from _check_plugin(facts)


def _check_tls(api_url: str) -> Iterator[Finding]:
    try:
        parts = urlsplit(api_url)
    except ValueError:
        yield _SERVER.error(
            "url",
            f"{api_url!r} is no URL, and by it workers are to reach the API server.",
            "Correct [core] execution_api_server_url, or [api] base_url, from which it is made.",
        )
        return
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        yield _SERVER.warning(
            "tls",
            f"Workers reach the API server at {parts.hostname} without TLS: task tokens, and in a hardened deployment "
            "the data keys of what tasks read, can be seen on the way.",
            "Serve it over https ([api] ssl_cert and ssl_key, or a proxy), and say so in [core] "
            "execution_api_server_url.",
        )


def _check_plugin(facts: Facts) -> Iterator[Finding]:
    try:
        result = facts.probe(facts.api_url)
    except ExclusiveError as failure:
        yield _not_proved(str(failure))
        return
    except Exception as failure:  # noqa: BLE001 - a probe that fails in whatever way proves nothing
        yield _not_proved(f"{type(failure).__name__} while asking it")
        return
    if not result.was_asked:
        yield _SERVER.warning("plugin", f"plugin: could not be asked for from here: {result.explanation}", _ELSEWHERE)
    elif not result.is_proved:
        yield _not_proved(result.explanation)
    else:
        yield _SERVER.ok("plugin", f"Asked by a task for what no task may read, {result.explanation}")
        yield from _check_keys(facts, result.key_ids)


def _check_keys(facts: Facts, held_there: frozenset[str]) -> Iterator[Finding]:
    if isinstance(facts.keys, ConfigurationError):
        return  # the keys' own check has said why
    here = facts.keys.key_id
    if here in held_there:
        yield _SERVER.ok("keys", f"The API server holds the private key of key_id {here}.")
    else:
        yield _SERVER.error(
            "keys",
            f"This process seals under key_id {here}; the API server holds {', '.join(sorted(held_there)) or 'none'}, "
            "so it opens nothing that is sealed here.",
            "Give both the same [exclusive] private_key (or its public half, or the same [core] fernet_key), and "
            "restart the API server.",
        )


def _not_proved(why: str) -> Finding:
    return _SERVER.error("plugin", f"plugin: could not be proved: {why}", _CURE)
