"""
Open references and weigh their values; runs with the environment of the stack, reads rows and writes JSON.

It opens each value in the producer's name, who may always read its own, and asks Airflow's own backend what it would
have put into the metadata database instead.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.wiring import current_store


def weigh(row: dict[str, Any]) -> dict[str, Any]:
    """Return a value's type, and the bytes that Airflow's own backend needs for it: None if it cannot take it."""
    reference = Reference.from_row(row)
    value = current_store().get(reference, reader=reference.producer)
    return {"type": type(value).__name__, "own_bytes": _own_bytes(value)}


def _own_bytes(value: Any) -> int | None:
    try:
        return len(json.dumps(BaseXCom.serialize_value(value)).encode())
    except (TypeError, ValueError, AttributeError):
        return None


if __name__ == "__main__":
    json.dump([weigh(row) for row in json.load(sys.stdin)], sys.stdout)
