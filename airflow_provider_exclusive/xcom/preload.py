"""
Modules that a first push or pull needs, imported before a process forks.

Executors fork each task from a parent that has imported the backend. redis-py alone takes a third of a second: too long
for every ``airflow`` command and for every task, but nothing for the parent of all tasks.
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
    """Import them before the first fork of this process, and not at all if it never forks."""
    os.register_at_fork(before=_preload)


@functools.cache
def _preload() -> None:
    try:
        settings = config.read_settings()
        if settings.conn_id:
            import_module("airflow_provider_exclusive.hooks.exclusive")
            import_module("airflow_provider_exclusive.hooks.redis")
    except (ConfigurationError, ImportError) as failure:
        # The task that needs it says so in its own log.
        log.debug("Not imported before the fork: %s", failure)
