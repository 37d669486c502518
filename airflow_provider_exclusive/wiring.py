"""Create this process's driver and store from its settings and, if they name one, a connection (composition root)."""

from __future__ import annotations

import functools

from airflow_provider_exclusive import config
from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec
from airflow_provider_exclusive.codecs.base import CodecRegistry
from airflow_provider_exclusive.codecs.classes import ClassesCodec
from airflow_provider_exclusive.codecs.cloudpickle import CloudpickleCodec
from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec
from airflow_provider_exclusive.codecs.serde import AirflowClasses, SerdeCodec
from airflow_provider_exclusive.hooks import connections
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.store import ExclusiveStore


def current_store() -> ExclusiveStore:
    """
    Return this process's store, created on first use.

    :raises ConfigurationError: if settings, keys or connection are invalid.
    """
    return _store()


def current_driver() -> StorageDriver:
    """
    Return this process's driver, created on first use; this needs no key.

    :raises ConfigurationError: if settings or connection are invalid.
    """
    return _driver()


def current_audit() -> str:
    """Return which reads are logged: ``off``, ``denied`` or ``all``."""
    return _settings().audit


def offload_threshold() -> int:
    """Return the encoded size from which plain values are written to the store, in bytes; 0 means never."""
    settings = _settings()
    return settings.offload_bytes if settings.has_configured_store else 0


def create_codecs(*, allow_cloudpickle: bool) -> CodecRegistry:
    """Return the codecs of a deployment, in order of preference."""
    arrow, serde = ArrowCodec(), SerdeCodec()
    classes = ClassesCodec(AirflowClasses(), before=[arrow], after=[serde])
    optional = [CloudpickleCodec()] if allow_cloudpickle else []
    return CodecRegistry([MsgpackCodec(nested=[arrow, classes, serde]), arrow, classes, serde, *optional])


# A process's configuration does not change, so one look-up of its connection is enough.
@functools.cache
def _settings() -> config.Settings:
    return config.read_settings()


@functools.cache
def _driver() -> StorageDriver:
    settings = _settings()
    if settings.conn_id:
        # Imported late: Airflow imports the configured backend, and so this module, while it imports its own base hook.
        from airflow_provider_exclusive.hooks.exclusive import ExclusiveHook

        return ExclusiveHook(settings.conn_id).get_conn()
    return connections.create_driver_from_url(settings.storage_url)


@functools.cache
def _store() -> ExclusiveStore:
    settings = _settings()
    return ExclusiveStore(
        open_driver=_driver,
        keys=config.read_data_keys(settings),
        codecs=create_codecs(allow_cloudpickle=settings.allow_cloudpickle),
        inline_bytes=settings.inline_bytes,
        ttl_seconds=settings.ttl_seconds,
        max_value_bytes=settings.max_value_bytes,
    )
