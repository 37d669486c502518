"""Which errors Airflow should retry: of this package's, only an unreachable store is worth it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_exclusive.exceptions import ExclusiveError, StorageUnavailableError


@contextmanager
def final_errors() -> Iterator[None]:
    """Turn errors that a retry cannot mend into ones that fail the task at once."""
    try:
        yield
    except StorageUnavailableError:
        raise
    except ExclusiveError as error:
        raise _final(error) from error.__cause__


def _final(error: ExclusiveError) -> ExclusiveError:
    """Return ``error`` as a class that Airflow does not retry; it is still an instance of its own class."""
    from airflow.sdk.exceptions import AirflowFailException

    kind = type(error)
    final_kind = type(kind.__name__, (kind, AirflowFailException), {"__module__": kind.__module__})
    final: ExclusiveError = final_kind(str(error))
    final.__dict__.update(error.__dict__)
    return final.with_traceback(error.__traceback__)
