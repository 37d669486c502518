"""
How an object key is made, and what it may look like.

A key is unique for each write. It can come out of a reference that somebody edited by hand, so every driver checks it
before it touches its store: a key must not climb out of a directory, hide a file or reach a neighbour's objects.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Final

from airflow_provider_exclusive.exceptions import StorageError
from airflow_provider_exclusive.scopes.identity import Coordinate

# Unreserved URL characters and "%"; no segment is empty or begins with a dot, which rules out ".." and hidden files.
_SEGMENT: Final = r"[A-Za-z0-9_~%-][A-Za-z0-9._~%-]*"
_KEY: Final = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_READABLE_CHARACTERS: Final = 80
_UNREADABLE: Final = re.compile(r"[^A-Za-z0-9_-]")
_PREFIX: Final = re.compile(rf"(?:{_SEGMENT}/)*(?:{_SEGMENT})?")

ROOT: Final = "v1/"
"""What every object key starts with."""


def is_object_key(key: str) -> bool:
    """Return whether ``key`` is a relative path of URL-safe segments."""
    return _KEY.fullmatch(key) is not None


def check_object_key(key: str) -> None:
    """
    Refuse what no driver ever wrote.

    :raises StorageError: if ``key`` is not a relative path of URL-safe segments.
    """
    if not is_object_key(key):
        raise StorageError(
            f"Refusing the object key {key!r}: expected URL-safe segments joined by '/', none of them empty or "
            "beginning with a dot. A reference was edited or damaged: clear and re-run the producer task."
        )


def check_prefix(prefix: str) -> None:
    """
    Refuse a prefix that no object key can start with.

    :param prefix: an object key cut anywhere; the empty prefix stands for every object.
    :raises StorageError: if it is none.
    """
    if _PREFIX.fullmatch(prefix) is None:
        raise StorageError(
            f"Refusing the prefix {prefix!r}: expected the beginning of an object key, such as 'v1/' or 'v1/etl/'."
        )


def new_object_id() -> bytes:
    """Return 16 random bytes, which distinguish one write from all others of its XCom."""
    return os.urandom(16)


def object_key(xcom: Coordinate, object_id: bytes) -> str:
    """Return the object key of one write: readable, bounded in length, and ending in ``object_id``."""
    return f"{object_prefix(xcom)}{object_id.hex()}"


def object_prefix(xcom: Coordinate) -> str:
    """Return what every object key of one XCom starts with; different XComs never share it."""
    parts = (xcom.dag_id, xcom.run_id, xcom.task_id, xcom.map_index, xcom.key)
    encoded = (str(part).encode("utf-8", "surrogatepass") for part in parts)
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in encoded)).hexdigest()[:32]
    return f"{ROOT}{_readable(str(xcom.dag_id))}/{_readable(str(xcom.task_id))}/{digest}/"


def dag_in(key: str) -> str:
    """Return the Dag id that an object key names: at most 80 characters, unusual ones replaced by ``_``."""
    return key.removeprefix(ROOT).partition("/")[0]


def _readable(name: str) -> str:
    return _UNREADABLE.sub("_", name)[:_READABLE_CHARACTERS]
