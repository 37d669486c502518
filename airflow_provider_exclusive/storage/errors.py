"""What an error of a store's client means for a task: a table for each store, from what happened to what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow_provider_exclusive.exceptions import ExclusiveError, StorageError


@dataclass(frozen=True, slots=True)
class Meaning:
    """
    A row of the table.

    :param failure: classes of errors, or a test of an error.
    :param message: what it means and what to do, with ``{words}`` to fill in.
    :param error: :class:`~airflow_provider_exclusive.exceptions.StorageUnavailableError` where a retry may help at
        once, :class:`~airflow_provider_exclusive.exceptions.StorageRefusedError` where it may help later.
    """

    failure: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
    message: str
    error: type[StorageError] = StorageError

    def covers(self, failure: Exception) -> bool:
        """Return whether this row is about ``failure``."""
        if isinstance(self.failure, (type, tuple)):
            return isinstance(failure, self.failure)
        return self.failure(failure)


def has_errno(*errnos: int) -> Callable[[Exception], bool]:
    """Return a test for errors of the operating system with one of ``errnos``."""
    return lambda failure: getattr(failure, "errno", None) in errnos


@contextmanager
def translated(
    table: Iterable[Meaning],
    words: Callable[[Any], Mapping[str, object]],
    client_errors: type[Exception] | tuple[type[Exception], ...] = Exception,
) -> Iterator[None]:
    """
    Turn an error of a client into one of this package: the first row that covers it says which.

    Errors of this package, and what is not the client's, pass as they are.

    :param table: its last row covers whatever the client raises.
    :param words: what the messages name, for an error; never a password.
    """
    try:
        yield
    except ExclusiveError:
        raise
    except client_errors as failure:
        for meaning in table:
            if meaning.covers(failure):
                raise meaning.error(meaning.message.format_map(words(failure))) from failure
        raise
