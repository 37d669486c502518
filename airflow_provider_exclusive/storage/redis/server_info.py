"""What a Redis server says about itself: the facts that decide whether it keeps what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """
    One server as seen through a connection.

    ``INFO`` holds all of it but the first three, and needs no right to ``CONFIG``, which managed services refuse.

    :param lets_anyone_in: whether the server answers commands without any credentials.
    :param version: of the Redis protocol it speaks, so 7.2.4 for Valkey.
    :param mode: ``standalone``, ``cluster`` or ``sentinel``; :data:`UNKNOWN` if it does not say.
    :param role: ``master`` or ``slave``, in the server's own words.
    :param maxmemory_policy: such as ``noeviction``; :data:`UNKNOWN` if it does not say.
    :param maxmemory: limit in bytes; 0 means none.
    :param used_memory: bytes.
    :param evicted_keys: how many keys it dropped for want of memory since it started.
    :param has_append_only_file: whether each write goes to a log on disk.
    :param failed_writes: which of its ways to disk failed last, in words.
    """

    host: str
    is_tls: bool
    lets_anyone_in: bool
    version: str
    mode: str
    role: str
    maxmemory_policy: str
    maxmemory: int
    used_memory: int
    evicted_keys: int
    has_append_only_file: bool
    failed_writes: tuple[str, ...]

    @classmethod
    def from_info(cls, info: Mapping[str, Any], host: str, *, is_tls: bool, lets_anyone_in: bool) -> RedisFacts:
        """
        Read the answer to ``INFO``.

        :param info: field by field; servers that are only like Redis leave some out.
        """
        ways = {"aof_last_write_status": "append-only file", "rdb_last_bgsave_status": "snapshot"}
        return cls(
            host=host,
            is_tls=is_tls,
            lets_anyone_in=lets_anyone_in,
            version=str(info.get("redis_version", UNKNOWN)),
            # Valkey has another name for it.
            mode=str(info.get("redis_mode", info.get("server_mode", UNKNOWN))),
            role=str(info.get("role", UNKNOWN)),
            maxmemory_policy=str(info.get("maxmemory_policy", UNKNOWN)),
            maxmemory=int(info.get("maxmemory", 0)),
            used_memory=int(info.get("used_memory", 0)),
            evicted_keys=int(info.get("evicted_keys", 0)),
            has_append_only_file=int(info.get("aof_enabled", 0)) == 1,
            failed_writes=tuple(way for field, way in ways.items() if info.get(field, "ok") != "ok"),
        )
