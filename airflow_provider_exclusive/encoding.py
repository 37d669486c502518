"""Encodings in which one meaning has exactly one form, so that a cipher can authenticate them."""

from __future__ import annotations

import base64
import binascii


def to_base64(data: bytes) -> str:
    """Return ``data`` in the standard alphabet of RFC 4648, padded."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: object) -> bytes:
    """
    Read what :func:`to_base64` wrote, and nothing else that means the same bytes.

    :raises TypeError: if ``text`` is no string.
    :raises ValueError: if it is not canonical base64.
    """
    if not isinstance(text, str):
        raise TypeError("base64 is text")
    data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    if to_base64(data) != text:
        # The spare bits of the last character must be zero, or two texts would name the same bytes.
        raise ValueError("base64 is not canonical")
    return data


def canonical(value: object) -> bytes:
    """
    Encode JSON-like data so that different data give different bytes: a tag, a length of 8 bytes, then the content.

    :param value: None, integers, strings, lists, and dicts with string keys.
    :raises TypeError: for anything else.
    """
    match value:
        case None:
            return b"n"
        case bool():
            raise TypeError("no field of a reference is a bool")
        case int():
            return _prefixed(b"i", str(value).encode("ascii"))
        case str():
            return _prefixed(b"s", value.encode("utf-8", "surrogatepass"))
        case list():
            return _prefixed(b"l", b"".join(map(canonical, value)))
        case dict():
            pairs = (canonical(name) + canonical(value[name]) for name in sorted(value))
            return _prefixed(b"d", b"".join(pairs))
    raise TypeError(f"cannot encode {type(value).__name__}")


def _prefixed(tag: bytes, content: bytes) -> bytes:
    return tag + len(content).to_bytes(8, "big") + content
