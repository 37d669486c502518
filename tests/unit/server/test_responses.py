"""A denial becomes 403 and is recorded; whatever else fails becomes 503, never permission."""

from __future__ import annotations

import pytest
from fastapi import HTTPException

from airflow_provider_exclusive.exceptions import AccessDeniedError, StorageError, UnknownKeyError
from airflow_provider_exclusive.server import audit, callers
from airflow_provider_exclusive.server.responses import http_errors


@pytest.fixture
def answer(at, session, trail, consumer, requesting):
    """Raise an error in the block and return the answer to the request."""

    def answer(error, *, what="read", reader=consumer):
        request = requesting(reader)
        with pytest.raises(HTTPException) as answered, http_errors(what, at, request, session, trail):
            raise error
        return answered.value

    return answer


def test_a_denial_is_answered_403_with_its_reason(answer):
    refusal = answer(AccessDeniedError("not you", reason="not-in-scope"))
    assert (refusal.status_code, refusal.detail) == (403, {"reason": "not-in-scope", "message": "not you"})


def test_an_unknown_key_is_answered_403_and_named(answer, trail):
    refusal = answer(UnknownKeyError("that key", key_id="k-1"), what="write")
    assert refusal.status_code == 403
    assert refusal.detail == {"reason": "unknown-key", "message": "that key", "key_id": "k-1"}
    assert [reason for *_, reason, _ in trail.events] == ["unknown-key"]


@pytest.mark.parametrize(("what", "event"), [("read", audit.DENIED), ("write", audit.WRITE_DENIED)])
def test_a_denial_is_recorded(answer, trail, at, consumer, what, event):
    answer(AccessDeniedError("not you"), what=what)
    assert trail.events == [(event, str(consumer), at, "not-in-scope", "GET")]


def test_an_unknown_caller_is_recorded(answer, trail):
    answer(AccessDeniedError("not you"), reader=None)
    assert [caller for _, caller, *_ in trail.events] == [None]


def test_a_caller_that_cannot_be_looked_up_is_denied_as_well(answer, mocker, trail, session, at, requesting):
    request = requesting(None)
    mocker.patch.object(callers, "find_caller", side_effect=ConnectionError)
    with pytest.raises(HTTPException) as refusal, http_errors("read", at, request, session, trail):
        raise AccessDeniedError("not you")
    assert refusal.value.status_code == 403
    assert len(trail.events) == 1


@pytest.mark.parametrize("is_known", [True, False])
def test_a_caller_is_looked_up_once(mocker, trail, session, at, consumer, requesting, is_known):
    def refuse(look_up):
        look_up.note(callers.Caller(consumer, 1, is_live=True) if is_known else None)
        raise AccessDeniedError("not you")

    request = requesting(consumer)
    again = mocker.patch.object(callers, "find_caller", side_effect=AssertionError)
    session.connection()
    with pytest.raises(HTTPException), http_errors("read", at, request, session, trail) as look_up:
        refuse(look_up)
    assert not again.called
    assert [caller for _, caller, *_ in trail.events] == [str(consumer) if is_known else None]
    assert not session.is_connected


def test_the_connection_is_returned_before_the_audit_takes_one(answer, mocker, session, trail):
    record = trail.record
    mocker.patch.object(
        trail, "record", side_effect=lambda *a, **k: record(*a, **k) or held.append(session.is_connected)
    )
    held = []
    answer(AccessDeniedError("not you"))
    assert held == [False]


def test_names_that_cannot_be_encoded_are_escaped(answer):
    assert answer(AccessDeniedError("reads \ud800")).detail["message"] == "reads \\ud800"


@pytest.mark.parametrize("what", ["read", "write"])
@pytest.mark.parametrize("trouble", [ZeroDivisionError("a secret"), StorageError("a secret"), LookupError("a secret")])
def test_trouble_is_answered_503_and_tells_nothing(answer, trail, caplog, what, trouble):
    refusal = answer(trouble, what=what)
    assert (refusal.status_code, refusal.detail["reason"]) == (503, "undecided")
    assert "a secret" not in str(refusal.detail)
    assert "a secret" in caplog.text
    assert trail.events == []


def test_without_an_error_nothing_is_answered(at, session, trail, consumer, requesting):
    with http_errors("read", at, requesting(consumer), session, trail):
        pass
    assert trail.events == []
