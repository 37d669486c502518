"""
Attaching to Airflow's execution API, once for each API server process.

What is taken for granted about Airflow is checked here. If it does not hold, the API server says so at its start,
nothing is opened for anybody, and sealed keys stay sealed keys.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from airflow_provider_exclusive import config
from airflow_provider_exclusive.compat.execution_api import replace_xcom_functions
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.server.audit import AuditTrail
from airflow_provider_exclusive.server.decisions import Decisions
from airflow_provider_exclusive.server.guard import create_guards
from airflow_provider_exclusive.server.reads import create_reads
from airflow_provider_exclusive.server.writes import create_writes

log = logging.getLogger(__name__)

_EXECUTION_API: Final = "/execution"


def attach(root: Any) -> bool:
    """
    Put the guard into the execution API that is mounted in ``root``, Airflow's FastAPI application.

    :return: whether it could be attached; if not, the log says why.
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
    except Exception:
        # Whatever it is, the API server must start: plain tasks do not depend on this plugin.
        log.exception(
            "The plugin 'exclusive' could not attach to the execution API: no exclusive value will be opened for a "
            "worker without the private key, and no scope is enforced in this API server."
        )
        return False
    log.info("The plugin 'exclusive' is attached to the execution API.")
    return True


def _require_execution_api(root: Any) -> None:
    if not any(getattr(route, "path", None) == _EXECUTION_API for route in root.routes):
        raise LookupError(f"this API server has no {_EXECUTION_API}: it was started without the execution API")


def _read_keyring(settings: config.Settings) -> Keyring | None:
    try:
        return config.read_keyring(settings)
    except ConfigurationError as missing:
        log.warning("This API server opens no exclusive value for workers: %s", missing)
        return None
