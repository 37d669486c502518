"""
Import the modules that a first push or pull needs before a process forks.

Executors fork each task from a parent that has imported the backend. Importing redis-py takes a third of a second: too
long for every ``airflow`` command and for every task, but acceptable once in the parent of all tasks.
"""

from __future__ import annotations

import functools
import logging
import os
from importlib import import_module

from airflow_provider_exclusive import config
from airflow_provider_exclusive.exceptions import ConfigurationError

log = logging.getLogger(__name__)


def preload_before_forks() -> None:
    """Import the modules before the first fork of this process; a process that never forks does not import them."""
    os.register_at_fork(before=_preload)


@functools.cache
def _preload() -> None:
    try:
        settings = config.read_settings()
        if settings.conn_id:
            import_module("airflow_provider_exclusive.hooks.exclusive")
            import_module("airflow_provider_exclusive.hooks.redis")
    except (ConfigurationError, ImportError) as failure:
        # The task that needs the module reports the failure in its own log.
        log.debug("Could not import modules before the fork: %s", failure)
