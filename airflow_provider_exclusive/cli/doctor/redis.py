"""Check that Redis is configured not to lose values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from airflow_provider_exclusive.cli.doctor.facts import Facts, is_loopback
from airflow_provider_exclusive.cli.doctor.report import Area, Finding
from airflow_provider_exclusive.cli.doctor.usage import describe_usage
from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage.redis.driver import RedisDriver
from airflow_provider_exclusive.storage.redis.errors import is_forbidden
from airflow_provider_exclusive.storage.redis.server_info import UNKNOWN, RedisFacts
from airflow_provider_exclusive.storage.round_trip import make_round_trip

_REDIS: Final = Area("redis")
_PERMIT_INFO: Final = "Permit the connection's user the command INFO: ACL SETUSER <login> +info."
_NEARLY_FULL: Final = 0.8
# The first version with users and TLS.
_LEAST_MAJOR_VERSION: Final = 6


def check(facts: Facts) -> Iterator[Finding]:
    """Check the configuration of the server, if the store is a Redis server."""
    driver = facts.driver
    if not isinstance(driver, RedisDriver):
        return
    try:
        server = driver.inspect()
    except StorageError as failure:
        if isinstance(failure, StorageUnavailableError) or not _works(driver):
            return  # the round trip has reported the cause
        yield _REDIS.warning(
            "info",
            f"Could not read the server's configuration, so eviction and persistence are not checked: {failure}",
            _PERMIT_INFO if is_forbidden(failure) else "Do what it says, and run this command again.",
        )
        return
    yield from examine(server, usage=lambda: describe_usage(driver))


def examine(server: RedisFacts, *, usage: Callable[[], str]) -> Iterator[Finding]:
    """
    Check what a server reported about itself.

    :param usage: says which Dags fill it; called only if it is nearly full.
    """
    yield from _check_mode(server)
    if server.mode == "sentinel":
        return  # nothing else that it says is about a store
    yield _check_eviction(server)
    yield from _check_memory(server, usage)
    yield from _check_persistence(server)
    yield from _check_role(server)
    yield from _check_network(server)
    yield _check_version(server)


def _works(driver: RedisDriver) -> bool:
    try:
        make_round_trip(driver)
    except StorageError:
        return False
    return True


def _check_mode(server: RedisFacts) -> Iterator[Finding]:
    if server.mode == "sentinel":
        yield _REDIS.error(
            "mode",
            "The connection leads to a server that is a Sentinel: it watches other servers and keeps no values.",
            "Name the primary that it watches in the connection, with that server's port.",
        )
    elif server.mode == "cluster":
        yield _REDIS.error(
            "mode",
            "The connection leads to a node of a Redis Cluster: it refuses every key that belongs to another node.",
            "Name a standalone server in the connection; Redis Cluster is not supported.",
        )


def _check_eviction(server: RedisFacts) -> Finding:
    if server.maxmemory_policy == "noeviction":
        return _REDIS.ok("eviction", "maxmemory-policy is noeviction: when memory is full, pushes fail loudly.")
    if server.maxmemory_policy == UNKNOWN:
        return _REDIS.warning(
            "eviction",
            "The server does not report its maxmemory-policy.",
            "Make sure by other means that it never evicts a key when memory is full.",
        )
    return _REDIS.error(
        "eviction",
        f"maxmemory-policy is {server.maxmemory_policy}: when memory is full, values that are still needed are "
        "evicted silently.",
        "Set maxmemory-policy noeviction. Do not use a server as the store that is also a cache for others.",
    )


def _check_memory(server: RedisFacts, usage: Callable[[], str]) -> Iterator[Finding]:
    if server.evicted_keys:
        yield _REDIS.warning(
            "evicted_keys",
            f"Keys evicted because memory was full, since the server started: {server.evicted_keys:,}. Values may be "
            "among them.",
            "Set maxmemory-policy noeviction, give the server more memory, and clear the producers of missing values.",
        )
    if server.maxmemory and server.used_memory > _NEARLY_FULL * server.maxmemory:
        yield _REDIS.warning(
            "memory",
            f"{server.used_memory / server.maxmemory:.0%} of maxmemory ({server.maxmemory:,} bytes) is in use. "
            f"{usage()}",
            "Raise maxmemory: once memory is full, pushes fail. A lower ttl_seconds affects new values only.",
        )


def _check_persistence(server: RedisFacts) -> Iterator[Finding]:
    for way in server.failed_writes:
        yield _REDIS.error(
            "disk",
            f"The server's last attempt to write its {way} failed.",
            "See its log for the reason; most often the disk is full. A restart now would lose values.",
        )
    if server.has_append_only_file:
        yield _REDIS.ok("persistence", "Writes go to an append-only file: a crash loses at most a second of writes.")
    else:
        yield _REDIS.warning(
            "persistence",
            "appendonly is off: a crash or restart loses every value since the last snapshot, if there is one.",
            "Set appendonly yes, or accept that producers must be cleared and re-run after a restart.",
        )


def _check_role(server: RedisFacts) -> Iterator[Finding]:
    if server.role != "master":
        yield _REDIS.error(
            "role",
            f"The connection leads to a server with the role {server.role!r}, which may lag behind or refuse writes.",
            "Point the connection at the primary, or at a name that follows it.",
        )


def _check_network(server: RedisFacts) -> Iterator[Finding]:
    if is_loopback(server.host):
        return
    if server.is_tls:
        yield _REDIS.ok("tls", f"The connection to {server.host} is encrypted, and its certificate is verified.")
    else:
        yield _REDIS.warning(
            "tls",
            f"The connection to {server.host} is not encrypted: the password, and who reads what, are visible on the "
            "network. Values are sealed.",
            "Enable TLS on the server, and set the extra ssl = true in the connection.",
        )
    if server.lets_anyone_in:
        yield _REDIS.warning(
            "password",
            f"{server.host} accepts connections without a password, so anybody can delete every value.",
            "Give the default user a password (requirepass), or create an ACL user and disable the default user.",
        )


def _check_version(server: RedisFacts) -> Finding:
    major = server.version.partition(".")[0]
    if major.isdecimal() and int(major) < _LEAST_MAJOR_VERSION:
        return _REDIS.warning(
            "version",
            f"The server is compatible with Redis {server.version}, which supports neither users nor TLS and gets no "
            "fixes any more.",
            "Upgrade to a maintained version of Redis or Valkey.",
        )
    return _REDIS.ok("version", f"The server is compatible with Redis {server.version}.")
