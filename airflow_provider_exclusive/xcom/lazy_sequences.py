"""
Lazy sequences: the outputs of a mapped task, as Airflow passes them to a task.

Airflow gives the backend an item without its coordinate. The function here knows of which task and key it is.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from airflow_provider_exclusive.compat import lazy_sequence
from airflow_provider_exclusive.compat.replace import Function, UnsupportedAirflowError
from airflow_provider_exclusive.execution_time.failures import server_refusals
from airflow_provider_exclusive.scopes.identity import Coordinate

log = logging.getLogger(__name__)

_requested: ContextVar[Coordinate | None] = ContextVar("exclusive_requested_sequence", default=None)


def attach() -> None:
    """
    Let items of lazy sequences be checked like any pull from now on.

    A version of Airflow with another kind of lazy sequence is left alone, which is logged.
    """
    try:
        lazy_sequence.replace_reads(get_item=_create_get_item)
    except UnsupportedAirflowError as unsupported:
        log.warning("Of the items of lazy sequences, only Dag and run are checked: %s.", unsupported)


def requested() -> Coordinate | None:
    """Return the outputs of which a lazy sequence is reading an item; None if that is unknown."""
    return _requested.get()


def _create_get_item(original: Function) -> Function:
    def get_item(sequence: Any, key: Any) -> Any:
        token = _requested.set(lazy_sequence.coordinate_of(sequence))
        try:
            with server_refusals():
                return original(sequence, key)
        finally:
            _requested.reset(token)

    return get_item
