"""The one place where errors of clients become errors of this package."""

from __future__ import annotations

import errno

import pytest

from airflow_provider_exclusive.exceptions import EnvelopeError, StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage.errors import Meaning, has_errno, translated

TABLE = (
    Meaning(has_errno(errno.EIO), "{place} is ill. Retry.", StorageUnavailableError),
    Meaning((ConnectionError, FileNotFoundError), "{place} is not there."),
    Meaning(OSError, "{place} failed: {failure}"),
)


def raised(failure):
    with (
        pytest.raises(type(failure) if not isinstance(failure, OSError) else StorageError) as caught,
        translated(TABLE, lambda failure: {"place": "{here}", "failure": failure}, OSError),
    ):
        raise failure
    return caught.value


@pytest.mark.parametrize(
    ("failure", "error", "message"),
    [
        (OSError(errno.EIO, "x"), StorageUnavailableError, "{here} is ill. Retry."),
        (BrokenPipeError(), StorageError, "{here} is not there."),
        (FileNotFoundError(errno.EIO, "x"), StorageUnavailableError, "{here} is ill. Retry."),
        (OSError("{odd} words"), StorageError, "{here} failed: {odd} words"),
    ],
)
def test_the_first_row_that_covers_an_error_decides(failure, error, message):
    translation = raised(failure)
    assert (type(translation), str(translation)) == (error, message)
    assert translation.__cause__ is failure


@pytest.mark.parametrize("failure", [EnvelopeError("sealed by another"), StorageError("full"), KeyError("a sink's")])
def test_what_is_not_the_clients_passes_as_it_is(failure):
    assert raised(failure) is failure
