"""
Attaching to Airflow's execution API, once for each API server process.

What is taken for granted about Airflow is checked here. If it does not hold, the API server says so at its start,
nothing is opened for anybody, and letters stay letters.
"""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_exclusive import config
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.keyring import Keyring
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.decisions import Decisions

log = logging.getLogger(__name__)

_EXECUTION_API: Final = "/execution"
_SEAM: Final = ["dag_id", "run_id", "task_id", "xcom_key", "request", "session", "token"]


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
        execution_api = _find_execution_api(root)
        original = _find_seam()
        settings = config.read_settings()
        attachment = Attachment(Decisions(_read_keyring(settings)), AuditTrail(settings.audit))
        from airflow_provider_exclusive.server.guard import create_guard

        execution_api.dependency_overrides[original] = create_guard(attachment.trail)
    except Exception:
        # Whatever it is, the API server must start: plain tasks do not depend on this plugin.
        log.exception(
            "The plugin 'exclusive' could not attach to the execution API: no exclusive value will be opened for a "
            "worker without the private key, and no scope is enforced in this API server."
        )
        return None
    log.info("The plugin 'exclusive' is attached to the execution API.")
    return attachment


def _find_execution_api(root: Any) -> Any:
    for route in root.routes:
        if getattr(route, "path", None) == _EXECUTION_API:
            return route.app
    raise LookupError(f"this API server has no {_EXECUTION_API}: it was started without the execution API")


def _find_seam() -> Any:
    from airflow.api_fastapi.execution_api.routes.xcoms import has_xcom_access

    found = list(inspect.signature(has_xcom_access).parameters)
    if found != _SEAM:
        raise LookupError(f"Airflow's has_xcom_access takes {found}, expected {_SEAM}")
    return has_xcom_access


def _read_keyring(settings: config.Settings) -> Keyring | None:
    try:
        return config.read_keyring(settings)
    except ConfigurationError as missing:
        log.warning("This API server opens no exclusive value for workers: %s", missing)
        return None
