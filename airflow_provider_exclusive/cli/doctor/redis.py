"""Redis as a place that must not lose what it took."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from airflow_provider_exclusive.cli.doctor.facts import Facts, is_loopback
from airflow_provider_exclusive.cli.doctor.report import Area, Finding
from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage.redis.driver import RedisDriver
from airflow_provider_exclusive.storage.redis.server_info import UNKNOWN, RedisFacts

_REDIS: Final = Area("redis")
_NEARLY_FULL: Final = 0.8
# The first with users and TLS.
_LEAST_MAJOR_VERSION: Final = 6


def check(facts: Facts) -> Iterator[Finding]:
    """Ask the server how it is set up, if the store is a Redis server."""
    if not isinstance(facts.driver, RedisDriver):
        return
    try:
        server = facts.driver.inspect()
    except StorageUnavailableError:
        return  # the store's round trip has said why
    except StorageError as failure:
        yield _REDIS.warning(
            "info",
            f"The server does not tell how it is set up, so eviction and persistence are not checked: {failure}",
            "Grant the connection's user the command for it: ACL SETUSER <login> +info.",
        )
        return
    yield from examine(server)


def examine(server: RedisFacts) -> Iterator[Finding]:
    """Check what a server said about itself."""
    yield _check_eviction(server)
    yield from _check_memory(server)
    yield from _check_persistence(server)
    yield from _check_role(server)
    yield from _check_network(server)
    yield _check_version(server)


def _check_eviction(server: RedisFacts) -> Finding:
    if server.maxmemory_policy == "noeviction":
        return _REDIS.ok("eviction", "maxmemory-policy is noeviction: when memory is full, pushes fail loudly.")
    if server.maxmemory_policy == UNKNOWN:
        return _REDIS.warning(
            "eviction",
            "The server does not say its maxmemory-policy.",
            "Make sure by its own means that it never drops a key for want of memory.",
        )
    return _REDIS.error(
        "eviction",
        f"maxmemory-policy is {server.maxmemory_policy}: when memory is full, values that somebody still needs are "
        "dropped silently.",
        "Set maxmemory-policy noeviction. A server that is a cache for others, too, is no store for values.",
    )


def _check_memory(server: RedisFacts) -> Iterator[Finding]:
    if server.evicted_keys:
        yield _REDIS.warning(
            "evicted_keys",
            f"{server.evicted_keys:,} keys were dropped for want of memory since the server started; values may be "
            "among them.",
            "Set maxmemory-policy noeviction, give it more memory, and clear the producers of what is missing.",
        )
    if server.maxmemory and server.used_memory > _NEARLY_FULL * server.maxmemory:
        yield _REDIS.warning(
            "memory",
            f"{server.used_memory / server.maxmemory:.0%} of maxmemory ({server.maxmemory:,} bytes) is in use.",
            "Raise maxmemory, or lower [exclusive] ttl_seconds: once it is full, pushes fail.",
        )


def _check_persistence(server: RedisFacts) -> Iterator[Finding]:
    for way in server.failed_writes:
        yield _REDIS.error(
            "disk",
            f"The server could not write its {way} the last time it tried.",
            "Its log says why; most often the disk is full. A restart now would lose values.",
        )
    if server.has_append_only_file:
        yield _REDIS.ok("persistence", "Writes go to an append-only file: a crash loses a second's worth at most.")
    else:
        yield _REDIS.warning(
            "persistence",
            "appendonly is off: a crash or restart loses every value since the last snapshot, if there is one.",
            "Set appendonly yes, or accept that producers have to be cleared after a restart.",
        )


def _check_role(server: RedisFacts) -> Iterator[Finding]:
    if server.role != "master":
        yield _REDIS.error(
            "role",
            f"The connection leads to a server in the role {server.role!r}, which may lag behind or refuse writes.",
            "Point the connection at the primary, or at a name that follows it.",
        )


def _check_network(server: RedisFacts) -> Iterator[Finding]:
    if is_loopback(server.host):
        return
    if server.is_tls:
        yield _REDIS.ok("tls", f"The connection to {server.host} is encrypted, and its certificate verified.")
    else:
        yield _REDIS.warning(
            "tls",
            f"The connection to {server.host} is not encrypted: its password and who reads what can be seen on the "
            "way. Values are sealed.",
            "Switch TLS on in the server, and in the connection with the extra ssl = true.",
        )
    if server.lets_anyone_in:
        yield _REDIS.warning(
            "password",
            f"{server.host} lets anybody in without a password, who can then delete every value.",
            "Give the default user a password (requirepass), or make an ACL user and switch the default user off.",
        )


def _check_version(server: RedisFacts) -> Finding:
    major = server.version.partition(".")[0]
    if major.isdecimal() and int(major) < _LEAST_MAJOR_VERSION:
        return _REDIS.warning(
            "version",
            f"The server speaks the Redis of version {server.version}, which knows neither users nor TLS and gets no "
            "fixes any more.",
            "Upgrade to a maintained version of Redis or Valkey.",
        )
    return _REDIS.ok("version", f"The server speaks the Redis of version {server.version}.")
