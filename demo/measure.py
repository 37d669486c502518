"""
Open references and measure their values; runs with the environment of the stack, reads rows and writes JSON.

It opens each value as its producer, which may always read it, and finds out what Airflow's own backend would have
stored in the metadata database instead.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_exclusive.access.hand_over import RECORD_KEY
from airflow_provider_exclusive.access.hand_over_record import open_record
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.wiring import current_store


def weigh(row: dict[str, Any]) -> dict[str, Any]:
    """Return a value's type, and its size in bytes in Airflow's own backend, or None if that cannot serialize it."""
    reference = Reference.from_row(row)
    value = _open(reference)
    return {"type": type(value).__name__, "own_bytes": _own_bytes(value)}


def _open(reference: Reference) -> Any:
    if reference.key == RECORD_KEY:  # sealed without a codec
        return open_record(reference, keys=current_store().keys).to_record()
    return current_store().get(reference, reader=reference.producer)


def _own_bytes(value: Any) -> int | None:
    try:
        return len(json.dumps(BaseXCom.serialize_value(value)).encode())
    except (TypeError, ValueError, AttributeError):
        return None


if __name__ == "__main__":
    json.dump([weigh(row) for row in json.load(sys.stdin)], sys.stdout)
