"""The hook of connections of type ``exclusive``, which name a store."""

from __future__ import annotations

from typing import Any

from airflow.sdk.bases.hook import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_exclusive.exceptions import ConfigurationError, ExclusiveError
from airflow_provider_exclusive.hooks import connections
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.storage.round_trip import make_round_trip


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

        :raises ConfigurationError: naming the connection that does not exist, or its invalid field.
        """
        try:
            connection = self.get_connection(self.exclusive_conn_id)
        except AirflowNotFoundException as missing:
            raise ConfigurationError(
                f"There is no connection {self.exclusive_conn_id!r}, which [exclusive] conn_id names. Create it, for "
                f"example with: airflow connections add {self.exclusive_conn_id} --conn-type exclusive --conn-host "
                "redis.internal; or unset conn_id.",
                option="[exclusive] conn_id",
            ) from missing
        return connections.create_driver(connection)

    def test_connection(self) -> tuple[bool, str]:
        """Write, read back and delete a small object in the store; for Airflow's *Test* button."""
        try:
            driver = self.get_conn()
            make_round_trip(driver)
        except ExclusiveError as failure:
            return False, str(failure)
        return True, f"Wrote, read back and deleted an object: {driver!r}."
