"""What each error of redis-py means for a task: mend the connection, mend the server, or try again."""

from __future__ import annotations

import inspect
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError

# redis-py has no class of its own for these replies; in a pipeline it puts its own words before them.
_REPLY_WORD: Final = re.compile(r"(?:^|caused error: )(BUSY|NOREPLICAS|MISCONF|WRONGTYPE)\b")
_PASSING_REPLIES: Final = frozenset({"BUSY", "NOREPLICAS"})
# The peer went away during the handshake; every other TLS error is a matter of configuration.
_PASSING_TLS_ERRORS: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_UNREADABLE_FILE_ERRORS: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


@contextmanager
def translated(server: str) -> Iterator[None]:
    """
    Turn every error of redis-py into one of this package.

    :param server: ``host:port``, for the message; never a password.
    :raises StorageUnavailableError: if a retry may help.
    :raises StorageError: if it will not.
    """
    try:
        yield
    except _client_errors() as failure:
        raise _as_storage_error(failure, server) from failure


@cache
def _client_errors() -> tuple[type[Exception], ...]:
    from redis import exceptions

    classes = vars(exceptions).values()
    # redis-py has four roots of errors and grows new ones: take what it has.
    return (OSError, *(item for item in classes if inspect.isclass(item) and issubclass(item, Exception)))


def _as_storage_error(failure: Exception, server: str) -> StorageError:
    return (
        _tls_error(failure, server)
        or _access_error(failure, server)
        or _unavailable_error(failure, server)
        or _refusal(failure, server)
    )


def _tls_error(failure: Exception, server: str) -> StorageError | None:
    # redis-py hides the socket's error in the context of its own ConnectionError.
    origin = failure.__cause__ or failure.__context__ or failure
    if isinstance(origin, _UNREADABLE_FILE_ERRORS):
        return StorageError(
            f"A TLS file for Redis at {server} cannot be read ({type(origin).__name__}). Check the connection's extras "
            "ssl_ca_certs, ssl_certfile and ssl_keyfile: they name files on the machine of the worker."
        )
    if not isinstance(origin, ssl.SSLError) or isinstance(origin, _PASSING_TLS_ERRORS):
        return None
    if isinstance(origin, ssl.SSLCertVerificationError):
        return StorageError(
            f"The certificate of Redis at {server} was not accepted: {origin.verify_message}. Put the file with its CA "
            "into the connection's extra ssl_ca_certs, and use the host name that the certificate was made out for."
        )
    return StorageError(
        f"No TLS session with Redis at {server}: {origin.reason or 'handshake failed'}. Check that the port speaks TLS "
        "(otherwise the connection's extra ssl must be false), and ssl_certfile and ssl_keyfile if the server asks "
        "for a client certificate."
    )


def _access_error(failure: Exception, server: str) -> StorageError | None:
    from redis import exceptions

    if isinstance(failure, exceptions.NoPermissionError):
        return StorageError(
            f"Redis at {server} forbids its user a command or a key. Grant it, for the connection's key_prefix: "
            "ACL SETUSER <login> ~<key_prefix>* +set +get +getrange +unlink +scan +strlen."
        )
    rejected = (
        exceptions.AuthenticationError,
        exceptions.AuthorizationError,
        exceptions.AuthenticationWrongNumberOfArgsError,
        exceptions.ExternalAuthProviderError,
    )
    if isinstance(failure, rejected):
        return StorageError(
            f"Redis at {server} does not accept the credentials. Check login and password of the connection: a server "
            "with only requirepass wants an empty login, one with ACL users wants both."
        )
    return None


def _unavailable_error(failure: Exception, server: str) -> StorageUnavailableError | None:
    from redis import exceptions

    cluster_refusals = (exceptions.CrossSlotTransactionError, exceptions.InvalidPipelineStack)
    passing = (
        OSError,
        exceptions.ConnectionError,
        exceptions.TimeoutError,
        exceptions.ReadOnlyError,
        exceptions.TryAgainError,
        exceptions.ClusterError,
        exceptions.RedisClusterException,
    )
    is_passing = isinstance(failure, passing) and not isinstance(failure, cluster_refusals)
    if not is_passing and _reply_word(failure) not in _PASSING_REPLIES:
        return None
    said = str(failure).rstrip(".")
    return StorageUnavailableError(
        f"Redis at {server} is not available: {said}. Check that it runs, that host, port and ssl of the connection "
        "are right and that this machine can reach it; then retry."
    )


def _refusal(failure: Exception, server: str) -> StorageError:
    from redis import exceptions

    if isinstance(failure, exceptions.OutOfMemoryError):
        return StorageError(
            f"Redis at {server} is full: it reached maxmemory. Raise maxmemory or lower [exclusive] ttl_seconds, and "
            "keep maxmemory-policy at noeviction: any other policy drops values that somebody still needs."
        )
    if _reply_word(failure) == "MISCONF":
        return StorageError(
            f"Redis at {server} refuses writes because it cannot save to its disk. Mend that; its log says what failed."
        )
    if _reply_word(failure) == "WRONGTYPE":
        return StorageError(
            f"In Redis at {server}, something else wrote under the key of a payload. Give the connection a key_prefix "
            "that nothing else uses, and clear the producer task to write the value anew."
        )
    if isinstance(failure, exceptions.AskError):
        return StorageError(
            f"Redis at {server} is a node of a Redis Cluster, expected a single server: "
            "name a standalone server in the connection."
        )
    if isinstance(failure, exceptions.InvalidResponse):
        return StorageError(f"What answers at {server} is not Redis. Check host, port and ssl of the connection.")
    return StorageError(f"Redis at {server} refused the operation ({type(failure).__name__}): {failure}")


def _reply_word(failure: Exception) -> str | None:
    found = _REPLY_WORD.search(str(failure))
    return found.group(1) if found else None
