"""
The middleware around the API server: it attaches this package, and refuses responses that nobody has decided on.

It looks at XComs of the execution API only. A response that :mod:`airflow_provider_exclusive.server.reads` has decided
on passes unchanged. The response of any other route is refused if it contains our marker, and so is every response
with our marker where the package could not attach.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from airflow_provider_exclusive.access.error_codes import NOT_ATTACHED
from airflow_provider_exclusive.format.reference import MARKER
from airflow_provider_exclusive.server import audit, metrics
from airflow_provider_exclusive.server.install import attach
from airflow_provider_exclusive.server.reads import DECIDED

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_XCOMS: Final = "/execution/xcoms/"
_MARKER: Final = f'"{MARKER}"'.encode()
_JSON: Final = b"application/json"
PROBE_HEADER: Final = b"x-exclusive-plugin"
NOT_ATTACHED_BECAUSE: Final = "not attached: "
"""How the header of a plugin that could not attach begins; the reason follows."""

_MAX_HEADER_BYTES: Final = 500
_NOT_YET: Final = "it has not seen the application yet"


class ExclusiveMiddleware:
    """
    ASGI middleware of Airflow's root application.

    :param app: the application inside.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self._why_not: str | None = _NOT_YET

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if self._why_not is _NOT_YET and "app" in scope:
            self._why_not = attach(scope["app"])
        if _is_about_xcoms(scope):
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        why_not = self._why_not
        headers = [(PROBE_HEADER, b"attached" if why_not is None else _not_attached_header(why_not))]
        response = _Response(scope, send, headers)
        await self._app(scope, receive, response.receive_message)
        if response.is_refused:
            refusal = _UNKNOWN_ROUTE if why_not is None else _not_attached(why_not)
            log.error("Refused %s %s: %s", scope["method"], scope["path"], refusal.message)
            metrics.count(audit.DENIED, refusal.reason)
            await _send_json(send, refusal, headers)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a response is not sent."""

    status: HTTPStatus
    reason: str
    message: str


_UNKNOWN_ROUTE: Final = _Refusal(
    HTTPStatus.FORBIDDEN,
    "unknown-route",
    "The response contains the reference of an exclusive value, but this release of airflow-provider-exclusive does "
    "not know the route. Use a release that supports this version of Airflow.",
)


def _not_attached(why: str) -> _Refusal:
    return _Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        NOT_ATTACHED,
        "The response contains the reference of an exclusive value, but the plugin 'exclusive' could not attach to "
        f"this API server ({why}), so nobody can decide who may read it. Its log says more. Use a release of "
        "airflow-provider-exclusive that supports this version of Airflow.",
    )


def _not_attached_header(why: str) -> bytes:
    # What tasks may know of it, too: a version that Airflow tells everybody, and names of its functions.
    printable = " ".join(f"{NOT_ATTACHED_BECAUSE}{why}".split())
    return printable.encode("ascii", "replace")[:_MAX_HEADER_BYTES]


@dataclass(slots=True)
class _Response:
    """Passes on a decided response; holds back any other, and refuses it if it contains our marker."""

    scope: Scope
    send: Send
    headers: list[tuple[bytes, bytes]]
    is_refused: bool = False
    _held: list[Message] = field(default_factory=list)

    async def receive_message(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *self.headers]
            # Only this status carries a value.
            is_suspect = message["status"] == HTTPStatus.OK and not self.scope.get(DECIDED)
        else:
            is_suspect = bool(self._held)
        if not is_suspect:
            await self.send(message)
            return
        self._held.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._send_or_refuse()

    async def _send_or_refuse(self) -> None:
        body = b"".join(message.get("body", b"") for message in self._held)
        self.is_refused = _MARKER in body
        for message in () if self.is_refused else self._held:
            await self.send(message)


def _is_about_xcoms(scope: Scope) -> bool:
    """
    Return whether Starlette sends the request to the XCom routes of the execution API.

    The paths of other routes contain names of Dags, runs and tasks, any of which may be "xcoms".
    """
    if scope["type"] != "http":
        return False
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.startswith((f"{root}{_XCOMS}", _XCOMS))


async def _send_json(send: Send, refusal: _Refusal, extra: list[tuple[bytes, bytes]]) -> None:
    body = json.dumps({"detail": {"reason": refusal.reason, "message": refusal.message}}).encode()
    headers = [(b"content-type", _JSON), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
