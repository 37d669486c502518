"""
Attach to Airflow's execution API, once per API server process.

Assumptions about Airflow are checked here. If one does not hold, the API server logs it at startup, opens nothing for
anybody, and answers exclusive values with 503.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from airflow_provider_exclusive import config
from airflow_provider_exclusive.compat.execution_api import (
    airflow_version,
    replace_trigger_function,
    replace_xcom_functions,
)
from airflow_provider_exclusive.compat.replace import UnsupportedAirflowError
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.decisions import Decisions
from airflow_provider_exclusive.server.guard import create_guards
from airflow_provider_exclusive.server.reads import create_reads
from airflow_provider_exclusive.server.triggers import create_trigger
from airflow_provider_exclusive.server.writes import create_writes

log = logging.getLogger(__name__)

_EXECUTION_API: Final = "/execution"


def attach(root: Any) -> str | None:
    """
    Attach to the execution API that is mounted in ``root``, Airflow's FastAPI application.

    :return: None if that succeeded; if not, why, without anything that tasks may not know. The log has more.
    """
    try:
        _require_execution_api(root)
        settings = config.read_settings()
        decisions, trail = Decisions(_read_keyring(settings)), AuditTrail(settings.audit)
        replace_xcom_functions(
            {
                **create_guards(trail, decisions.keyring),
                **create_reads(decisions, trail),
                **create_writes(decisions, trail),
            }
        )
        replace_trigger_function(create_trigger(trail))
    except Exception as failure:
        # Whatever failed, the API server must start: plain tasks do not depend on this plugin.
        why = f"Airflow {airflow_version()}: {_what_failed(failure)}"
        log.exception(
            "The plugin 'exclusive' could not attach to the execution API (%s). This API server answers every "
            "exclusive value with 503, because it could enforce no scope.",
            why,
        )
        return why
    log.info("The plugin 'exclusive' is attached to the execution API.")
    return None


def _what_failed(failure: Exception) -> str:
    if isinstance(failure, UnsupportedAirflowError):
        return str(failure)
    if isinstance(failure, ImportError):
        return f"no module {failure.name}"
    return type(failure).__name__  # its message may hold settings or paths


def _require_execution_api(root: Any) -> None:
    if not any(getattr(route, "path", None) == _EXECUTION_API for route in root.routes):
        raise LookupError(f"this API server has no route {_EXECUTION_API}: it was started without the execution API")


def _read_keyring(settings: config.Settings) -> Keyring | None:
    try:
        return config.read_keyring(settings)
    except ConfigurationError as missing:
        log.warning("This API server cannot open exclusive values for workers: %s", missing)
        return None
