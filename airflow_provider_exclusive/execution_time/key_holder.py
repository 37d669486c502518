"""
Whether the API server can open what this process seals, if this process cannot do that itself.

What is sealed to nobody's key would leave the producer green, although no task could ever read the value. Airflow shows
a task nothing of the answer to a push, so the API server is asked once per process, before the first value is stored.
"""

from __future__ import annotations

import functools

from airflow_provider_exclusive.access import error_codes
from airflow_provider_exclusive.compat.task_runner import find_xcom
from airflow_provider_exclusive.crypto.data_keys import missing_plugin, missing_private_key
from airflow_provider_exclusive.crypto.keyring import unknown_public_key


def require(key_id: str) -> None:
    """
    Check that the API server holds the private key that opens what is sealed here.

    :param key_id: the id of that key.
    :raises ConfigurationError: if the API server has no plugin, or no private key.
    :raises UnknownKeyError: if it holds others.
    """
    held = _held_key_ids()
    if not held:
        raise missing_private_key("this value was not stored: nobody could ever open it")
    if key_id not in held:
        raise unknown_public_key(key_id, held=held)


@functools.cache
def _held_key_ids() -> tuple[str, ...]:
    key_ids = find_xcom(error_codes.PROBE_DAG, error_codes.HELD_KEYS)
    if not isinstance(key_ids, list):
        raise missing_plugin("could never open this value, so it was not stored")
    return tuple(map(str, key_ids))
