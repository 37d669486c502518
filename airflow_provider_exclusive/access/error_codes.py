"""
What the API server calls an error in its answer, and which error the task that gets the answer raises.

Each refusal has a stable reason and a message, and may name a key. This module does not depend on Airflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_exclusive.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    EnvelopeError,
    ExclusiveError,
    HandOverWithdrawnError,
    UnknownKeyError,
)
from airflow_provider_exclusive.format.reference import NO_PRIVATE_KEY, UNKNOWN_KEY

NOT_ATTACHED: Final = "plugin-not-attached"
INVALID: Final = "sealed-key-refused"
WITHDRAWN: Final = "hand-over-withdrawn"
PROBED: Final = "exclusive-probe"

PROBE_DAG: Final = "airflow_provider_exclusive"
"""No task may read or write an XCom of this Dag: whoever requests one learns whether the plugin is there."""
HELD_KEYS: Final = "held_keys"
"""The task id under which the plugin answers, to whoever asks, with the ids of its private keys."""

Refused = AccessDeniedError | ConfigurationError | EnvelopeError
"""What the API server refuses with a reason; anything else is trouble of its own."""


def reason_of(error: Refused) -> str:
    """Return the stable word for ``error``."""
    match error:
        case AccessDeniedError():
            return error.reason
        case ConfigurationError():
            return NO_PRIVATE_KEY
        case UnknownKeyError():
            return UNKNOWN_KEY
    return INVALID


def to_detail(error: Refused) -> dict[str, str]:
    """Return what the API server answers for ``error``."""
    detail = {"reason": reason_of(error), "message": str(error)}
    if isinstance(error, UnknownKeyError) and error.key_id is not None:
        detail["key_id"] = error.key_id
    return detail


def from_detail(detail: Mapping[str, Any]) -> ExclusiveError:
    """
    Return the error for an answer of the API server.

    :param detail: with a ``reason``.
    """
    reason = str(detail["reason"])
    message = str(detail.get("message", reason))
    if reason == NO_PRIVATE_KEY:
        return ConfigurationError(message, option="[exclusive] private_key")
    if reason == NOT_ATTACHED:
        return ConfigurationError(message)
    if reason == UNKNOWN_KEY:
        return UnknownKeyError(message, key_id=detail.get("key_id"))
    if reason == WITHDRAWN:
        return HandOverWithdrawnError(message, reason=reason)
    return EnvelopeError(message) if reason == INVALID else AccessDeniedError(message, reason=reason)
