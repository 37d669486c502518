"""
The Redis provider's hook with what it lacks: bounded waits, verified TLS, and no retries but the driver's.

Importing this module imports redis-py, so only the first operation on a Redis store does.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.redis.hooks.redis import RedisHook

from airflow_provider_exclusive.storage.redis.settings import RedisSettings, safeguards

if TYPE_CHECKING:
    from redis import Redis

# What the provider's client is taken for: where the server is, who asks, and by which library.
_PROVIDED: Final = (
    *("host", "port", "db", "username", "password", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"),
    *("driver_info", "lib_name", "lib_version"),
)


class ExclusiveRedisHook(RedisHook):
    """
    Makes Redis clients as Airflow's Redis provider does, within the limits of ``settings``.

    :param settings: a connection as it was checked. The provider reads one as it is written, and would take the text
        ``"false"`` of a connection URI for a yes.
    """

    def __init__(self, settings: RedisSettings) -> None:
        super().__init__()
        self._settings = settings

    def get_connection(self, conn_id: str) -> Any:  # type: ignore[override]  # noqa: ARG002 - there is one
        """Return the checked connection."""
        tls = {name: getattr(self._settings, name) for name in ("ssl", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")}
        return SimpleNamespace(
            host=self._settings.host,
            port=self._settings.port,
            login=self._settings.username,
            password=self._settings.password,
            extra_dejson={"db": self._settings.db, **tls},
        )

    def get_conn(self) -> Redis:
        """Return a client; it connects with its first command."""
        from redis import Redis

        pool = super().get_conn().connection_pool  # type: ignore[no-untyped-call]
        # A client reads most of its arguments once, so another is made rather than that one changed.
        provided = {name: pool.connection_kwargs[name] for name in _PROVIDED if name in pool.connection_kwargs}
        return Redis(**provided, **safeguards(self._settings))
