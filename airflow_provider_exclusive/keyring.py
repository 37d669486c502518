"""
Everything that touches key material: sealing payloads under data keys, and wrapping data keys.

A *data key* seals one payload and is used for nothing else. It travels in the reference, *wrapped* under a wrapping key
that is derived from the deployment's private key. Only a process with the private key can wrap or unwrap, so a row
that opens was written by one. Randomness enters in :func:`new_data_key` and :meth:`Keyring.wrap` alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airflow_provider_exclusive.exceptions import ConfigurationError, EnvelopeError, UnknownKeyError

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
MAX_PAYLOAD_BYTES: Final = 2**31 - 1 - TAG_BYTES
"""What the cipher seals in one piece (OpenSSL's limit, see ``cryptography``'s ``AESGCM``), in bytes."""

_NONCE_BYTES: Final = 12
# A data key seals exactly one payload, so a fixed nonce is never reused under a key (NIST SP 800-38D, section 8).
_PAYLOAD_NONCE: Final = bytes(_NONCE_BYTES)
_LABEL: Final = b"airflow-provider-exclusive/v1/"
_LEAST_DISTINCT_BYTES: Final = 8


def new_data_key() -> bytes:
    """Return a fresh data key of 32 random bytes."""
    return os.urandom(KEY_BYTES)


def seal(payload: bytes, *, data_key: bytes, context: bytes) -> bytes:
    """Encrypt ``payload`` and bind it to ``context``; :data:`TAG_BYTES` longer than the payload."""
    return AESGCM(data_key).encrypt(_PAYLOAD_NONCE, payload, context)


def open_sealed(sealed: bytes, *, data_key: bytes, context: bytes) -> bytes:
    """
    Decrypt what :func:`seal` wrote.

    :raises EnvelopeError: if payload, data key or context are not those of the seal.
    """
    try:
        return AESGCM(data_key).decrypt(_PAYLOAD_NONCE, sealed, context)
    except (InvalidTag, ValueError) as failure:
        raise _cannot_be_opened() from failure


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """
    One private key of the deployment: 32 raw bytes of X25519 and what follows from them.

    :param key_id: a public name for the key, derived from its public half.
    """

    key_id: str
    public: bytes
    wrapping_key: bytes = field(repr=False)

    @classmethod
    def from_raw(cls, raw: bytes) -> PrivateKey:
        """Build from the 32 raw bytes of an X25519 private key."""
        public = X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
        return cls(
            key_id=hashlib.sha256(_LABEL + b"key-id" + public).hexdigest()[:32],
            public=public,
            wrapping_key=derive(raw, purpose=b"wrapping-key"),
        )


@dataclass(frozen=True, slots=True)
class Keyring:
    """
    The private keys of a deployment; the first wraps, each unwraps what names it.

    :param keys: at least one, current key first.
    :raises ConfigurationError: if there is none, or one twice.
    """

    keys: tuple[PrivateKey, ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise ConfigurationError("A keyring needs at least one private key.", option="[exclusive] private_key")
        if len({key.key_id for key in self.keys}) < len(self.keys):
            raise ConfigurationError(
                "[exclusive] private_key lists the same key twice.", option="[exclusive] private_key"
            )

    @classmethod
    def from_raw_keys(cls, raw_keys: Iterable[bytes]) -> Keyring:
        """Build from raw X25519 private keys of 32 bytes each, current key first."""
        return cls(tuple(PrivateKey.from_raw(raw) for raw in raw_keys))

    @property
    def current_key_id(self) -> str:
        """The ``key_id`` that new references carry."""
        return self.keys[0].key_id

    def wrap(self, data_key: bytes, *, context: bytes) -> tuple[str, bytes]:
        """Return the current key's id and ``data_key`` wrapped under it, bound to ``context``: 12 + 32 + 16 bytes."""
        return self._wrap_with_nonce(data_key, context=context, nonce=os.urandom(_NONCE_BYTES))

    def _wrap_with_nonce(self, data_key: bytes, *, context: bytes, nonce: bytes) -> tuple[str, bytes]:
        key = self.keys[0]
        wrapped = AESGCM(key.wrapping_key).encrypt(nonce, data_key, _wrap_context(key.key_id, context))
        return key.key_id, nonce + wrapped

    def unwrap(self, wrapped_key: bytes, *, key_id: str, context: bytes) -> bytes:
        """
        Return the data key.

        The key is chosen by ``key_id`` alone; there is no trial decryption.

        :raises UnknownKeyError: if no key of this ring has ``key_id``.
        :raises EnvelopeError: if the data key was not wrapped under it for ``context``.
        """
        key = next((key for key in self.keys if key.key_id == key_id), None)
        if key is None:
            raise UnknownKeyError(
                f"This value is sealed under key {key_id!r}, which this process does not hold (it holds "
                f"{', '.join(repr(held.key_id) for held in self.keys)}). Add the old private key at the end of "
                "[exclusive] private_key (or the old fernet key to [core] fernet_key), or clear the producer task.",
                key_id=key_id,
            )
        if len(wrapped_key) != _NONCE_BYTES + KEY_BYTES + TAG_BYTES:
            raise _cannot_be_opened()
        nonce, sealed = wrapped_key[:_NONCE_BYTES], wrapped_key[_NONCE_BYTES:]
        try:
            return AESGCM(key.wrapping_key).decrypt(nonce, sealed, _wrap_context(key_id, context))
        except InvalidTag as failure:
            raise _cannot_be_opened() from failure


