"""Payloads in one piece: what the package seals while it sends, and opens while it receives."""

from __future__ import annotations

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.crypto.sealing import TAG_BYTES, Opening, Sealing


def seal(*pieces: Chunk, data_key: bytes, context: bytes) -> bytes:
    """Return the payload of a value, 16 bytes longer; see :class:`Sealing`."""
    return b"".join(map(bytes, Sealing(pieces, data_key=data_key, context=context)))


def open_sealed(sealed: bytes | bytearray, *, data_key: bytes, context: bytes) -> bytearray | memoryview:
    """
    Return the encoded value that :func:`seal` sealed.

    :raises EnvelopeError: if payload, data key or context differ from those that were sealed.
    """
    opening = Opening(max(0, len(sealed) - TAG_BYTES), data_key=data_key, context=context)
    opening.write(sealed)
    return opening.finish()
