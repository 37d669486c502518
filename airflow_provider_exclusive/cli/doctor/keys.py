"""Which keys this process holds, and what it could open with them by itself."""

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
    """Check that keys can be read and match, and tell their source."""
    if isinstance(facts.settings, ConfigurationError):
        return  # the settings' own check has said why
    if isinstance(facts.keys, ConfigurationError):
        yield _KEYS.error("source", str(facts.keys))
    elif isinstance(facts.keys, ServerDataKeys):
        yield from _check_public_key(facts.keys)
    elif isinstance(facts.keys, LocalDataKeys):
        yield from _check_private_keys(facts.settings, facts.keys)


def _check_public_key(keys: ServerDataKeys) -> Iterator[Finding]:
    yield _KEYS.ok("source", f"This process holds [exclusive] public_key alone, key_id {key_id_of(keys.public_key)}.")
    yield _KEYS.ok(
        "opens",
        "With this configuration a worker opens nothing by itself: the API server decides on every read.",
        "This holds as long as the worker has neither the metadata database's credentials nor [api_auth] jwt_secret.",
    )


def _check_private_keys(settings: Settings, keys: LocalDataKeys) -> Iterator[Finding]:
    held = keys.keyring.keys
    older = f" and {len(held) - 1} for values of before" if len(held) > 1 else ""
    source = "[exclusive] private_key" if settings.private_key else "[core] fernet_key, from which it is derived"
    yield _KEYS.ok(
        "source",
        f"The private key comes from {source}: key_id {held[0].key_id}{older}.",
        "This command must show the same key_id in every component; what another key sealed does not open here.",
    )
    if settings.private_key and settings.public_key:
        yield _KEYS.ok("pair", "[exclusive] public_key is the public half of the first private key.")
    yield _KEYS.ok(
        "opens",
        "A worker with this configuration could open every value by itself: there the scope holds against mistakes, "
        "not against malice.",
        "That is right for the API server and for one machine. For workers that must not be trusted, make a pair with "
        "airflow exclusive keygen and give them public_key alone, without the fernet key.",
    )
