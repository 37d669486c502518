"""The hook of connections of type ``exclusive``, which name a store."""

from __future__ import annotations

from typing import Any, Final

from airflow.sdk.bases.hook import BaseHook

from airflow_provider_exclusive.exceptions import ExclusiveError, StorageError
from airflow_provider_exclusive.hooks import connections
from airflow_provider_exclusive.scopes import TaskIdentity
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.storage.object_keys import object_key

_PROBE: Final = TaskIdentity("airflow_provider_exclusive", "test_connection", "probe")
_PROBE_TTL_SECONDS: Final = 60


class ExclusiveHook(BaseHook):
    """
    Connects to the store that a connection of type ``exclusive`` names.

    :param exclusive_conn_id: the connection.
    """

    conn_name_attr = "exclusive_conn_id"
    default_conn_name = "exclusive_default"
    conn_type = "exclusive"
    hook_name = "Exclusive XCom"

    def __init__(self, exclusive_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.exclusive_conn_id = exclusive_conn_id

    def get_conn(self) -> StorageDriver:
        """
        Return a driver for the store.

        :raises ConfigurationError: naming the connection field that cannot be.
        """
        return connections.create_driver(self.get_connection(self.exclusive_conn_id))

    def test_connection(self) -> tuple[bool, str]:
        """Write, read back and delete a small object in the store; for Airflow's *Test* button."""
        try:
            driver = self.get_conn()
            _check_round_trip(driver)
        except ExclusiveError as failure:
            return False, str(failure)
        return True, f"Wrote, read back and deleted an object: {driver!r}."


def _check_round_trip(driver: StorageDriver) -> None:
    key, payload = object_key(_PROBE, "test"), b"airflow-provider-exclusive"
    driver.store(key, payload, ttl_seconds=_PROBE_TTL_SECONDS)
    try:
        if driver.retrieve(key) != payload:
            raise StorageError(f"{driver!r} gave back other bytes than were written.")
    finally:
        driver.delete(key)
