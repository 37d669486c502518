"""
The deployment's key pair, and how it protects data keys.

The *secret* of a reference is the data key of its payload or, where the value is small, the encoded value itself. It is
stored in the reference, *wrapped* under a wrapping key that is derived from the private key. Only a process with the
private key can wrap or unwrap, so a row that opens was written by such a process. A process that holds only the public
key seals the secret: what it *sealed* is opened and wrapped by the holder of the private key.

Wrapping is AES-SIV (RFC 5297), which was made for it: without a nonce there is none to repeat, however many references
one key wraps, and a row is twelve bytes shorter.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airflow_provider_exclusive.crypto.sealing import KEY_BYTES, cannot_be_opened
from airflow_provider_exclusive.exceptions import ConfigurationError, UnknownKeyError

_LABEL: Final = b"airflow-provider-exclusive/v1/"
_SUITE: Final = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)  # RFC 9180
_WRAPPING_KEY_BYTES: Final = 64  # a half for each of the two keys of SIV
_LEAST_DISTINCT_BYTES: Final = 8
_KEY_CHARACTERS: Final = 44  # base64 of 32 bytes


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """
    One private key of the deployment: 32 raw bytes of X25519 and the keys that are derived from them.

    :param key_id: the public id of the key, derived from its public half.
    """

    key_id: str
    public: bytes
    wrapping: AESSIV = field(repr=False, compare=False)
    exchange_key: X25519PrivateKey = field(repr=False)

    @property
    def raw(self) -> bytes:
        """The 32 raw bytes."""
        return self.exchange_key.private_bytes_raw()

    @classmethod
    def from_raw(cls, raw: bytes) -> PrivateKey:
        """Build from the 32 raw bytes of an X25519 private key."""
        exchange_key = X25519PrivateKey.from_private_bytes(raw)
        public = exchange_key.public_key().public_bytes_raw()
        return cls(
            key_id=key_id_of(public),
            public=public,
            wrapping=AESSIV(derive(raw, purpose=b"wrapping-key", length=_WRAPPING_KEY_BYTES)),
            exchange_key=exchange_key,
        )


@dataclass(frozen=True, slots=True)
class Keyring:
    """
    The private keys of a deployment. The first one wraps; each unwraps what names it.

    :param keys: at least one, current key first.
    :raises ConfigurationError: if there is no key, or the same key twice.
    """

    keys: tuple[PrivateKey, ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise ConfigurationError("A keyring needs at least one private key.", option="[exclusive] private_key")
        if len({key.key_id for key in self.keys}) < len(self.keys):
            raise ConfigurationError(
                "[exclusive] private_key lists the same key twice. Remove one of them.",
                option="[exclusive] private_key",
            )

    @classmethod
    def from_raw_keys(cls, raw_keys: Iterable[bytes]) -> Keyring:
        """Build from raw X25519 private keys of 32 bytes each, current key first."""
        return cls(tuple(PrivateKey.from_raw(raw) for raw in raw_keys))

    @property
    def current_key_id(self) -> str:
        """The ``key_id`` that new references carry."""
        return self.keys[0].key_id

    @property
    def key_ids(self) -> list[str]:
        """The public ids of the keys, current key first."""
        return [key.key_id for key in self.keys]

    def wrap(self, secret: bytes, *, context: bytes) -> tuple[str, bytes]:
        """Return the key id and the wrapped secret, 16 bytes longer, bound to ``context``."""
        key = self.keys[0]
        return key.key_id, key.wrapping.encrypt(secret, [_wrap_context(key.key_id, context)])

    def unwrap(self, wrapped: bytes, *, key_id: str, context: bytes) -> bytes:
        """
        Return the secret.

        The key is chosen by ``key_id`` alone; there is no trial decryption.

        :raises UnknownKeyError: if no key of this ring has ``key_id``.
        :raises EnvelopeError: if the secret was not wrapped under it for ``context``.
        """
        key = self._find(
            key_id,
            "This value is sealed under key {wanted!r}, which this process does not hold (it holds {held}). Add the "
            "old private key at the end of [exclusive] private_key (or the old fernet key to [core] fernet_key), or "
            "clear and re-run the producer task.",
        )
        try:
            return key.wrapping.decrypt(wrapped, [_wrap_context(key_id, context)])
        except InvalidTag as failure:
            raise cannot_be_opened() from failure

    def open_secret(self, sealed: bytes, *, key_id: str, context: bytes) -> bytes:
        """
        Return the secret that :func:`seal_secret` sealed to a public key of this ring.

        :raises UnknownKeyError: if no key of this ring has ``key_id``.
        :raises EnvelopeError: if it was not sealed to that key for ``context``.
        """
        key = self._find(key_id, _UNKNOWN_PUBLIC_KEY)
        try:
            return _SUITE.decrypt(sealed, key.exchange_key, _seal_context(key_id, context))
        except (InvalidTag, ValueError) as failure:
            raise cannot_be_opened() from failure

    def _find(self, key_id: str, otherwise: str) -> PrivateKey:
        for key in self.keys:
            if key.key_id == key_id:
                return key
        raise _unknown_key(otherwise, wanted=key_id, held=self.key_ids)


def seal_secret(secret: bytes, *, public_key: bytes, context: bytes) -> bytes:
    """
    Return ``secret`` sealed to the holder of the private key (HPKE, RFC 9180), 48 bytes longer.

    :param public_key: 32 raw bytes of X25519.
    """
    recipient = X25519PublicKey.from_public_bytes(public_key)
    return _SUITE.encrypt(secret, recipient, _seal_context(key_id_of(public_key), context))


def unknown_public_key(key_id: str, *, held: Iterable[str]) -> UnknownKeyError:
    """
    Return the error for a worker whose public key has no private half in the API server.

    :param held: the ids of the private keys that the API server holds.
    """
    return _unknown_key(_UNKNOWN_PUBLIC_KEY, wanted=key_id, held=held)


def key_id_of(public_key: bytes) -> str:
    """Return the public id of a key pair: 32 hexadecimal digits."""
    return hashlib.sha256(_LABEL + b"key-id" + public_key).hexdigest()[:32]


def derive(secret: bytes, *, purpose: bytes, length: int = KEY_BYTES) -> bytes:
    """Derive ``length`` bytes from ``secret`` by HKDF-SHA256 (RFC 5869); each purpose gives different bytes."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=_LABEL + purpose).derive(secret)


