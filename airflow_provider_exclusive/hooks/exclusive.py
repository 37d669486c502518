"""The composition root: settings and, where one is named, a connection become a driver and a store."""

from __future__ import annotations

import functools
from typing import Any, Final

from airflow.sdk.bases.hook import BaseHook

from airflow_provider_exclusive import config
from airflow_provider_exclusive.codecs.arrow import ArrowCodec
from airflow_provider_exclusive.codecs.base import CodecRegistry
from airflow_provider_exclusive.codecs.cloudpickle import CloudpickleCodec
from airflow_provider_exclusive.codecs.msgpack import MsgpackCodec
from airflow_provider_exclusive.codecs.serde import SerdeCodec
from airflow_provider_exclusive.exceptions import ExclusiveError, StorageError
from airflow_provider_exclusive.hooks import connections
from airflow_provider_exclusive.scopes import TaskIdentity
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.storage.object_keys import object_key
from airflow_provider_exclusive.store import ExclusiveStore

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


def current_store() -> ExclusiveStore:
    """
    Return this process's store, made at first use.

    :raises ConfigurationError: if settings, keys or connection cannot be.
    """
    return _store()


def current_driver() -> StorageDriver:
    """
    Return this process's driver, made at first use; needs no key.

    :raises ConfigurationError: if settings or connection cannot be.
    """
    return _driver()


def current_audit() -> str:
    """Return which reads are logged: ``off``, ``denied`` or ``all``."""
    return _settings().audit


def offload_threshold() -> int:
    """Return from which encoded size plain values go to the store, in bytes; 0 means never."""
    settings = _settings()
    return settings.offload_bytes if settings.has_configured_store else 0


def create_codecs(*, allow_cloudpickle: bool) -> CodecRegistry:
    """Return the codecs of a deployment, in order of preference."""
    arrow, serde = ArrowCodec(), SerdeCodec()
    optional = [CloudpickleCodec()] if allow_cloudpickle else []
    return CodecRegistry([MsgpackCodec(nested=[arrow, serde]), arrow, serde, *optional])


# A process's configuration does not change, and its connection is worth asking for only once.
@functools.cache
def _settings() -> config.Settings:
    return config.read_settings()


@functools.cache
def _driver() -> StorageDriver:
    settings = _settings()
    if settings.conn_id:
        return ExclusiveHook(settings.conn_id).get_conn()
    return connections.create_driver_from_url(settings.storage_url)


@functools.cache
def _store() -> ExclusiveStore:
    settings = _settings()
    return ExclusiveStore(
        driver=_driver(),
        keyring=config.read_keyring(settings),
        codecs=create_codecs(allow_cloudpickle=settings.allow_cloudpickle),
        inline_bytes=settings.inline_bytes,
        ttl_seconds=settings.ttl_seconds,
    )


def _check_round_trip(driver: StorageDriver) -> None:
    key, payload = object_key(_PROBE, "test"), b"airflow-provider-exclusive"
    driver.store(key, payload, ttl_seconds=_PROBE_TTL_SECONDS)
    try:
        if driver.retrieve(key) != payload:
            raise StorageError(f"{driver!r} gave back other bytes than were written.")
    finally:
        driver.delete(key)
