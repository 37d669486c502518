"""
Every error this package raises, in one tree.

::

    ExclusiveError
    ├── ConfigurationError(ValueError)
    ├── ScopeError
    │   ├── InvalidScopeError(ValueError)
    │   ├── AccessDeniedError
    │   └── HandOverError
    ├── EnvelopeError
    │   ├── UnsupportedReferenceError
    │   └── UnknownKeyError
    ├── CodecError
    └── StorageError
        ├── PayloadNotFoundError
        └── StorageUnavailableError

A message says what failed, what was found, what was expected and what to do. It never carries a value, a key or a
digest of either: messages end up in logs.
"""

from __future__ import annotations


class ExclusiveError(Exception):
    """Base of every error of this package; never raised itself."""


class ConfigurationError(ExclusiveError, ValueError):
    """
    An option, a connection field or key material is missing or wrong.

    :param message: what is wrong and how to mend it.
    :param option: the option or connection field, such as ``[exclusive] private_key``.
    """

    def __init__(self, message: str, *, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class ScopeError(ExclusiveError):
    """Base of the errors about who may read; raised itself where a value would come to lie where anybody may."""


class InvalidScopeError(ScopeError, ValueError):
    """A Dag declares a consumer scope that cannot hold; raised when the Dag is parsed."""


class AccessDeniedError(ScopeError):
    """
    A reader outside the consumer scope asked for a value; retrying cannot help.

    :param message: who asked, for what, and who may.
    :param reason: a stable word for machines: ``not-in-scope`` or ``unknown-reader``.
    """

    def __init__(self, message: str, *, reason: str = "not-in-scope") -> None:
        super().__init__(message)
        self.reason = reason


class HandOverError(ScopeError):
    """What should have been handed to a triggered run, or collected from one, is not there."""


class EnvelopeError(ExclusiveError):
    """
    A value cannot be opened.

    Deliberately one error for every integrity failure: telling apart which check failed helps only an attacker.
    """


class UnsupportedReferenceError(EnvelopeError):
    """A reference was written in a version of the format that this release does not know."""


class UnknownKeyError(EnvelopeError):
    """
    A value is sealed under a key that this process does not hold.

    :param message: what is missing and where it belongs.
    :param key_id: the public identifier of the missing key.
    """

    def __init__(self, message: str, *, key_id: str | None = None) -> None:
        super().__init__(message)
        self.key_id = key_id


class CodecError(ExclusiveError):
    """A value cannot be turned into bytes, or bytes cannot be turned back into a value."""


class StorageError(ExclusiveError):
    """The payload store refused an operation."""


class PayloadNotFoundError(StorageError):
    """A payload has expired, was purged or was lost; clearing its producer writes it anew."""


class StorageUnavailableError(StorageError):
    """The payload store does not answer; the only error of this package that is worth a retry."""
