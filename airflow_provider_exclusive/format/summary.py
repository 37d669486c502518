"""What a reference says to whoever looks at its row: ``v1: 8002552 B arrow in redis until 2026-12-20T10:00:00Z``."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, NamedTuple

from airflow_provider_exclusive.format.fields import MAX_INTEGER

VERSION: Final = 1
MAX_SUMMARY_CHARACTERS: Final = 250

_BEGIN: Final = f"v{VERSION}: "
_IN_ROW: Final = "row"
_WORD: Final = r"[\w.\-]{1,64}"
_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_SUMMARY: Final = re.compile(
    rf"v{VERSION}: (?P<size>0|[1-9]\d{{0,18}}) B (?P<codec>{_WORD}) in (?P<store>{_WORD})"
    rf"(?: until (?P<expires_at>{_TIME}))?(?P<masked> masked)?",
    re.ASCII,
)


class Summary(NamedTuple):
    """
    What is said of a value in plain text.

    :param size: bytes of the encoded value.
    :param store: the type of the driver that has the payload; None if the value is sealed in the row itself.
    :param expires_at: when the payload expires, ISO 8601 in UTC to the second; None for never.
    :param is_masked: whether the texts in it are masked in logs.
    """

    size: int
    codec: str
    store: str | None
    expires_at: str | None
    is_masked: bool

    def __str__(self) -> str:
        until = f" until {self.expires_at}" if self.expires_at is not None else ""
        masked = " masked" if self.is_masked else ""
        return f"v{VERSION}: {self.size} B {self.codec} in {self.store or _IN_ROW}{until}{masked}"


def read_summary(text: str) -> Summary:
    """
    Read what ``str()`` of a summary wrote.

    :raises ValueError: if it is anything else.
    """
    if (found := _SUMMARY.fullmatch(text)) is None:
        raise ValueError("not a summary")
    size, store, expires_at = int(found["size"]), found["store"], found["expires_at"]
    if size > MAX_INTEGER:
        raise ValueError("a size is out of range")
    if expires_at is not None:
        datetime.fromisoformat(expires_at)
    return Summary(
        size, found["codec"], None if store == _IN_ROW else store, expires_at, is_masked=found["masked"] is not None
    )


def is_of_this_version(text: object) -> bool:
    """Return whether ``text`` begins as the summaries do that :func:`read_summary` reads."""
    return isinstance(text, str) and text.startswith(_BEGIN)


def version_in(text: object) -> int | None:
    """Return the version of the format that ``text`` begins with, or None if it names none."""
    found = re.match(r"v(\d{1,9}): ", text, re.ASCII) if isinstance(text, str) else None
    return int(found[1]) if found is not None else None
