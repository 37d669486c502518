"""Readers of the fields of a row that take nothing on trust: each field is there, of its type, and no other is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

MAX_INTEGER: Final = 2**63 - 1


def require_fields(row: object, names: frozenset[str]) -> dict[str, Any]:
    """Return ``row`` if it is a dict of exactly these ``names``; ValueError if not."""
    if not isinstance(row, dict) or row.keys() != names:
        raise ValueError("fields differ")
    return row


def typed(value: object, kind: type) -> Any:
    """Return ``value`` if it is of exactly this ``kind``; TypeError if not."""
    # bool is an int to isinstance, and True must not pass for 1.
    if type(value) is not kind:
        raise TypeError("a field has another type")
    return value


def optional(value: object, read: Callable[[object], Any]) -> Any:
    """Return None for None, and what ``read`` makes of anything else."""
    return None if value is None else read(value)


def string(value: object) -> str:
    """Return ``value`` if it is a string; TypeError if not."""
    text: str = typed(value, str)
    return text


def database_text(value: object) -> str:
    """Return ``value`` if it is text that a database can hold, and not empty; TypeError or ValueError if not."""
    # PostgreSQL answers a NUL or a lone surrogate with an error of its own.
    text = string(value)
    if "\x00" in text or not text:
        raise ValueError("not an id")
    text.encode()
    return text


def integer(value: object, *, least: int = 0) -> int:
    """Return ``value`` if it is an integer from ``least`` to :data:`MAX_INTEGER`; TypeError or ValueError if not."""
    number: int = typed(value, int)
    # JSON knows no largest integer, but Python refuses to print one of more than 4300 digits.
    if not least <= number <= MAX_INTEGER:
        raise ValueError("an integer out of range")
    return number


def timestamp(value: object) -> str:
    """Return ``value`` if it is a time with its zone in ISO 8601; TypeError or ValueError if not."""
    text = string(value)
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without zone")
    return text


def to_timestamp(moment: datetime) -> str:
    """Return a time that has a zone as :func:`timestamp` reads it: in UTC, to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
