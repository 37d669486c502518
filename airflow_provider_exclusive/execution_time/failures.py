"""Fail a task without retrying, except where another try may succeed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

from airflow_provider_exclusive.access import error_codes
from airflow_provider_exclusive.exceptions import (
    ExclusiveError,
    HandOverWithdrawnError,
    StorageRefusedError,
    StorageUnavailableError,
)

_WORTH_A_RETRY: Final = (StorageUnavailableError, StorageRefusedError, HandOverWithdrawnError)


@contextmanager
def failing_without_retry() -> Iterator[None]:
    """Turn errors that a retry cannot fix into errors that fail the task at once."""
    try:
        yield
    except _WORTH_A_RETRY:
        raise
    except ExclusiveError as error:
        raise _final(error) from error.__cause__


@contextmanager
def server_refusals() -> Iterator[None]:
    """Turn a refusal of the API server, of a read or a write, into an error with the server's reason and message."""
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        yield
    except AirflowRuntimeError as answered:
        refused = _refusal(answered.error.detail or {})
        if refused is None:
            raise
        with failing_without_retry():
            raise refused from answered


def _refusal(answer: Mapping[str, Any]) -> ExclusiveError | None:
    """Return what the API server refused, or None if it answered for another reason."""
    detail = _detail_in(answer)
    if answer.get("status_code") == HTTPStatus.FORBIDDEN:
        unexplained = {
            "reason": "refused-by-server",
            "message": f"The API server refused this request: {answer.get('message')}",
        }
        return error_codes.from_detail(detail or unexplained)
    return (
        error_codes.from_detail(detail) if detail is not None and detail["reason"] == error_codes.NOT_ATTACHED else None
    )


def _detail_in(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    detail = answer.get("detail")
    while isinstance(detail, Mapping):
        if "reason" in detail:
            return detail
        detail = detail.get("detail")
    return None


def _final(error: ExclusiveError) -> ExclusiveError:
    """Return ``error`` as a subclass of its class that Airflow does not retry."""
    from airflow.sdk.exceptions import AirflowFailException

    kind = type(error)
    final_kind = type(kind.__name__, (kind, AirflowFailException), {"__module__": kind.__module__})
    final: ExclusiveError = final_kind(str(error))  # which may begin with a line
    final.__dict__.update(error.__dict__)
    return final.with_traceback(error.__traceback__)
