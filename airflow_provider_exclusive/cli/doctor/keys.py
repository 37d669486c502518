"""Check which keys this process holds, and what it can open with them by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from airflow_provider_exclusive.cli.doctor.facts import Facts
from airflow_provider_exclusive.cli.doctor.report import Area, Finding
from airflow_provider_exclusive.config import Settings
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys, ServerDataKeys
from airflow_provider_exclusive.crypto.keyring import key_id_of
from airflow_provider_exclusive.exceptions import ConfigurationError

_KEYS: Final = Area("keys")


def check(facts: Facts) -> Iterator[Finding]:
    """Check that keys can be read and match, and report their source."""
    if isinstance(facts.settings, ConfigurationError):
        return  # the check of the settings has reported it
    if isinstance(facts.keys, ConfigurationError):
        yield _KEYS.error("source", str(facts.keys))
    elif isinstance(facts.keys, ServerDataKeys):
        yield from _check_public_key(facts.keys)
    elif isinstance(facts.keys, LocalDataKeys):
        yield from _check_private_keys(facts.settings, facts.keys)


def _check_public_key(keys: ServerDataKeys) -> Iterator[Finding]:
    yield _KEYS.ok("source", f"This process holds only [exclusive] public_key, key_id {key_id_of(keys.public_key)}.")
    yield _KEYS.ok(
        "opens",
        "A worker with this configuration opens no values by itself: the API server decides on every read.",
        "This is true as long as the worker has neither the metadata database's credentials nor [api_auth] jwt_secret.",
    )


def _check_private_keys(settings: Settings, keys: LocalDataKeys) -> Iterator[Finding]:
    held = keys.keyring.keys
    retired = len(held) - 1
    older = f", and {retired} retired key{'s' * (retired != 1)}" if retired else ""
    source = "[exclusive] private_key" if settings.private_key else "[core] fernet_key, from which it is derived"
    yield _KEYS.ok(
        "source",
        f"The private key comes from {source}: key_id {held[0].key_id}{older}.",
        "This command must show the same key_id in every component: values sealed under another key cannot be opened.",
    )
    if settings.private_key and settings.public_key:
        yield _KEYS.ok("pair", "[exclusive] public_key belongs to the first private key.")
    yield _KEYS.ok(
        "opens",
        "A worker with this configuration could open every value by itself: scopes protect against mistakes there, "
        "not against malicious tasks.",
        "This is right for the API server and for a single machine. For workers that you do not trust, generate a key "
        "pair with airflow exclusive keygen and give them only public_key, without [core] fernet_key.",
    )
