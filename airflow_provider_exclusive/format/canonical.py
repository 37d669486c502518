"""Base64 in which the same bytes are always the same text."""

from __future__ import annotations

import binascii


def to_base64(data: bytes) -> str:
    """Return ``data`` in the standard alphabet of RFC 4648, padded."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def from_base64(text: object) -> bytes:
    """
    Decode what :func:`to_base64` wrote, and reject any other text that means the same bytes.

    :raises TypeError: if ``text`` is not a string.
    :raises ValueError: if it is not canonical base64.
    """
    if not isinstance(text, str):
        raise TypeError("base64 must be a string")
    written = text.encode("ascii")
    data = binascii.a2b_base64(written, strict_mode=True)
    if binascii.b2a_base64(data, newline=False) != written:
        # The spare bits of the last character must be zero, or two texts would mean the same bytes.
        raise ValueError("base64 is not canonical")
    return data
