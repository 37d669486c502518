"""Fail a task without retrying, except when the store is unreachable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from airflow_provider_exclusive.exceptions import AccessDeniedError, ExclusiveError, StorageUnavailableError

_FORBIDDEN: Final = 403


@contextmanager
def failing_without_retry() -> Iterator[None]:
    """Turn errors that a retry cannot fix into errors that fail the task at once."""
    try:
        yield
    except StorageUnavailableError:
        raise
    except ExclusiveError as error:
        raise _final(error) from error.__cause__


@contextmanager
def server_refusals() -> Iterator[None]:
    """Turn a 403 of the API server into an :class:`AccessDeniedError` with the server's reason and message."""
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        yield
    except AirflowRuntimeError as refused:
        detail = refused.error.detail or {}
        if detail.get("status_code") != _FORBIDDEN:
            raise
        reason, message = _reason_and_message(detail)
        raise _final(AccessDeniedError(message, reason=reason)) from refused


def _reason_and_message(detail: dict[str, Any]) -> tuple[str, str]:
    answer = detail.get("detail")
    while isinstance(answer, dict):
        if "reason" in answer:
            return str(answer["reason"]), str(answer.get("message", answer["reason"]))
        answer = answer.get("detail")
    return "refused-by-server", f"The API server refused this read: {detail.get('message')}"


def _final(error: ExclusiveError) -> ExclusiveError:
    """Return ``error`` as a subclass of its class that Airflow does not retry."""
    from airflow.sdk.exceptions import AirflowFailException

    kind = type(error)
    final_kind = type(kind.__name__, (kind, AirflowFailException), {"__module__": kind.__module__})
    final: ExclusiveError = final_kind(str(error))
    final.__dict__.update(error.__dict__)
    return final.with_traceback(error.__traceback__)
