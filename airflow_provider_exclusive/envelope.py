"""
Sealing payloads under data keys.

A *data key* seals one payload and is used for nothing else. How it is kept is the business of
:mod:`airflow_provider_exclusive.keyring`.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM

from airflow_provider_exclusive.exceptions import EnvelopeError

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
MAX_PAYLOAD_BYTES: Final = 2**31 - 1 - TAG_BYTES
"""What the cipher seals in one piece (OpenSSL's limit, see ``cryptography``'s ``AESGCM``), in bytes."""

# A data key seals exactly one payload, so a fixed nonce is never reused under a key (NIST SP 800-38D, section 8).
_PAYLOAD_NONCE: Final = bytes(12)


def new_data_key() -> bytes:
    """Return a fresh data key of 32 random bytes."""
    return os.urandom(KEY_BYTES)


def seal(*pieces: bytes | memoryview, data_key: bytes, context: bytes) -> bytearray:
    """
    Encrypt a payload and bind it to ``context``; :data:`TAG_BYTES` longer than the payload.

    :param pieces: the payload, which need not lie in one piece: joining it would copy it.
    """
    cipher = Cipher(AES256(data_key), GCM(_PAYLOAD_NONCE)).encryptor()
    cipher.authenticate_additional_data(context)
    size = sum(map(len, pieces))
    sealed = bytearray(size + TAG_BYTES)
    position, rest = 0, memoryview(sealed)
    for piece in pieces:
        position += cipher.update_into(piece, rest[position:])
    cipher.finalize()
    rest[position:] = cipher.tag
    return sealed


def open_sealed(sealed: bytes | bytearray, *, data_key: bytes, context: bytes) -> bytes:
    """
    Decrypt what :func:`seal` wrote.

    :raises EnvelopeError: if payload, data key or context are not those of the seal.
    """
    try:
        return AESGCM(data_key).decrypt(_PAYLOAD_NONCE, sealed, context)
    except (InvalidTag, ValueError) as failure:
        raise cannot_be_opened() from failure


def cannot_be_opened() -> EnvelopeError:
    """Return the one error for every integrity failure."""
    return EnvelopeError(
        "This exclusive value cannot be opened: its row or its payload is not what the producer wrote. "
        "Clear the producer task to write it anew."
    )
