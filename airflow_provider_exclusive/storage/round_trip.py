"""Trying a store out: what Airflow's *Test* button and ``airflow exclusive doctor`` both do."""

from __future__ import annotations

import os
import statistics
import time
from typing import Final

from airflow_provider_exclusive.exceptions import StorageError
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.storage.object_keys import new_object_id, object_key

_NOBODYS: Final = Coordinate("airflow_provider_exclusive", "round_trip", "probe", -1, "probe")
_PAYLOAD_BYTES: Final = 1024
_TTL_SECONDS: Final = 60
_MEASURED: Final = 3


def make_round_trip(driver: StorageDriver) -> None:
    """
    Write, read back and delete 1 KiB.

    :raises StorageError: if the store does not do it, or gives back other bytes.
    """
    key, payload = object_key(_NOBODYS, new_object_id()), os.urandom(_PAYLOAD_BYTES)
    driver.store(key, payload, ttl_seconds=_TTL_SECONDS)
    try:
        if driver.retrieve(key) != payload:
            raise StorageError(f"{driver!r} gave back other bytes than were written: do not use it.")
    finally:
        driver.delete(key)


def measure_round_trip(driver: StorageDriver) -> float:
    """
    Return how long a round trip takes, in milliseconds: the median of several.

    One goes before them, because only the first of a process connects.

    :raises StorageError: as :func:`make_round_trip` does.
    """
    make_round_trip(driver)
    return statistics.median(_timed(driver) for _ in range(_MEASURED))


def _timed(driver: StorageDriver) -> float:
    start = time.perf_counter()
    make_round_trip(driver)
    return (time.perf_counter() - start) * 1000
