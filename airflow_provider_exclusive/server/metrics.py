"""Report to Airflow's own metrics how many decisions were made, why, and how long they took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from airflow_provider_exclusive.compat.execution_api import find_stats

DECISION: Final = "exclusive.decision"
"""Timer: from the reference that a route has found to the decision, including the wait for the database."""


def count(event: str, reason: str) -> None:
    """Count ``event`` under the tag ``reason``."""
    if (stats := find_stats()) is not None:
        stats.incr(event, tags={"reason": reason})


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Report how long the block took, even if it raised."""
    begin = time.perf_counter()
    try:
        yield
    finally:
        if (stats := find_stats()) is not None:
            stats.timing(name, timedelta(seconds=time.perf_counter() - begin))
