"""Turn denials and failures into HTTP errors, in the form that Airflow's own routes use."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, NoReturn

from airflow_provider_exclusive.access import error_codes
from airflow_provider_exclusive.exceptions import AccessDeniedError, ConfigurationError, EnvelopeError
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.server import audit, callers
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.callers import LookUp, XComRequest

log = logging.getLogger(__name__)


@contextmanager
def http_errors(
    what: str, requested: Coordinate, xcom_request: XComRequest, session: Any, trail: AuditTrail
) -> Iterator[LookUp]:
    """
    Answer the request with 403 if the block refuses it, which is recorded, and with 503 if the block fails.

    Yields where the block notes the caller, if it looks it up.

    :param what: ``"read"`` or ``"write"``.
    :param session: the database session of the request.
    """
    look_up = LookUp()
    try:
        yield look_up
    except (AccessDeniedError, ConfigurationError, EnvelopeError) as refused:
        event = audit.DENIED if what == "read" else audit.WRITE_DENIED
        caller = callers.find_refused_caller(xcom_request.ti_id, session, look_up)
        reason = error_codes.reason_of(refused)
        trail.record(event, caller, requested=requested, reason=reason, method=xcom_request.method)
        forbid(refused)
    except Exception as trouble:
        log.exception("Could not decide on an XCom %s.", what)
        message = f"The API server could not decide on this {what}; see its log."
        _answer(HTTPStatus.SERVICE_UNAVAILABLE, {"reason": "undecided", "message": message}, trouble)


def forbid(refused: error_codes.Refused) -> NoReturn:
    """Answer the request with 403 and the reason."""
    _answer(HTTPStatus.FORBIDDEN, error_codes.to_detail(refused), refused)


def _answer(status: HTTPStatus, detail: dict[str, str], cause: Exception) -> NoReturn:
    from fastapi import HTTPException

    # A name that cannot be encoded, planted in a row, must not turn a refusal into an error.
    printable = {name: part.encode(errors="backslashreplace").decode() for name, part in detail.items()}
    raise HTTPException(int(status), detail=printable) from cause
