"""Report to Airflow's own metrics how many decisions were made, why, and how long they took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

DECISION: Final = "exclusive.decision"
"""Timer: from the reference that a route has found to the decision, including the wait for the database."""


def count(event: str, reason: str) -> None:
    """Count ``event`` under the tag ``reason``."""
    if (stats := _stats()) is not None:
        stats.incr(event, tags={"reason": reason})


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Report how long the block took, even if it raised."""
    begin = time.perf_counter()
    try:
        yield
    finally:
        if (stats := _stats()) is not None:
            stats.timing(name, timedelta(seconds=time.perf_counter() - begin))


def _stats() -> Any:
    # Airflow 3.2 keeps its metrics elsewhere; decisions do not depend on being counted.
    try:
        from airflow._shared.observability.metrics import stats
    except ImportError:
        return None
    return stats
