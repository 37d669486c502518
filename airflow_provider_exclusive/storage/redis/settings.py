"""
Where a Redis server is, and a client of it.

Nothing here is imported from redis-py before a client is made. This module knows nothing of Airflow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_exclusive.exceptions import ConfigurationError

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """
    Where a Redis server is and how long to wait for it.

    :param username: an ACL user, or None for the default user.
    :param ssl: whether the port speaks TLS; the certificate and its host name are always verified.
    :param ssl_ca_certs: a file with the CA of the server's certificate; None trusts what the machine trusts.
    :param ssl_certfile: a client certificate for servers that ask for one; ``ssl_keyfile`` is its key.
    :param key_prefix: what every key begins with, so that an ACL or a person can tell them apart.
    :param connect_timeout_seconds: for one connection attempt.
    :param read_timeout_seconds: for silence of the server during one attempt, and for sending one command.
    :param deadline_seconds: for one round trip with all its retries. An answer that is still arriving is not cut off.
    :param retries: how often a round trip is repeated after the first attempt; storing and reading are idempotent.
    :raises ConfigurationError: if the numbers contradict each other.
    """

    host: str
    port: int = 6379
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssl: bool = False
    ssl_ca_certs: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    key_prefix: str = "exclusive:"
    connect_timeout_seconds: float = 5
    read_timeout_seconds: float = 30
    deadline_seconds: float = 60
    retries: int = 3

    def __post_init__(self) -> None:
        for option in ("connect_timeout_seconds", "read_timeout_seconds"):
            seconds = getattr(self, option)
            if seconds <= 0:
                raise ConfigurationError(f"{option}: got {seconds}, expected more than 0 seconds.", option=option)
        files = [name for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile") if getattr(self, name)]
        if files and not self.ssl:
            raise ConfigurationError(
                f"{files[0]}: set, but ssl is not, so the connection would not be encrypted. Set ssl to true, or unset "
                f"{files[0]}.",
                option=files[0],
            )
        if self.retries < 0:
            raise ConfigurationError(f"retries: got {self.retries}, expected 0 or more.", option="retries")
        if self.deadline_seconds < self.attempt_seconds:
            raise ConfigurationError(
                f"deadline_seconds: got {self.deadline_seconds}, expected at least the {self.attempt_seconds} seconds "
                "of connect_timeout_seconds and read_timeout_seconds together, or no attempt could end in time.",
                option="deadline_seconds",
            )

    @property
    def server(self) -> str:
        """``host:port``, for messages."""
        return f"{self.host}:{self.port}"

    @property
    def attempt_seconds(self) -> float:
        """How long one attempt may hang."""
        return self.connect_timeout_seconds + self.read_timeout_seconds


def connect_single_node(settings: RedisSettings) -> Redis:
    """Return a client of one server; it connects with its first command."""
    from redis import Redis

    return Redis(
        host=settings.host,
        port=settings.port,
        db=settings.db,
        username=settings.username,
        password=settings.password,
        ssl_ca_certs=settings.ssl_ca_certs,
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
        **safeguards(settings),
    )


def safeguards(settings: RedisSettings) -> dict[str, Any]:
    """Return the arguments of a client that bound each wait and verify the server."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_connect_timeout": settings.connect_timeout_seconds,
        "socket_timeout": settings.read_timeout_seconds,
        "socket_keepalive": True,
        # The driver repeats whole round trips itself: retries inside of retries would multiply and know no deadline.
        "retry": Retry(NoBackoff(), 0),
        # RESP2 needs no greeting that an old server or a narrow ACL would refuse.
        "protocol": 2,
        "ssl": settings.ssl,
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
    }
