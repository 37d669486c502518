"""Payloads that a reader gets, may have and cannot read."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_exclusive.crypto import sealing
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.store import object_key_of
from stack.airflow import AirflowStack
from stack.metadata import XComRow
from tests.sealed import open_sealed, seal


def spoil(row: XComRow, *, stack: AirflowStack, driver: StorageDriver, keyring: Keyring) -> None:
    """Change a bit of the payload, for the key ``"flipped"``, or else seal it as one of the codec that the key names."""
    reference = Reference.from_row(row.value)
    location = object_key_of(reference)
    sealed = driver.retrieve(location)
    if row.key == "flipped":
        driver.store(location, sealed[:-1] + bytes([sealed[-1] ^ 1]), ttl_seconds=None)
        return
    old_key = keyring.unwrap(reference.wrapped, key_id=reference.key_id, context=reference.context())
    payload = open_sealed(sealed, data_key=old_key, context=reference.context())
    other, data_key = replace(reference, codec=row.key), sealing.new_data_key()
    driver.store(location, seal(payload, data_key=data_key, context=other.context()), ttl_seconds=None)
    key_id, wrapped = keyring.wrap(data_key, context=other.context())
    stack.metadata.overwrite(row, replace(other, key_id=key_id, wrapped=wrapped).to_row())
