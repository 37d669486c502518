"""
The middleware around the API server: what comes in as a letter, and what would go out undecided.

It looks at XComs of the execution API only. What was decided in :mod:`airflow_provider_exclusive.server.reads` passes
as it comes; an answer of any other route does not pass if our marker is in it. Keys and cipher work off the event loop.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_exclusive.exceptions import ExclusiveError
from airflow_provider_exclusive.reference import MARKER, is_escaped, is_reference_row
from airflow_provider_exclusive.server import audit, metrics
from airflow_provider_exclusive.server.answers import FORBIDDEN
from airflow_provider_exclusive.server.attachment import Attachment, attach
from airflow_provider_exclusive.server.guard import LETTER
from airflow_provider_exclusive.server.reads import DECIDED

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_XCOMS: Final = "/execution/xcoms/"
_MARKER: Final = f'"{MARKER}"'.encode()
_LETTER_MAX_BYTES: Final = 1 << 20
_JSON: Final = b"application/json"
_UNKNOWN: Final = "unknown-route"
PROBE_HEADER: Final = b"x-exclusive-plugin"


class ExclusiveMiddleware:
    """
    ASGI middleware of Airflow's root application.

    :param app: the application inside.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self._attachment: Attachment | None = None
        self._tried_to_attach = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if not self._tried_to_attach and "app" in scope:
            self._tried_to_attach = True
            self._attachment = attach(scope["app"])
        if self._attachment is None or not _is_about_xcoms(scope):
            await self._app(scope, receive, send)
        elif scope["method"] == "POST":
            await self._take_in(self._attachment, scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = _Response(scope, send)
        await self._app(scope, receive, response.receive_message)
        if response.is_refused:
            log.error("%s %s would have shown an exclusive value undecided.", scope["method"], scope["path"])
            metrics.count(audit.DENIED, _UNKNOWN)
            message = (
                "An exclusive value would have been answered by a route that this release of "
                "airflow-provider-exclusive does not know. Use a release that supports this version of Airflow."
            )
            await _send_json(send, FORBIDDEN, _UNKNOWN, message)

    async def _take_in(self, attachment: Attachment, scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        if not first.get("body", b"").lstrip().startswith(b"{" + _MARKER):
            await self._app(scope, _replay(first, receive), send)
            return
        body, has_more = await _read_up_to(_LETTER_MAX_BYTES, first, receive)
        if has_more:
            # No reference is that large: somebody's own value, which Airflow takes in as it is.
            await self._app(scope, _replay(_request(body, more=True), receive), send)
            return
        try:
            taken = await _off_the_loop(_open_letter, attachment, scope, body)
        except ExclusiveError as refused:
            reason = getattr(refused, "reason", "letter-refused")
            await _send_json(send, 403, reason, f"This letter cannot be taken in: {refused}")
            return
        scope["headers"] = [
            (name, str(len(taken)).encode() if name == b"content-length" else content)
            for name, content in scope["headers"]
        ]
        await self._app(scope, _replay(_request(taken, more=False), receive), _without_echo(send))


@dataclass(slots=True)
class _Response:
    """Passes on what was decided; holds back what was not, and refuses it if our marker is in it."""

    scope: Scope
    send: Send
    is_refused: bool = False
    _held: list[Message] = field(default_factory=list)

    async def receive_message(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (PROBE_HEADER, b"attached")]
            # Only this status carries a value.
            is_suspect = message["status"] == 200 and not self.scope.get(DECIDED)  # noqa: PLR2004
        else:
            is_suspect = bool(self._held)
        if not is_suspect:
            await self.send(message)
            return
        self._held.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._judge()

    async def _judge(self) -> None:
        body = b"".join(message.get("body", b"") for message in self._held)
        self.is_refused = _MARKER in body
        for message in () if self.is_refused else self._held:
            await self.send(message)


def _is_about_xcoms(scope: Scope) -> bool:
    """
    Return whether the execution API's XCom routes will be asked, as Starlette tells it.

    The names of Dags, runs and tasks are in the paths of other routes, too, and anybody may call anything "xcoms". A
    letter must not be opened there: an answer to a malformed request repeats its body, and with it the wrapped key.
    """
    if scope["type"] != "http":
        return False
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.startswith((f"{root}{_XCOMS}", _XCOMS))


def _open_letter(attachment: Attachment, scope: Scope, body: bytes) -> bytes:
    try:
        row = json.loads(body)
    except (ValueError, RecursionError):
        return body  # Airflow refuses it with its own words
    if not is_reference_row(row) or is_escaped(row) or "letter" not in row:
        return body
    scope[LETTER], stored = attachment.decisions.take_in(row)
    return json.dumps(stored).encode()


def _request(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def _read_up_to(limit: int, first: Message, receive: Receive) -> tuple[bytes, bool]:
    """Return the body, and whether there is more of it than ``limit`` bytes."""
    body: bytes = first.get("body", b"")
    more: bool = first.get("more_body", False)
    while more and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body, more


def _replay(first: Message, receive: Receive) -> Receive:
    pending = [first]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def _without_echo(send: Send) -> Send:
    """Leave the body out of the answer to a malformed request: FastAPI would repeat the row, wrapped key and all."""
    is_malformed = False

    async def send_on(message: Message) -> None:
        nonlocal is_malformed
        if message["type"] == "http.response.start" and message["status"] == 422:  # noqa: PLR2004  # Unprocessable
            is_malformed = True
            await _send_json(send, 422, "malformed", "The request that came with this letter is malformed.")
        elif not is_malformed:
            await send(message)

    return send_on


async def _off_the_loop(function: Callable[..., bytes], *arguments: Any) -> bytes:
    from anyio.to_thread import run_sync

    result: bytes = await run_sync(function, *arguments)
    return result


async def _send_json(send: Send, status: int, reason: str, message: str) -> None:
    body = json.dumps({"detail": {"reason": reason, "message": message}}).encode()
    headers = [(b"content-type", _JSON), (b"content-length", str(len(body)).encode()), (PROBE_HEADER, b"attached")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
