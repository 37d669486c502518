"""
Seal encoded values under data keys; a sealed value is a *payload*.

A *data key* seals one value and is used for nothing else. :mod:`airflow_provider_exclusive.crypto.keyring` protects it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM

from airflow_provider_exclusive.buffers import Chunk, fresh_memory
from airflow_provider_exclusive.exceptions import CodecError, EnvelopeError

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
MAX_PAYLOAD_BYTES: Final = 2**31 - 1 - TAG_BYTES
"""The largest encoded value that the cipher seals, in bytes (OpenSSL's limit, see ``cryptography``'s ``AESGCM``)."""

_CHUNK_BYTES: Final = 1 << 18  # small enough to stay in the processor's cache
# A data key seals exactly one value, so a fixed nonce is never reused under a key (NIST SP 800-38D, section 8).
_PAYLOAD_NONCE: Final = bytes(12)


def new_data_key() -> bytes:
    """Return a fresh data key of 32 random bytes."""
    return os.urandom(KEY_BYTES)


class Sealing:
    """
    A payload that is sealed while it is read: encrypted piece by piece, into a buffer that the next piece overwrites.

    It can be iterated again, for a second attempt to store it, and then yields the same bytes or fails: two plain texts
    under one data key and nonce would give both away. What another thread changes before it was sealed is sealed as it
    is then.

    :param pieces: the encoded value, in one or more pieces; joining them would copy it.
    :param data_key: a fresh data key.
    :param context: what the payload is bound to.
    """

    def __init__(self, pieces: Sequence[Chunk], *, data_key: bytes, context: bytes) -> None:
        self._pieces, self._context = pieces, context
        self._cipher = Cipher(AES256(data_key), GCM(_PAYLOAD_NONCE))
        self._size = sum(map(len, pieces))
        # Fingerprints of what was sealed: GMAC costs next to nothing, and nobody sees its key or its results.
        self._gmac = AESGCM(new_data_key())
        self._fingerprints: list[bytes] = []

    def __len__(self) -> int:
        return self._size + TAG_BYTES

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """
        Yield the sealed pieces.

        :raises CodecError: if the memory of a piece changed after it was sealed for an earlier attempt.
        """
        encryptor = self._cipher.encryptor()
        encryptor.authenticate_additional_data(self._context)
        buffer = memoryview(bytearray(min(_CHUNK_BYTES, self._size)))
        for number, chunk in enumerate(self._chunks()):
            sealed = buffer[: encryptor.update_into(chunk, buffer)]
            self._check_is_same(number, sealed)
            yield sealed
        encryptor.finalize()
        yield encryptor.tag

    def _chunks(self) -> Iterator[memoryview]:
        for piece in self._pieces:
            view = memoryview(piece)
            for begin in range(0, len(view), _CHUNK_BYTES):
                yield view[begin : begin + _CHUNK_BYTES]

    def _check_is_same(self, number: int, sealed: memoryview) -> None:
        fingerprint = self._gmac.encrypt(_PAYLOAD_NONCE, b"", sealed)
        if number == len(self._fingerprints):
            self._fingerprints.append(fingerprint)
        elif fingerprint != self._fingerprints[number]:
            raise CodecError(
                "The value changed while it was being stored, and the first attempt to store it failed: another thread "
                "writes to its memory, so it cannot be sealed a second time. Push a copy of it."
            )


class Opening:
    """
    A payload that is opened while it arrives: decrypted piece by piece, and returned only if all of it is genuine.

    :param size: bytes of the encoded value.
    :raises EnvelopeError: if ``data_key`` is invalid, or ``size`` is more than can be sealed.
    """

    def __init__(self, size: int, *, data_key: bytes, context: bytes) -> None:
        if size > MAX_PAYLOAD_BYTES:
            raise cannot_be_opened()
        self._size, self._context = size, context
        try:
            self._cipher = Cipher(AES256(data_key), GCM(_PAYLOAD_NONCE))
        except ValueError as failure:
            raise cannot_be_opened() from failure
        self.restart()

    def restart(self) -> None:
        """Discard everything that was written."""
        self._decryptor = self._cipher.decryptor()
        self._decryptor.authenticate_additional_data(self._context)
        self._opened: bytearray | memoryview | None = None
        self._position = 0
        self._tag = b""

    @property
    def has_begun(self) -> bool:
        """Whether anything was written, even an empty piece."""
        return self._opened is not None

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Decrypt the next bytes."""
        if self._opened is None:
            self._opened = fresh_memory(self._size)
        view = memoryview(chunk)
        own = view[: self._size - self._position]
        if own:
            self._position += self._decryptor.update_into(own, memoryview(self._opened)[self._position :])
        if len(own) < len(view) and len(self._tag) <= TAG_BYTES:
            self._tag += bytes(view[len(own) : len(own) + TAG_BYTES + 1])

    def finish(self) -> bytearray | memoryview:
        """
        Return the encoded value, in memory that nothing else uses.

        :raises EnvelopeError: if payload, data key or context differ from those that were sealed.
        """
        if self._opened is None or self._position < self._size or len(self._tag) != TAG_BYTES:
            raise cannot_be_opened()
        try:
            self._decryptor.finalize_with_tag(self._tag)
        except InvalidTag as failure:
            raise cannot_be_opened() from failure
        return self._opened


def cannot_be_opened() -> EnvelopeError:
    """Return the one error for every integrity failure."""
    return EnvelopeError(
        "This exclusive value cannot be opened: its row or its payload is not what the producer wrote. "
        "Clear and re-run the producer task."
    )
