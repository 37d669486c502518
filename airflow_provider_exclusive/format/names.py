"""
The names in a reference, as bytes: the same names are always the same bytes, and few where Airflow chose the names.

The run ids that Airflow makes are a word and a time; the time takes a third of its characters as a number.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from airflow_provider_exclusive.format.fields import MAX_KEY_CHARACTERS, string

MAX_NAMES_BYTES: Final = 2**13
"""More than ids and a key of the greatest lengths take in UTF-8."""

_USUAL_KEY: Final = "return_value"
_BETWEEN: Final = "\0"  # which no database holds in an id
_PACKED: Final = "\1"
_CACHED_BYTES: Final = 512
_WORDS: Final = {"m": "manual", "s": "scheduled", "b": "backfill", "a": "asset_triggered"}
_LETTERS: Final = {word: letter for letter, word in _WORDS.items()}
_RUN_ID: Final = re.compile(rf"({'|'.join(_LETTERS)})__(\d{{4}}-\d\d-\d\dT[\d:.]+\+00:00)(.*)", re.ASCII | re.DOTALL)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Names(NamedTuple):
    """What identifies an XCom besides its map index."""

    dag_id: str
    run_id: str
    task_id: str
    key: str

    def to_bytes(self) -> bytes:
        """
        Return them as bytes that :meth:`from_bytes` reads.

        :raises ValueError: if one of them holds a NUL, or is no text that can be stored. (Also TypeError.)
        """
        names = (self.dag_id, _pack(self.run_id), self.task_id, "" if self.key == _USUAL_KEY else self.key)
        if any(_BETWEEN in name for name in names):
            raise ValueError("an id holds a NUL")
        return _BETWEEN.join(names).encode()

    @classmethod
    def from_bytes(cls, written: bytes) -> Names:
        """
        Read what :meth:`to_bytes` wrote.

        :raises ValueError: if it is anything else.
        """
        # They repeat in most references that one process reads. A cache keeps what it was given, so only the short.
        return _read_cached(written) if len(written) <= _CACHED_BYTES else _read(written)


def _read(written: bytes) -> Names:
    dag_id, run_id, task_id, key = written.decode().split(_BETWEEN)
    names = Names(
        string(dag_id),
        string(_unpack(run_id)),
        string(task_id),
        string(key, most=MAX_KEY_CHARACTERS) or _USUAL_KEY,
    )
    if names.to_bytes() != written:
        # These bytes are bound, and whoever writes the row anew writes the others.
        raise ValueError("the names could be other bytes")
    return names


_read_cached = lru_cache(maxsize=1024)(_read)


@lru_cache(maxsize=128)
def _pack(run_id: str) -> str:
    if run_id.startswith(_PACKED):
        raise ValueError("a run id begins with a control character")
    if (found := _RUN_ID.fullmatch(run_id)) is None:
        return run_id
    word, moment, rest = found.groups()
    try:
        microseconds = (datetime.fromisoformat(moment) - _EPOCH) // _MICROSECOND
    except ValueError:
        return run_id
    packed = f"{_PACKED}{_LETTERS[word]}{microseconds:x}{_PACKED}{rest}"
    return packed if _unpack(packed) == run_id else run_id


def _unpack(text: str) -> str:
    if not text.startswith(_PACKED):
        return text
    packed, rest = text[1:].split(_PACKED, 1)
    try:
        word, moment = _WORDS[packed[:1]], _EPOCH + int(packed[1:], 16) * _MICROSECOND
    except (KeyError, OverflowError) as failure:
        raise ValueError("not a packed run id") from failure
    return f"{word}__{moment.isoformat()}{rest}"
