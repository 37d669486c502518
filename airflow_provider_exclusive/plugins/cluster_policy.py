"""
Cluster policy (entry point group ``airflow.policy``): Airflow calls it for every Dag it parses.

In the Dag processor it checks the scopes. A worker also parses the Dag of its task, but a failed check there would
appear as "Dag not found". In a worker the policy therefore only prepares the process: for templates that use exclusive
inputs, and to keep opened values out of Airflow's own records.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, Final

from airflow.policies import hookimpl

log = logging.getLogger(__name__)

_SHOWN_PULLS: Final = 10


@hookimpl
def dag_policy(dag: Any) -> None:
    """
    Refuse a Dag that contradicts its consumer scopes.

    :raises AirflowClusterPolicyViolation: which Airflow reports as an import error of the Dag's file.
    """
    from airflow.sdk import get_parsing_context

    from airflow_provider_exclusive.definitions import templates

    templates.prepare()
    if get_parsing_context().task_id is not None:
        from airflow_provider_exclusive.exceptions import ConfigurationError
        from airflow_provider_exclusive.execution_time import redaction

        # The backend checks again before it opens anything; an error here would fail plain tasks as "Dag not found".
        with suppress(ConfigurationError):
            redaction.prepare()
        return

    _check(dag)


def _check(dag: Any) -> None:
    """Treat what is wrong with the scopes of ``dag`` as ``[exclusive] parse_check`` says."""
    from airflow_provider_exclusive import config
    from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag
    from airflow_provider_exclusive.definitions.parse_check import find_contradictions

    mode = config.read_parse_check()
    if mode == "off":
        return
    declared = DeclaredDag.of(dag)
    _warn_of_pulls(dag, declared)
    contradictions = find_contradictions(declared)
    if not contradictions:
        return
    message = "\n".join([f"Dag {dag.dag_id!r} ({dag.fileloc}) contradicts its consumer scopes:", *contradictions])
    if mode == "warn":
        log.warning("%s", message)
        return
    from airflow.exceptions import AirflowClusterPolicyViolation

    raise AirflowClusterPolicyViolation(message)


def _warn_of_pulls(dag: Any, declared: Any) -> None:
    if not declared.exclusive_tasks:  # nothing to read for in most Dags
        return
    from airflow_provider_exclusive.definitions import pulls
    from airflow_provider_exclusive.definitions.parse_check import find_refused_pulls

    refused = find_refused_pulls(declared, pulls.read(dag))
    more = len(refused) - _SHOWN_PULLS
    if refused:
        shown = [
            *refused[:_SHOWN_PULLS],
            *([f"and {more} more: airflow exclusive scopes {dag.dag_id}"] if more > 0 else []),
        ]
        log.warning("%s", "\n".join([f"Dag {dag.dag_id!r} ({dag.fileloc}) pulls what its scopes forbid:", *shown]))
