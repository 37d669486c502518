"""What the API server calls an error, and that the task gets the same one back."""

from __future__ import annotations

import pytest

from airflow_provider_exclusive.access.error_codes import from_detail, to_detail
from airflow_provider_exclusive.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    EnvelopeError,
    HandOverWithdrawnError,
    UnknownKeyError,
    UnsupportedReferenceError,
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AccessDeniedError("No.", reason="foreign-coordinate"), "foreign-coordinate"),
        (HandOverWithdrawnError("No."), "hand-over-withdrawn"),
        (ConfigurationError("No."), "no-private-key"),
        (UnknownKeyError("No.", key_id="k-1"), "unknown-key"),
        (UnknownKeyError("No."), "unknown-key"),
        (EnvelopeError("No."), "sealed-key-refused"),
    ],
)
def test_a_refusal_arrives_as_it_left(error, reason):
    detail = to_detail(error)
    arrived = from_detail(detail)

    assert (detail["reason"], detail["message"]) == (reason, "No.")
    assert type(arrived) is type(error)
    assert str(arrived) == "No."
    for name in ("reason", "key_id"):
        assert getattr(arrived, name, None) == getattr(error, name, None)


def test_what_cannot_be_read_arrives_as_not_openable():
    assert type(from_detail(to_detail(UnsupportedReferenceError("No.")))) is EnvelopeError


def test_a_plugin_that_is_not_attached_is_a_configuration():
    assert type(from_detail({"reason": "plugin-not-attached", "message": "No."})) is ConfigurationError


def test_a_missing_key_names_its_option():
    assert from_detail({"reason": "no-private-key"}).option == "[exclusive] private_key"


def test_a_reason_of_a_later_release_is_a_denial():
    denied = from_detail({"reason": "something-new"})

    assert type(denied) is AccessDeniedError
    assert (denied.reason, str(denied)) == ("something-new", "something-new")
