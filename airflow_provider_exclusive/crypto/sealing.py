"""
Sealing payloads under data keys.

A *data key* seals one payload and is used for nothing else. How it is kept is the business of
:mod:`airflow_provider_exclusive.crypto.keyring`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM

from airflow_provider_exclusive.buffers import Chunk, fresh_memory
from airflow_provider_exclusive.exceptions import EnvelopeError

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
MAX_PAYLOAD_BYTES: Final = 2**31 - 1 - TAG_BYTES
"""What the cipher seals in one piece (OpenSSL's limit, see ``cryptography``'s ``AESGCM``), in bytes."""

_CHUNK_BYTES: Final = 1 << 18  # small enough to stay in the processor's cache on its way
# A data key seals exactly one payload, so a fixed nonce is never reused under a key (NIST SP 800-38D, section 8).
_PAYLOAD_NONCE: Final = bytes(12)


def new_data_key() -> bytes:
    """Return a fresh data key of 32 random bytes."""
    return os.urandom(KEY_BYTES)


class Sealing:
    """
    A payload as it is sealed: encrypted piece by piece, into memory that the next piece overwrites.

    It may be gone through again, as for a second attempt to store it, and then gives the same bytes: what the pieces
    lie in must not change meanwhile.

    :param pieces: the payload, which need not lie in one piece: joining it would copy it.
    :param data_key: a fresh one.
    :param context: what the payload is bound to.
    """

    def __init__(self, pieces: Sequence[Chunk], *, data_key: bytes, context: bytes) -> None:
        self._pieces, self._context = pieces, context
        self._cipher = Cipher(AES256(data_key), GCM(_PAYLOAD_NONCE))
        self._size = sum(map(len, pieces))

    def __len__(self) -> int:
        return self._size + TAG_BYTES

    def __iter__(self) -> Iterator[bytes | memoryview]:
        encryptor = self._cipher.encryptor()
        encryptor.authenticate_additional_data(self._context)
        buffer = memoryview(bytearray(min(_CHUNK_BYTES, self._size)))
        for piece in self._pieces:
            view = memoryview(piece)
            for begin in range(0, len(view), _CHUNK_BYTES):
                yield buffer[: encryptor.update_into(view[begin : begin + _CHUNK_BYTES], buffer)]
        encryptor.finalize()
        yield encryptor.tag


class Opening:
    """
    A payload as it is opened: decrypted piece by piece while it comes, and handed out only if all of it was genuine.

    :param size: bytes of the payload.
    :raises EnvelopeError: if ``data_key`` cannot be one, or nothing of this size was ever sealed.
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
        """Forget what came."""
        self._decryptor = self._cipher.decryptor()
        self._decryptor.authenticate_additional_data(self._context)
        self._payload: bytearray | memoryview | None = None
        self._position = 0
        self._tag = b""

    @property
    def has_begun(self) -> bool:
        """Whether anything came, if only an empty piece."""
        return self._payload is not None

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        if self._payload is None:
            self._payload = fresh_memory(self._size)
        view = memoryview(chunk)
        own = view[: self._size - self._position]
        if own:
            self._position += self._decryptor.update_into(own, memoryview(self._payload)[self._position :])
        if len(own) < len(view) and len(self._tag) <= TAG_BYTES:
            self._tag += bytes(view[len(own) : len(own) + TAG_BYTES + 1])

    def finish(self) -> bytearray | memoryview:
        """
        Return the payload, in memory that nothing else uses.

        :raises EnvelopeError: if payload, data key or context are not those of the seal.
        """
        if self._payload is None or self._position < self._size or len(self._tag) != TAG_BYTES:
            raise cannot_be_opened()
        try:
            self._decryptor.finalize_with_tag(self._tag)
        except InvalidTag as failure:
            raise cannot_be_opened() from failure
        return self._payload


def seal(*pieces: Chunk, data_key: bytes, context: bytes) -> bytes:
    """Return a payload sealed in one piece, :data:`TAG_BYTES` longer; see :class:`Sealing`."""
    return b"".join(map(bytes, Sealing(pieces, data_key=data_key, context=context)))


def open_sealed(sealed: bytes | bytearray, *, data_key: bytes, context: bytes) -> bytearray | memoryview:
    """
    Decrypt what :func:`seal` wrote.

    :raises EnvelopeError: if payload, data key or context are not those of the seal.
    """
    opening = Opening(max(0, len(sealed) - TAG_BYTES), data_key=data_key, context=context)
    opening.write(sealed)
    return opening.finish()


def cannot_be_opened() -> EnvelopeError:
    """Return the one error for every integrity failure."""
    return EnvelopeError(
        "This exclusive value cannot be opened: its row or its payload is not what the producer wrote. "
        "Clear the producer task to write it anew."
    )
