"""
Exclusive XComs for Apache Airflow: outputs that only their declared consumers can read, sealed at rest.

Airflow imports this package while it imports ``airflow.sdk`` itself (the configured XCom backend lives in it), so
nothing may be imported here eagerly; the public names below are loaded at first use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_exclusive.decorators.exclusive import exclusive_task
    from airflow_provider_exclusive.definitions.hook import consumers
    from airflow_provider_exclusive.definitions.inputs import exclusive_input, get_exclusive_input
    from airflow_provider_exclusive.operators.trigger_dagrun import ExclusiveTriggerDagRunOperator
    from airflow_provider_exclusive.scopes.consumers import DOWNSTREAM, Consumer

__version__ = "0.1.0"

__all__ = [
    "DOWNSTREAM",
    "Consumer",
    "ExclusiveTriggerDagRunOperator",
    "__version__",
    "consumers",
    "exclusive_input",
    "exclusive_task",
    "get_exclusive_input",
]

_HOMES = {
    "Consumer": "airflow_provider_exclusive.scopes.consumers",
    "DOWNSTREAM": "airflow_provider_exclusive.scopes.consumers",
    "ExclusiveTriggerDagRunOperator": "airflow_provider_exclusive.operators.trigger_dagrun",
    "consumers": "airflow_provider_exclusive.definitions.hook",
    "exclusive_input": "airflow_provider_exclusive.definitions.inputs",
    "get_exclusive_input": "airflow_provider_exclusive.definitions.inputs",
    "exclusive_task": "airflow_provider_exclusive.decorators.exclusive",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
