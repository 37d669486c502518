"""Which errors fail a task at once, and what a refusal of the API server becomes."""

from __future__ import annotations

import traceback

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from airflow_provider_exclusive.exceptions import (
    AccessDeniedError,
    CodecError,
    ConfigurationError,
    EnvelopeError,
    HandOverWithdrawnError,
    PayloadNotFoundError,
    StorageRefusedError,
    StorageUnavailableError,
    UnknownKeyError,
)
from airflow_provider_exclusive.execution_time.failures import failing_without_retry, server_refusals


def fail_with(error):
    with failing_without_retry():
        raise error


def refuse_with(detail):
    with server_refusals():
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))


class TestRetries:
    @pytest.mark.parametrize(
        "kind",
        [AccessDeniedError, CodecError, ConfigurationError, EnvelopeError, PayloadNotFoundError, UnknownKeyError],
    )
    def test_an_error_that_a_retry_cannot_fix_fails_at_once(self, kind):
        with pytest.raises(kind, match="what went wrong") as failure:
            fail_with(kind("what went wrong"))

        assert isinstance(failure.value, AirflowFailException)
        assert type(failure.value).__name__ == kind.__name__
        assert type(failure.value).__module__ == kind.__module__

    @pytest.mark.parametrize(
        "error",
        [StorageUnavailableError("down"), StorageRefusedError("full"), HandOverWithdrawnError("for now")],
        ids=repr,
    )
    def test_what_may_pass_is_tried_again(self, error):
        with pytest.raises(type(error)) as failure:
            fail_with(error)

        assert failure.value is error

    def test_an_error_of_somebody_else_stays_what_it_is(self):
        error = KeyError("k")

        with pytest.raises(KeyError) as failure:
            fail_with(error)

        assert failure.value is error

    def test_what_an_error_knows_stays_known(self):
        with pytest.raises(AccessDeniedError) as denied:
            fail_with(AccessDeniedError("no", reason="unknown-reader"))
        with pytest.raises(UnknownKeyError) as unknown:
            fail_with(UnknownKeyError("no", key_id="k-1"))

        assert denied.value.reason == "unknown-reader"
        assert unknown.value.key_id == "k-1"

    def test_the_cause_stays_the_cause(self):
        cause = ValueError("the cause")
        error = EnvelopeError("no")
        error.__cause__ = cause

        with pytest.raises(EnvelopeError) as failure:
            fail_with(error)

        assert failure.value.__cause__ is cause

    def test_the_traceback_still_leads_to_where_it_was_raised(self):
        def deep_within():
            raise EnvelopeError("no")

        with pytest.raises(EnvelopeError) as failure, failing_without_retry():
            deep_within()

        assert "deep_within" in [frame.name for frame in traceback.extract_tb(failure.value.__traceback__)]

    def test_without_an_error_nothing_happens(self):
        with failing_without_retry():
            done = True

        assert done


class TestRefusalsOfTheServer:
    def test_a_403_is_a_denial_that_is_not_retried(self):
        with pytest.raises(AccessDeniedError, match="Not for you") as denied:
            refuse_with({"status_code": 403, "detail": {"reason": "not-in-scope", "message": "Not for you"}})

        assert denied.value.reason == "not-in-scope"
        assert isinstance(denied.value, AirflowFailException)
        assert isinstance(denied.value.__cause__, AirflowRuntimeError)

    def test_the_reason_may_lie_deeper(self):
        answer = {"detail": {"detail": {"reason": "unknown-reader", "message": "Who?"}}}

        with pytest.raises(AccessDeniedError, match="Who") as denied:
            refuse_with({"status_code": 403, "detail": answer})

        assert denied.value.reason == "unknown-reader"

    def test_a_reason_without_a_message_is_its_own(self):
        with pytest.raises(AccessDeniedError, match="not-in-scope"):
            refuse_with({"status_code": 403, "detail": {"reason": "not-in-scope"}})

    @pytest.mark.parametrize("answer", [None, "text", {}, {"detail": "text"}, ["reason"]])
    def test_a_403_without_a_reason_is_the_servers(self, answer):
        with pytest.raises(AccessDeniedError, match="The API server refused this request: Forbidden") as denied:
            refuse_with({"status_code": 403, "message": "Forbidden", "detail": answer})

        assert denied.value.reason == "refused-by-server"

    @pytest.mark.parametrize(
        ("status", "reason", "kind"),
        [
            (403, "unknown-key", UnknownKeyError),
            (403, "no-private-key", ConfigurationError),
            (403, "sealed-key-refused", EnvelopeError),
            (503, "plugin-not-attached", ConfigurationError),
        ],
    )
    def test_the_reason_says_which_error_it_is(self, status, reason, kind):
        with pytest.raises(kind, match="Do that") as refused:
            refuse_with({"status_code": status, "detail": {"detail": {"reason": reason, "message": "Do that."}}})

        assert isinstance(refused.value, AirflowFailException)
        assert isinstance(refused.value.__cause__, AirflowRuntimeError)

    def test_a_withdrawn_hand_over_is_tried_again(self):
        answer = {"reason": "hand-over-withdrawn", "message": "Not now."}
        with pytest.raises(HandOverWithdrawnError, match="Not now") as refused:
            refuse_with({"status_code": 403, "detail": {"detail": answer}})

        assert not isinstance(refused.value, AirflowFailException)

    UNDECIDED = {"status_code": 503, "detail": {"reason": "undecided"}}  # noqa: RUF012  # never written to

    @pytest.mark.parametrize("detail", [None, {}, {"status_code": 404}, {"status_code": 500}, UNDECIDED])
    def test_other_trouble_stays_what_it_is(self, detail):
        with pytest.raises(AirflowRuntimeError):
            refuse_with(detail)

    def test_without_a_refusal_nothing_happens(self):
        with server_refusals():
            done = True

        assert done