def derive(secret: bytes, *, purpose: bytes) -> bytes:
    """Derive 32 bytes from ``secret`` by HKDF-SHA256 (RFC 5869), apart from those of every other purpose."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_LABEL + purpose).derive(secret)


def parse_key(text: str, *, option: str) -> bytes:
    """
    Read one key from configuration: base64 of exactly 32 random bytes.

    :raises ConfigurationError: if it is anything else, above all a passphrase.
    """
    try:
        # Keys travel in both alphabets of RFC 4648: fernet keys are URL-safe.
        raw = binascii.a2b_base64(text.strip().translate(_URL_SAFE).encode("ascii"), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ConfigurationError(
            f"{option} is not a key: expected base64 of exactly {KEY_BYTES} random bytes (44 characters), got "
            f"{len(text.strip())} characters that are not. {HOW_TO_MAKE_A_KEY}",
            option=option,
        )
    if _is_guessable(raw):
        raise ConfigurationError(
            f"{option} decodes to text or to a pattern, not to random bytes: it can be guessed. {HOW_TO_MAKE_A_KEY}",
            option=option,
        )
    return raw


_URL_SAFE: Final = str.maketrans("-_", "+/")
HOW_TO_MAKE_A_KEY: Final = (
    'Make one with: python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"'
)


def format_key(raw: bytes) -> str:
    """Return a key as configuration holds it."""
    return base64.b64encode(raw).decode("ascii")


def _is_guessable(raw: bytes) -> bool:
    # Few distinct bytes: a repeated pattern. Few distinct steps between them: a count such as 00 01 02 ….
    steps = {(after - before) % 256 for before, after in pairwise(raw)}
    is_text = raw.isascii() and raw.decode("ascii").isprintable()
    return is_text or min(len(set(raw)), len(steps)) < _LEAST_DISTINCT_BYTES


def _wrap_context(key_id: str, context: bytes) -> bytes:
    name = key_id.encode()
    return b"airflow-provider-exclusive wrap" + len(name).to_bytes(8, "big") + name + context


def _cannot_be_opened() -> EnvelopeError:
    return EnvelopeError(
        "This exclusive value cannot be opened: its row or its payload is not what the producer wrote. "
        "Clear the producer task to write it anew."
    )
