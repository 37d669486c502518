"""What each error of redis-py means for a task: correct the connection, repair the server, or try again."""

from __future__ import annotations

import inspect
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Final

from airflow_provider_exclusive.exceptions import StorageError, StorageRefusedError, StorageUnavailableError
from airflow_provider_exclusive.storage import errors
from airflow_provider_exclusive.storage.errors import Meaning

# redis-py has no class of its own for these replies; in a pipeline it puts its own words before them.
_REPLY_WORD: Final = re.compile(r"(?:^|caused error: )(BUSY|NOREPLICAS|MISCONF|WRONGTYPE)\b")
_NO_PASSWORD: Final = re.compile(r"without any password configured")
_IN_CLUSTER_MODE: Final = re.compile(r"not allowed in cluster mode")
# The arguments of the command follow, and with them the beginning of a payload.
_UNKNOWN_COMMAND: Final = re.compile(r"unknown command ['`](\w+)")
# The peer went away during the handshake; every other TLS error is a matter of configuration.
_PASSING_TLS_ERRORS: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_UNREADABLE_FILE_ERRORS: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_UNAVAILABLE: Final = (
    "Redis at {server} is not available: {said}. Check that it runs, that host, port and ssl of the connection "
    "are right and that this machine can reach it; then retry."
)


def translated(server: str) -> AbstractContextManager[None]:
    """
    Turn every error of redis-py into one of this package.

    :param server: ``host:port``, for the message; never a password.
    """
    return errors.translated(_meanings(), lambda failure: _words(failure, server), _client_errors())


def is_forbidden(failure: StorageError) -> bool:
    """Return whether the server forbids its user a command or a key."""
    from redis.exceptions import NoPermissionError

    return isinstance(failure.__cause__, NoPermissionError)


def _words(failure: Exception, server: str) -> Mapping[str, object]:
    origin: Any = _origin(failure)
    return {
        "server": server,
        "kind": type(failure).__name__,
        "said": str(failure).rstrip("."),
        "failure": failure,
        "command": "".join(_UNKNOWN_COMMAND.findall(str(failure))),
        "origin": type(origin).__name__,
        "tls_reason": getattr(origin, "reason", None) or "handshake failed",
        "certificate_fault": getattr(origin, "verify_message", ""),
    }


@cache
def _client_errors() -> tuple[type[Exception], ...]:
    from redis import exceptions

    classes = vars(exceptions).values()
    # redis-py has four roots of errors and grows new ones: take what it has.
    return (OSError, *(item for item in classes if inspect.isclass(item) and issubclass(item, Exception)))


@cache
def _meanings() -> tuple[Meaning, ...]:
    return (*_tls_meanings(), *_access_meanings(), *_role_meanings(), *_passing_meanings(), *_refusals())


def _tls_meanings() -> Iterator[Meaning]:
    yield Meaning(
        _came_from(*_UNREADABLE_FILE_ERRORS),
        "A TLS file for Redis at {server} cannot be read ({origin}). Check the connection's extras ssl_ca_certs, "
        "ssl_certfile and ssl_keyfile: they name files on the machine of the worker.",
    )
    yield Meaning(_came_from(*_PASSING_TLS_ERRORS), _UNAVAILABLE, StorageUnavailableError)
    yield Meaning(
        _came_from(ssl.SSLCertVerificationError),
        "The certificate of Redis at {server} was not accepted: {certificate_fault}. Put the file with its CA into "
        "the connection's extra ssl_ca_certs, and use the host name that the certificate was issued for.",
    )
    yield Meaning(
        _came_from(ssl.SSLError),
        "No TLS session with Redis at {server}: {tls_reason}. Check that the port speaks TLS (otherwise the "
        "connection's extra ssl must be false), and ssl_certfile and ssl_keyfile if the server asks for a client "
        "certificate.",
    )


