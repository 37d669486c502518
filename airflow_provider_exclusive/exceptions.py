"""
All errors that this package raises, in one tree.

::

    ExclusiveError
    ├── ConfigurationError(ValueError)
    ├── ScopeError
    │   ├── InvalidScopeError(ValueError)
    │   ├── AccessDeniedError
    │   ├── HandOverError
    │   └── HandOverWithdrawnError(AccessDeniedError, HandOverError)
    ├── EnvelopeError
    │   ├── UnsupportedReferenceError
    │   └── UnknownKeyError
    ├── CodecError
    └── StorageError
        ├── PayloadNotFoundError
        ├── StorageRefusedError
        └── StorageUnavailableError

A message says what failed, what was found, what was expected and what to do. It never carries a value, a key or a
digest of either: messages end up in logs.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


class ExclusiveError(Exception):
    """Base of all errors of this package; never raised itself."""


class ConfigurationError(ExclusiveError, ValueError):
    """
    An option, a connection field or key material is missing or invalid.

    :param message: what is wrong and how to fix it.
    :param option: the option or connection field, such as ``[exclusive] private_key``.
    """

    def __init__(self, message: str, *, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class ScopeError(ExclusiveError):
    """Base of the errors about who may read; raised itself if a value would be stored where anybody may read it."""


class InvalidScopeError(ScopeError, ValueError):
    """
    A Dag declares an invalid consumer scope; raised when the Dag is parsed.

    :param message: what is wrong and how to fix it.
    :param line: of the Dag file, with which the message then begins.
    """

    def __init__(self, message: str, *, line: str | None = None) -> None:
        super().__init__(message if line is None else f"{line}: {message}")
        self.message = message
        self.line = line


class AccessDeniedError(ScopeError):
    """
    A reader outside the consumer scope requested a value; a retry does not help.

    :param message: who requested what, and who may read it.
    :param reason: a stable word for programs: ``not-in-scope`` or ``unknown-reader``.
    """

    def __init__(self, message: str, *, reason: str = "not-in-scope") -> None:
        super().__init__(message)
        self.reason = reason


class HandOverError(ScopeError):
    """An output that should have been handed to a triggered run, or collected from one, is missing."""


class HandOverWithdrawnError(AccessDeniedError, HandOverError):
    """
    What the reader's run was handed is withdrawn, because the trigger task failed, was cleared or is being retried.

    Worth a retry: the next try of the trigger task takes over the run and hands over again.
    """

    def __init__(self, message: str, *, reason: str = "hand-over-withdrawn") -> None:
        super().__init__(message, reason=reason)


class EnvelopeError(ExclusiveError):
    """
    A value cannot be opened.

    All integrity failures raise this one error, because knowing which check failed helps only an attacker.
    """


class UnsupportedReferenceError(EnvelopeError):
    """A reference has a format version that this release does not support."""


class UnknownKeyError(EnvelopeError):
    """
    A value is sealed under a key that this process does not hold.

    :param message: which key is missing and where to add it.
    :param key_id: the public identifier of the missing key.
    """

    def __init__(self, message: str, *, key_id: str | None = None) -> None:
        super().__init__(message)
        self.key_id = key_id


class CodecError(ExclusiveError):
    """A value cannot be encoded, or an encoded value cannot be decoded."""


class StorageError(ExclusiveError):
    """The payload store refused an operation."""


class PayloadNotFoundError(StorageError):
    """A payload has expired, was purged or was lost; clear and re-run its producer to write it again."""


class StorageRefusedError(StorageError):
    """The payload store is full, or does not accept the credentials; worth a retry, because somebody may fix that."""


class StorageUnavailableError(StorageError):
    """The payload store does not respond; worth a retry, also at once."""


@contextmanager
def naming_producer(task_ids: Collection[str | None]) -> Iterator[None]:
    """
    Name the task in the message of an error that says to clear "the producer task".

    Whoever opens a payload knows what is wrong with it, but not whose it is.

    :param task_ids: the tasks whose outputs are read; if there is not exactly one, the message stays as it is.
    """
    try:
        yield
    except ExclusiveError as failure:
        known = [task_id for task_id in task_ids if task_id is not None]
        if len(known) == 1 and failure.args:
            failure.args = (str(failure.args[0]).replace("the producer task", f"task {known[0]!r}"), *failure.args[1:])
        raise
