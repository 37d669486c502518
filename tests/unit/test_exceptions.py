import copy
import inspect
import pickle  # noqa: TID251 - Airflow's task runner and multiprocessing send exceptions this way

import pytest

from airflow_provider_exclusive import exceptions
from airflow_provider_exclusive.exceptions import (
    AccessDeniedError,
    CodecError,
    ConfigurationError,
    EnvelopeError,
    ExclusiveError,
    HandOverError,
    InvalidScopeError,
    PayloadNotFoundError,
    ScopeError,
    StorageError,
    StorageUnavailableError,
    UnknownKeyError,
    UnsupportedReferenceError,
    naming_producer,
)


@pytest.mark.parametrize(
    ("task_ids", "message"),
    [
        ({"extract"}, "Clear task 'extract'."),
        ({"extract", "load"}, "Clear the producer task."),
        ({None}, "Clear the producer task."),
        ((), "Clear the producer task."),
    ],
)
def test_the_task_to_clear_is_named_if_it_is_known(task_ids, message):
    with pytest.raises(UnknownKeyError) as failed, naming_producer(task_ids):
        raise UnknownKeyError("Clear the producer task.", key_id="3f9c")
    assert (str(failed.value), failed.value.key_id) == (message, "3f9c")


def test_an_error_without_a_message_stays_as_it_is():
    with pytest.raises(CodecError) as failed, naming_producer({"extract"}):
        raise CodecError
    assert failed.value.args == ()


def test_a_missing_payload_is_not_an_unavailable_store():
    assert not issubclass(PayloadNotFoundError, StorageUnavailableError)


def test_a_denial_is_no_builtin_permission_error():
    # Code that catches OSError around file access must not swallow a denial.
    assert not issubclass(AccessDeniedError, OSError)


def test_a_missing_input_is_neither_a_denial_nor_a_dag_error():
    assert not issubclass(HandOverError, (AccessDeniedError, InvalidScopeError))


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (ConfigurationError, ExclusiveError),
        (ConfigurationError, ValueError),
        (ScopeError, ExclusiveError),
        (InvalidScopeError, ScopeError),
        (InvalidScopeError, ValueError),
        (AccessDeniedError, ScopeError),
        (HandOverError, ScopeError),
        (EnvelopeError, ExclusiveError),
        (UnsupportedReferenceError, EnvelopeError),
        (UnknownKeyError, EnvelopeError),
        (CodecError, ExclusiveError),
        (StorageError, ExclusiveError),
        (PayloadNotFoundError, StorageError),
        (StorageUnavailableError, StorageError),
    ],
)
def test_the_tree_is_the_documented_one(error, parent):
    assert issubclass(error, parent)


def test_every_error_has_the_common_base():
    errors = [member for _, member in inspect.getmembers(exceptions, inspect.isclass)]
    assert [error for error in errors if not issubclass(error, ExclusiveError)] == []


@pytest.mark.parametrize(
    "error",
    [
        AccessDeniedError("denied", reason="unknown-reader"),
        ConfigurationError("wrong", option="[exclusive] private_key"),
        UnknownKeyError("unknown", key_id="3f9c"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_attributes_survive_copying_and_another_process(error):
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))