def _access_meanings() -> Iterator[Meaning]:
    from redis import exceptions

    yield Meaning(
        exceptions.NoPermissionError,
        "Redis at {server} forbids its user a command or a key. Grant it, for the connection's key_prefix: "
        "ACL SETUSER <login> ~<key_prefix>* +set +get +getrange +unlink +scan +strlen.",
    )
    yield Meaning(
        _said(_NO_PASSWORD),
        "Redis at {server} asks for no password, but the connection has one, so it may not be the server that is "
        "meant: a Sentinel often has none. Name the primary in the connection, or remove login and password.",
    )
    yield Meaning(
        (
            exceptions.AuthenticationError,
            exceptions.AuthorizationError,
            exceptions.AuthenticationWrongNumberOfArgsError,
            exceptions.ExternalAuthProviderError,
        ),
        "Redis at {server} does not accept the credentials. Check login and password of the connection: a server "
        "with only requirepass wants an empty login, one with ACL users wants both.",
        StorageRefusedError,
    )


def _role_meanings() -> Iterator[Meaning]:
    """Yield what servers answer that do not keep values by themselves."""
    from redis import exceptions

    yield Meaning(
        (exceptions.ReadOnlyError, exceptions.MasterDownError),
        "Redis at {server} is a replica, expected the primary: {said}. Name the primary in the connection, or a host "
        "name that always leads to it. While a failover is under way, retry.",
        StorageUnavailableError,
    )
    cluster_answers = (
        exceptions.AskError,
        exceptions.ClusterDownError,
        exceptions.ClusterCrossSlotError,
        exceptions.TryAgainError,
    )
    yield Meaning(
        lambda failure: isinstance(failure, cluster_answers) or _said(_IN_CLUSTER_MODE)(failure),
        "Redis at {server} is a node of a Redis Cluster, expected a single server ({kind}: {said}). Name a standalone "
        "server in the connection; Redis Cluster is not supported.",
    )
    yield Meaning(
        _said(_UNKNOWN_COMMAND),
        "Redis at {server} does not know the command {command}: it is a Sentinel, which keeps no values, or its "
        "commands were renamed. Name the primary that the Sentinel watches in the connection, with that server's port.",
    )


def _passing_meanings() -> Iterator[Meaning]:
    from redis import exceptions

    cluster_refusals = (exceptions.CrossSlotTransactionError, exceptions.InvalidPipelineStack)
    passing = (
        OSError,
        exceptions.ConnectionError,
        exceptions.TimeoutError,
        exceptions.ClusterError,
        exceptions.RedisClusterException,
    )
    yield Meaning(
        lambda failure: isinstance(failure, passing) and not isinstance(failure, cluster_refusals),
        _UNAVAILABLE,
        StorageUnavailableError,
    )
    yield Meaning(_replied("BUSY", "NOREPLICAS"), _UNAVAILABLE, StorageUnavailableError)


def _refusals() -> Iterator[Meaning]:
    from redis import exceptions

    yield Meaning(
        exceptions.OutOfMemoryError,
        "Redis at {server} is full: it reached maxmemory. Raise maxmemory (airflow exclusive doctor names the Dags "
        "that fill it; a lower [exclusive] ttl_seconds frees nothing that is stored), and keep maxmemory-policy at "
        "noeviction: any other policy drops values that somebody still needs.",
        StorageRefusedError,
    )
    yield Meaning(
        _replied("MISCONF"),
        "Redis at {server} refuses writes because it cannot save to its disk. Its log says what failed; repair that.",
        StorageRefusedError,
    )
    yield Meaning(
        _replied("WRONGTYPE"),
        "In Redis at {server}, something else wrote under the key of a payload. Give the connection a key_prefix "
        "that nothing else uses, and clear and re-run the producer task.",
    )
    yield Meaning(
        exceptions.InvalidResponse,
        "What answers at {server} is not Redis. Check host, port and ssl of the connection.",
    )
    yield Meaning(_client_errors(), "Redis at {server} refused the operation ({kind}): {failure}")


def _origin(failure: Exception) -> BaseException:
    # redis-py hides the socket's error in the context of its own ConnectionError.
    return failure.__cause__ or failure.__context__ or failure


def _came_from(*kinds: type[Exception]) -> Callable[[Exception], bool]:
    return lambda failure: isinstance(_origin(failure), kinds)


def _said(pattern: re.Pattern[str]) -> Callable[[Exception], bool]:
    return lambda failure: pattern.search(str(failure)) is not None


def _replied(*words: str) -> Callable[[Exception], bool]:
    def did(failure: Exception) -> bool:
        found = _REPLY_WORD.search(str(failure))
        return found is not None and found.group(1) in words

    return did
