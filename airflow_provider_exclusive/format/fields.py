"""Strict readers of the fields of a row: each field must be present and of its type, and there must be no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

MAX_INTEGER: Final = 2**63 - 1
MAX_CHARACTERS: Final = 250
"""The longest id of a Dag, run or task that Airflow stores (``airflow.models.base.ID_LEN``)."""
MAX_KEY_CHARACTERS: Final = 512
"""The longest XCom key that Airflow stores."""


def require_fields(row: object, names: frozenset[str]) -> dict[str, Any]:
    """Return ``row`` if it is a dict of exactly these ``names``; raise ValueError if not."""
    if not isinstance(row, dict) or row.keys() != names:
        raise ValueError("missing or unexpected fields")
    return row


def typed(value: object, kind: type) -> Any:
    """Return ``value`` if it is of exactly this ``kind``; raise TypeError if not."""
    # isinstance accepts a bool as an int, but True must not pass for 1.
    if type(value) is not kind:
        raise TypeError("a field has an unexpected type")
    return value


def optional(value: object, read: Callable[[object], Any]) -> Any:
    """Return None for None, and the result of ``read`` for anything else."""
    return None if value is None else read(value)


def string(value: object, *, most: int = MAX_CHARACTERS) -> str:
    """Return ``value`` if it is a string of at most ``most`` characters; raise TypeError or ValueError if not."""
    text: str = typed(value, str)
    if len(text) > most:
        raise ValueError("a text is too long")
    text.encode()  # a lone surrogate cannot be sent or stored
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
    """Return an integer from ``least`` to :data:`MAX_INTEGER`; raise TypeError or ValueError for anything else."""
    number: int = typed(value, int)
    # JSON has no largest integer, but Python refuses to print one of more than 4300 digits.
    if not least <= number <= MAX_INTEGER:
        raise ValueError("an integer is out of range")
    return number


def to_timestamp(moment: datetime) -> str:
    """Return a time that has a time zone as ISO 8601 in UTC, to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
