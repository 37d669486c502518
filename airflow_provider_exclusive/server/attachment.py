"""
Attaching to Airflow's execution API, once for each API server process.

What is taken for granted about Airflow is checked here. If it does not hold, the API server says so at its start,
nothing is opened for anybody, and letters stay letters.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from airflow_provider_exclusive import config
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.keyring import Keyring
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.decisions import Decisions
from airflow_provider_exclusive.server.guard import create_guard
from airflow_provider_exclusive.server.reads import create_reads
from airflow_provider_exclusive.server.seam import ACCESS_CHECK, replace_functions

log = logging.getLogger(__name__)

_EXECUTION_API: Final = "/execution"


@dataclass(frozen=True, slots=True)
class Attachment:
    """What an attached API server decides and writes down with."""

    decisions: Decisions
    trail: AuditTrail


def attach(root: Any) -> Attachment | None:
    """
    Put the guard into the execution API that is mounted in ``root``, Airflow's FastAPI application.

    :return: None if it could not be attached; the log says why.
    """
    try:
        _require_execution_api(root)
        settings = config.read_settings()
        decisions, trail = Decisions(_read_keyring(settings)), AuditTrail(settings.audit)
        guard = partial(create_guard, trail=trail)
        replace_functions({ACCESS_CHECK: guard, **create_reads(decisions, trail)})
    except Exception:
        # Whatever it is, the API server must start: plain tasks do not depend on this plugin.
        log.exception(
            "The plugin 'exclusive' could not attach to the execution API: no exclusive value will be opened for a "
            "worker without the private key, and no scope is enforced in this API server."
        )
        return None
    log.info("The plugin 'exclusive' is attached to the execution API.")
    return Attachment(decisions, trail)


def _require_execution_api(root: Any) -> None:
    if not any(getattr(route, "path", None) == _EXECUTION_API for route in root.routes):
        raise LookupError(f"this API server has no {_EXECUTION_API}: it was started without the execution API")


def _read_keyring(settings: config.Settings) -> Keyring | None:
    try:
        return config.read_keyring(settings)
    except ConfigurationError as missing:
        log.warning("This API server opens no exclusive value for workers: %s", missing)
        return None
