"""What the middleware lets out: everything that was decided, and of the rest nothing with our marker in it."""

from __future__ import annotations

import asyncio
import json

import pytest

from airflow_provider_exclusive.format.reference import MARKER
from airflow_provider_exclusive.server import middleware
from airflow_provider_exclusive.server.middleware import PROBE_HEADER, ExclusiveMiddleware
from airflow_provider_exclusive.server.reads import DECIDED

PATH = "/execution/xcoms/etl/run-1/extract/rows"
REFERENCE = json.dumps({"value": {MARKER: "v1: 9 B json in row"}}).encode()
ATTACHED = (PROBE_HEADER, b"attached")
WHY_NOT = "Airflow 3.2.2: expected the plain function routes.xcoms.get_xcom(dag_id) in Airflow, found ()"


@pytest.fixture(autouse=True)
def attach(mocker):
    return mocker.patch.object(middleware, "attach", return_value=None)


@pytest.fixture(autouse=True)
def counted(mocker):
    return mocker.patch.object(middleware.metrics, "count")


def scope_of(path=PATH, **more):
    return {"type": "http", "method": "GET", "path": path, "app": "the root application"} | more


class Answering:
    """An application that answers every connection with ``body`` and records which it saw."""

    def __init__(self, *body, status=200, is_decided=False):
        self.body, self.status, self.is_decided = body, status, is_decided

    async def __call__(self, scope, receive, send):
        if self.is_decided:
            scope[DECIDED] = True
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"x", b"y")]})
        for position, part in enumerate(self.body):
            await send({"type": "http.response.body", "body": part, "more_body": position < len(self.body) - 1})


def answer(app, scope):
    """Return status, headers and body of what goes out."""
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(ExclusiveMiddleware(app)(scope, None, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], sent[0]["headers"], body


# --- what is refused


@pytest.mark.parametrize("body", [[REFERENCE], [REFERENCE[:12], REFERENCE[12:]], [b"", REFERENCE, b""]])
def test_an_undecided_reference_is_refused(body, counted, caplog):
    status, headers, refusal = answer(Answering(*body), scope_of())
    assert status == 403
    assert json.loads(refusal)["detail"]["reason"] == "unknown-route"
    assert MARKER.encode() not in refusal
    assert dict(headers)[b"content-length"] == str(len(refusal)).encode()
    assert ATTACHED in headers
    counted.assert_called_once_with("exclusive.denied", "unknown-route")
    assert f"GET {PATH}" in caplog.text


@pytest.mark.parametrize(
    "scope",
    [scope_of("/airflow" + PATH, root_path="/airflow"), scope_of(root_path="/airflow"), scope_of("/execution/xcoms/")],
    ids=["below a root path", "stripped of a root path", "the bare route"],
)
def test_every_path_of_the_xcom_routes_is_looked_at(scope):
    assert answer(Answering(REFERENCE), scope)[0] == 403


# --- what passes


def test_a_decided_reference_passes(counted):
    status, headers, body = answer(Answering(REFERENCE, is_decided=True), scope_of())
    assert (status, body) == (200, REFERENCE)
    assert headers == [(b"x", b"y"), ATTACHED]
    assert not counted.called


@pytest.mark.parametrize("body", [[b"3"], [b'{"va', b'lue": 1}'], [b""]])
def test_an_undecided_plain_value_passes(body):
    status, headers, sent = answer(Answering(*body), scope_of())
    assert (status, sent) == (200, b"".join(body))
    assert ATTACHED in headers


def test_an_error_passes_whatever_it_says():
    assert answer(Answering(REFERENCE, status=404), scope_of())[::2] == (404, REFERENCE)


@pytest.mark.parametrize(
    "path", ["/execution/variables/execution/xcoms/x", "/api/v2/xcoms/", "/execution/xcoms", "/execution/xcomsx/"]
)
def test_other_routes_are_left_alone(path):
    status, headers, body = answer(Answering(REFERENCE), scope_of(path))
    assert (status, headers, body) == (200, [(b"x", b"y")], REFERENCE)


def test_a_websocket_is_left_alone():
    assert answer(Answering(REFERENCE), scope_of(type="websocket"))[1] == [(b"x", b"y")]


# --- attaching


def test_where_it_cannot_attach_a_reference_is_answered_503(attach, caplog):
    attach.return_value = WHY_NOT
    status, headers, body = answer(Answering(REFERENCE, is_decided=False), scope_of())
    assert status == 503
    assert json.loads(body)["detail"]["reason"] == "plugin-not-attached"
    assert WHY_NOT in json.loads(body)["detail"]["message"]
    assert WHY_NOT in caplog.text
    assert (PROBE_HEADER, f"not attached: {WHY_NOT}".encode()) in headers
    assert ATTACHED not in headers


def test_where_it_cannot_attach_a_plain_value_passes(attach):
    attach.return_value = WHY_NOT
    assert answer(Answering(b'{"value": 1}'), scope_of())[::2] == (200, b'{"value": 1}')


@pytest.mark.parametrize("why", ["two\r\nlines", "größer", "x" * 10_000, ""])
def test_whatever_the_reason_is_its_header_is_valid(attach, why):
    attach.return_value = why
    (value,) = [value for name, value in answer(Answering(b"3"), scope_of())[1] if name == PROBE_HEADER]
    assert value.startswith(b"not attached")
    assert value.isascii()
    assert value.decode().isprintable()
    assert len(value) < 1000


def test_before_it_has_attached_a_reference_is_answered_503(attach):
    status, headers, _ = answer(
        Answering(REFERENCE), {name: part for name, part in scope_of().items() if name != "app"}
    )
    assert status == 503
    assert ATTACHED not in headers
    attach.assert_not_called()


def test_it_attaches_once_by_the_first_application_it_sees(attach):
    async def connect():
        outermost = ExclusiveMiddleware(Answering(b""))
        for scope in ({"type": "lifespan"}, scope_of(), scope_of()):
            await outermost(scope, None, ignore)

    async def ignore(message): ...

    asyncio.run(connect())
    attach.assert_called_once_with("the root application")
