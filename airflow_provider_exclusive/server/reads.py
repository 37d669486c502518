"""One read of the execution API that found a reference: who asks, what was asked for, and what goes back."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any, Final

from airflow_provider_exclusive.coordinates import Requested
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.server import audit, callers
from airflow_provider_exclusive.server.attachment import Attachment
from airflow_provider_exclusive.server.guard import map_index_of

_COORDINATES: Final = ("dag_id", "run_id", "task_id", "key")
# How pydantic reads a bool out of a query string.
_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_ITEM: Final = "/item/{offset}"
_SLICE: Final = "/slice"


def answer_read(attachment: Attachment, scope: MutableMapping[str, Any], body: bytes) -> bytes:
    """
    Return the body that the caller may have.

    :param scope: the ASGI scope after routing: its path parameters and its token are those that Airflow resolved.
    :raises AccessDeniedError: if it may not have it.
    """
    document = json.loads(body)
    route = getattr(scope.get("route"), "path", "")
    requested = _requested(scope, route)
    token = scope.get("ti_token")
    caller = callers.find_caller(token.id) if token is not None else None
    try:
        answered = _answer_document(attachment, document, route, requested, caller)
    except AccessDeniedError as denied:
        attachment.trail.record(audit.DENIED, caller, requested, reason=denied.reason, method=scope["method"])
        raise
    attachment.trail.record(audit.READ, caller, requested, reason="in-scope", method=scope["method"])
    return json.dumps(answered).encode()


def _answer_document(
    attachment: Attachment, document: Any, route: str, requested: Requested, caller: callers.Caller | None
) -> Any:
    decide = attachment.decisions.answer
    if route.endswith(_SLICE):
        return decide(document, requested, caller)
    if route.endswith(_ITEM):
        return decide([document], requested, caller)[0]
    if isinstance(document, dict) and {"key", "value"} <= document.keys():
        return document | {"value": decide([document["value"]], requested, caller)[0]}
    raise AccessDeniedError(
        "Airflow answered this read in a form that this release of airflow-provider-exclusive does not know, and there "
        "is an exclusive value in it. Use a release that supports this version of Airflow.",
        reason="unknown-route",
    )


def _requested(scope: MutableMapping[str, Any], route: str) -> Requested:
    from starlette.datastructures import QueryParams

    path = scope.get("path_params", {})
    if not all(name in path for name in _COORDINATES):
        raise AccessDeniedError(
            "An exclusive value would have been answered outside of the known routes.", reason="unknown-route"
        )
    query = QueryParams(scope.get("query_string", b""))
    is_single = not route.endswith((_SLICE, _ITEM)) and "offset" not in query
    takes_earlier_runs = query.get("include_prior_dates", "").lower() in _TRUE
    return Requested(
        dag_id=path["dag_id"],
        run_id=None if takes_earlier_runs else path["run_id"],
        task_id=path["task_id"],
        map_index=map_index_of(query) if is_single else None,
        key=path["key"],
    )
