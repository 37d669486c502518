"""How the API server says no, in the form in which Airflow's own routes do."""

from __future__ import annotations

from typing import NoReturn

from airflow_provider_exclusive.exceptions import AccessDeniedError

FORBIDDEN, UNDECIDED = 403, 503


def forbid(denied: AccessDeniedError) -> NoReturn:
    """Answer the request with 403 and the reason."""
    _answer(FORBIDDEN, reason=denied.reason, message=str(denied), cause=denied)


def undecided(what: str, trouble: Exception) -> NoReturn:
    """
    Answer the request with 503, so that the caller may retry.

    :param what: a read or a write.
    """
    message = f"The API server could not decide about this {what}; see its log."
    _answer(UNDECIDED, reason="undecided", message=message, cause=trouble)


def _answer(status: int, *, reason: str, message: str, cause: Exception) -> NoReturn:
    from fastapi import HTTPException

    raise HTTPException(status, detail={"reason": reason, "message": message}) from cause
