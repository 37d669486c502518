"""Every error class that redis-py has, and what becomes of it."""

from __future__ import annotations

import inspect
import ssl

import pytest
import redis.exceptions

from airflow_provider_exclusive.exceptions import StorageError, StorageRefusedError, StorageUnavailableError
from airflow_provider_exclusive.storage.redis.errors import translated

SERVER = "redis.example:6379"
CLASSES = sorted(
    (item for item in vars(redis.exceptions).values() if inspect.isclass(item) and issubclass(item, Exception)),
    key=lambda item: item.__name__,
)
PASSING = {
    "BusyLoadingError", "ClusterError", "ConnectionError", "MasterDownError", "MaxConnectionsError", "ReadOnlyError",
    "RedisClusterException", "SlotNotCoveredError", "TimeoutError",
}  # fmt: skip


def translate(failure: Exception) -> StorageError:
    with pytest.raises(StorageError) as caught, translated(SERVER):
        raise failure
    assert caught.value.__cause__ is failure
    assert SERVER in str(caught.value)
    return caught.value


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_class_of_the_client_is_translated(error):
    words = "3999 127.0.0.1:6381" if issubclass(error, redis.exceptions.AskError) else "the server's words"
    assert isinstance(translate(error(words)), StorageUnavailableError) is (error.__name__ in PASSING)


@pytest.mark.parametrize(
    "failure",
    [
        redis.exceptions.AuthenticationError("invalid username-password pair"),
        redis.exceptions.OutOfMemoryError("command not allowed"),
        redis.exceptions.ResponseError("MISCONF Redis is configured to save"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_somebody_may_repair_is_worth_a_later_try(failure):
    assert type(translate(failure)) is StorageRefusedError


@pytest.mark.parametrize(
    ("failure", "advice"),
    [
        (redis.exceptions.AuthenticationError("invalid username-password pair"), "login and password"),
        (redis.exceptions.NoPermissionError("no permissions to run"), "ACL SETUSER"),
        (redis.exceptions.OutOfMemoryError("command not allowed"), "Raise maxmemory .*noeviction"),
        (redis.exceptions.MovedError("3999 127.0.0.1:6381"), "node of a Redis Cluster.*standalone server"),
        (redis.exceptions.AskError("3999 127.0.0.1:6381"), "node of a Redis Cluster.*standalone server"),
        (redis.exceptions.ClusterDownError("The cluster is down"), "node of a Redis Cluster.*standalone server"),
        (redis.exceptions.ClusterDownError("Hash slot not served"), "node of a Redis Cluster.*standalone server"),
        (redis.exceptions.TryAgainError("Multiple keys request"), "node of a Redis Cluster.*standalone server"),
        (redis.exceptions.ClusterCrossSlotError("Keys in request"), "node of a Redis Cluster.*standalone server"),
        (
            redis.exceptions.ResponseError("SELECT is not allowed in cluster mode"),
            "node of a Redis Cluster.*standalone server",
        ),
        (redis.exceptions.ResponseError("unknown command 'SET'"), "command SET: it is a Sentinel.*Name the primary"),
        (redis.exceptions.ResponseError("unknown command `GET`, with"), "command GET: it is a Sentinel"),
        (
            redis.exceptions.AuthenticationError("AUTH <password> called without any password configured for the d"),
            "asks for no password.*Sentinel",
        ),
        (redis.exceptions.InvalidResponse("Protocol Error"), "is not Redis"),
        (redis.exceptions.ResponseError("MISCONF Redis is configured to save"), "cannot save to its disk"),
        (
            redis.exceptions.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
            "something else wrote .*key_prefix.*clear and re-run the producer",
        ),
        (redis.exceptions.DataError("odd argument"), r"refused the operation \(DataError\)"),
    ],
)
def test_what_a_retry_at_once_cannot_cure_says_what_can(failure, advice):
    error = translate(failure)
    assert not isinstance(error, StorageUnavailableError)
    with pytest.raises(StorageError, match=f"(?s){advice}"):
        raise error


@pytest.mark.parametrize(
    "failure",
    [
        redis.exceptions.ResponseError("BUSY Redis is busy running a script"),
        redis.exceptions.ResponseError("Command # 1 (GET a) of pipeline caused error: BUSY Redis is busy"),
        redis.exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."),
        redis.exceptions.ReadOnlyError("You can't write against a read only replica."),
        BrokenPipeError("gone"),
    ],
)
def test_what_passes_by_itself_is_worth_a_retry(failure):
    assert isinstance(translate(failure), StorageUnavailableError)


@pytest.mark.parametrize(
    "failure",
    [
        redis.exceptions.ReadOnlyError("You can't write against a read only replica."),
        redis.exceptions.MasterDownError("Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
    ],
)
def test_a_replica_is_named_and_a_failover_passes(failure):
    error = translate(failure)
    assert isinstance(error, StorageUnavailableError)
    assert "is a replica" in str(error)
    assert "Name the primary in the connection" in str(error)


def test_a_command_that_is_unknown_is_named_without_its_arguments():
    failure = redis.exceptions.ResponseError("unknown command 'SET', with args beginning with: 'v1/a' 'sealed bytes' ")
    assert "sealed bytes" not in str(translate(failure))


def test_a_word_inside_a_key_is_not_taken_for_an_answer():
    failure = redis.exceptions.ResponseError("Command # 1 (GET BUSY) of pipeline caused error: ERR no")
    assert not isinstance(translate(failure), StorageUnavailableError)


def connection_error_caused_by(origin: OSError) -> Exception:
    try:
        try:
            raise origin
        except OSError as failure:
            raise redis.exceptions.ConnectionError(str(failure))  # noqa: B904 - as the client itself does
    except redis.exceptions.ConnectionError as failure:
        return failure


def test_a_missing_certificate_file_is_no_network_trouble():
    error = translate(connection_error_caused_by(FileNotFoundError(2, "No such file or directory")))
    assert not isinstance(error, StorageUnavailableError)
    assert "ssl_ca_certs" in str(error)


def test_a_peer_lost_during_the_handshake_is_worth_a_retry():
    error = translate(connection_error_caused_by(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")))
    assert isinstance(error, StorageUnavailableError)
