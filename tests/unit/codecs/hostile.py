"""Bytes that nobody's encoder wrote."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_exclusive.exceptions import CodecError


def truncations(payload: bytes) -> Iterator[bytes]:
    for length in range(len(payload)):
        yield payload[:length]


def flips(payload: bytes) -> Iterator[bytes]:
    for position, byte in enumerate(payload):
        for mask in (0x01, 0x80, 0xFF):
            yield payload[:position] + bytes([byte ^ mask]) + payload[position + 1 :]


def decode_everything(codec, payload: bytes) -> int:
    """Return how many altered payloads were refused; whatever is not refused must decode without any other error."""
    refused = 0
    for altered in (*truncations(payload), *flips(payload)):
        try:
            codec.decode(altered)
        except CodecError:
            refused += 1
    return refused
