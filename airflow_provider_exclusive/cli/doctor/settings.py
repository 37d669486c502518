"""Check section ``[exclusive]``, the backend, and whether this version of Airflow is supported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from airflow_provider_exclusive.cli.doctor.facts import BACKEND, Facts
from airflow_provider_exclusive.cli.doctor.report import Area, Finding
from airflow_provider_exclusive.cli.output import did_you_mean
from airflow_provider_exclusive.config import DEFAULTS, Settings
from airflow_provider_exclusive.exceptions import ConfigurationError

_SETTINGS: Final = Area("settings")
_MOST_INLINE_BYTES: Final = 16 * 1024
_LEAST_OFFLOAD_BYTES: Final = 1024
_LEAST_TTL_SECONDS: Final = 3600


def check(facts: Facts) -> Iterator[Finding]:
    """Check the configuration, except for store and keys."""
    yield _check_backend(facts)
    yield _check_redaction(facts)
    yield from _check_parse_check(facts)
    yield from _check_names(facts)
    if isinstance(facts.settings, ConfigurationError):
        yield _SETTINGS.error("options", str(facts.settings))
        return
    yield _SETTINGS.ok("options", "Every option of section [exclusive] is valid.")
    yield from _check_sizes(facts.settings)
    yield from _check_ttl(facts.settings)
    yield from _check_choices(facts.settings)


def _check_backend(facts: Facts) -> Finding:
    if isinstance(facts.backend_modules, ConfigurationError):
        return _SETTINGS.error(
            "backend",
            f"[core] xcom_backend cannot be loaded: {facts.backend_modules}",
            f"Set it to {BACKEND}.ExclusiveXComBackend in every component.",
        )
    if BACKEND in facts.backend_modules:
        return _SETTINGS.ok("backend", "[core] xcom_backend is the backend of this package.")
    return _SETTINGS.error(
        "backend",
        "[core] xcom_backend is not the backend of this package: nothing is sealed, and exclusive tasks fail.",
        f"Set it to {BACKEND}.ExclusiveXComBackend in every component.",
    )


def _check_redaction(facts: Facts) -> Finding:
    if facts.redaction_error is None:
        return _SETTINGS.ok("airflow", "Airflow does not store opened values in its rendered fields.")
    return _SETTINGS.error("airflow", str(facts.redaction_error))


def _check_parse_check(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.parse_check, ConfigurationError):
        yield _SETTINGS.error("parse_check", str(facts.parse_check))
    elif facts.parse_check == "off":
        yield _SETTINGS.warning(
            "parse_check",
            "[exclusive] parse_check = off: a Dag that contradicts its scopes is noticed only when its tasks fail.",
            "Set it to error, or to warn while you fix Dags; airflow exclusive scopes DAG_ID --check finds the faults.",
        )


def _check_names(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.unknown_options, ConfigurationError):
        yield _SETTINGS.warning("names", str(facts.unknown_options), "See the findings about keys and store.")
    elif facts.unknown_options:
        named = "; ".join(f"{option!r}{did_you_mean(option, DEFAULTS)}" for option in facts.unknown_options)
        yield _SETTINGS.warning(
            "names",
            f"Unknown options in section [exclusive]: {named}",
            "Fix the names in airflow.cfg, or of the environment variables AIRFLOW__EXCLUSIVE__….",
        )


def _check_sizes(settings: Settings) -> Iterator[Finding]:
    if settings.inline_bytes > _MOST_INLINE_BYTES:
        yield _SETTINGS.warning(
            "inline_bytes",
            f"[exclusive] inline_bytes = {settings.inline_bytes}: values of this size fill the metadata database and "
            "slow down every page that lists XComs.",
            f"Set it to at most {_MOST_INLINE_BYTES}; the default is 512.",
        )
    if settings.has_configured_store and 0 < settings.offload_bytes < _LEAST_OFFLOAD_BYTES:
        yield _SETTINGS.warning(
            "offload_bytes",
            f"[exclusive] offload_bytes = {settings.offload_bytes}: nearly every value of plain tasks goes to the "
            "store, at a round trip each.",
            f"Set it to at least {_LEAST_OFFLOAD_BYTES}, or to 0 for never; the default is 65536.",
        )


def _check_ttl(settings: Settings) -> Iterator[Finding]:
    if settings.ttl_seconds is None:
        yield _SETTINGS.warning(
            "ttl_seconds",
            "[exclusive] ttl_seconds = 0: values never expire, so those of deleted runs stay in the store forever.",
            "Set it to how long after a run its tasks may still be cleared, in seconds; the default is 30 days.",
        )
    elif settings.ttl_seconds < _LEAST_TTL_SECONDS:
        yield _SETTINGS.warning(
            "ttl_seconds",
            f"[exclusive] ttl_seconds = {settings.ttl_seconds}: values may expire before the last task of their run "
            "reads them, and clearing a task later fails.",
            f"Set it to at least {_LEAST_TTL_SECONDS}, and longer than the longest run.",
        )


def _check_choices(settings: Settings) -> Iterator[Finding]:
    if settings.audit == "off":
        yield _SETTINGS.warning(
            "audit",
            "[exclusive] audit = off: refusals are not recorded.",
            "Set it to denied or all.",
        )
    if settings.allow_cloudpickle:
        yield _SETTINGS.ok(
            "allow_cloudpickle",
            "[exclusive] allow_cloudpickle is on.",
            "Anyone who holds a private key of this deployment can run code in tasks that read such values.",
        )