def is_as_long_as_a_key(text: str) -> bool:
    """Return whether ``text`` is about as long as a key, and so may be a mistyped one."""
    return len(text) in range(_KEY_CHARACTERS - 1, _KEY_CHARACTERS + 2)


def parse_key(text: str, *, option: str) -> bytes:
    """
    Read one key from configuration: base64 of exactly 32 random bytes.

    :raises ConfigurationError: if it is anything else, such as a passphrase.
    """
    try:
        # Both alphabets of RFC 4648 are accepted: fernet keys are URL-safe.
        raw = binascii.a2b_base64(text.strip().translate(_URL_SAFE).encode("ascii"), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ConfigurationError(
            f"{option} is not a key: expected base64 of exactly {KEY_BYTES} random bytes (44 characters), got "
            f"{len(text.strip())} characters that do not decode to that. {HOW_TO_MAKE_A_KEY}",
            option=option,
        )
    if _is_guessable(raw):
        raise ConfigurationError(
            f"{option} decodes to text or to a pattern, not to random bytes, so it can be guessed. {HOW_TO_MAKE_A_KEY}",
            option=option,
        )
    return raw


_URL_SAFE: Final = str.maketrans("-_", "+/")
HOW_TO_MAKE_A_KEY: Final = "Create a key with: airflow exclusive keygen"


def format_key(raw: bytes) -> str:
    """Return a key in the form that configuration uses."""
    return base64.b64encode(raw).decode("ascii")


def _is_guessable(raw: bytes) -> bool:
    # Few distinct bytes: a repeated pattern. Few distinct steps between them: a count such as 00 01 02 ….
    steps = {(after - before) % 256 for before, after in pairwise(raw)}
    is_text = raw.isascii() and raw.decode("ascii").isprintable()
    return is_text or min(len(set(raw)), len(steps)) < _LEAST_DISTINCT_BYTES


_UNKNOWN_PUBLIC_KEY: Final = (
    "The [exclusive] public_key of this worker has the id {wanted!r}, and the API server does not hold its private "
    "half (it holds those of {held}). Set public_key to the public half that airflow exclusive keygen printed with "
    "[exclusive] private_key. While keys are being changed, the API server gets the new private key first."
)


def _unknown_key(message: str, *, wanted: str, held: Iterable[str]) -> UnknownKeyError:
    return UnknownKeyError(message.format(wanted=wanted, held=", ".join(map(repr, held))), key_id=wanted)


def _wrap_context(key_id: str, context: bytes) -> bytes:
    return _named_context(b"airflow-provider-exclusive wrap", key_id, context)


def _seal_context(key_id: str, context: bytes) -> bytes:
    return _named_context(b"airflow-provider-exclusive seal", key_id, context)


def _named_context(label: bytes, key_id: str, context: bytes) -> bytes:
    name = key_id.encode()
    return label + len(name).to_bytes(8, "big") + name + context
