"""Encodings in which each meaning has exactly one form, for the bytes that a cipher authenticates."""

from __future__ import annotations

import base64
import binascii
import functools
from typing import Final

_CACHED_CHARACTERS: Final = 256


def to_base64(data: bytes) -> str:
    """Return ``data`` in the standard alphabet of RFC 4648, padded."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: object) -> bytes:
    """
    Decode what :func:`to_base64` wrote, and reject any other text that means the same bytes.

    :raises TypeError: if ``text`` is not a string.
    :raises ValueError: if it is not canonical base64.
    """
    if not isinstance(text, str):
        raise TypeError("base64 must be a string")
    data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    if to_base64(data) != text:
        # The spare bits of the last character must be zero, or two texts would mean the same bytes.
        raise ValueError("base64 is not canonical")
    return data


def canonical(value: object) -> bytes:
    """
    Return JSON-like data as bytes, so that different data give different bytes.

    Each item is a tag, the length of its content in 8 bytes, and the content; None is a tag alone.

    :param value: None, integers, strings, lists, and dicts with string keys.
    :raises TypeError: for anything else.
    """
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return b"n"
    if isinstance(value, int) and not isinstance(value, bool):
        return _prefixed(b"i", str(value).encode("ascii"))
    if isinstance(value, list):
        return _prefixed(b"l", b"".join(map(canonical, value)))
    if isinstance(value, dict):
        return _prefixed(b"d", b"".join([_text(name) + canonical(value[name]) for name in sorted(value)]))
    raise TypeError(f"cannot encode {type(value).__name__}")


def _text(value: object) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"cannot encode {type(value).__name__} as a key")
    # Text from outside may have any length, and a cache keeps it for as long as the process runs.
    return _short_text(value) if len(value) <= _CACHED_CHARACTERS else _encoded(value)


# Names of fields, Dags, runs and tasks repeat in most references that one process reads.
@functools.lru_cache(maxsize=1024)
def _short_text(value: str) -> bytes:
    return _encoded(value)


def _encoded(value: str) -> bytes:
    return _prefixed(b"s", value.encode("utf-8", "surrogatepass"))


def _prefixed(tag: bytes, content: bytes) -> bytes:
    return tag + len(content).to_bytes(8, "big") + content
