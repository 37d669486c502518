"""Say which Dags fill a store, from a sample of its object keys: they name the Dag, and no row is needed."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Final

from airflow_provider_exclusive.exceptions import StorageError
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.storage.object_keys import ROOT, dag_in

_SAMPLED: Final = 50_000
_NAMED: Final = 5


def describe_usage(driver: StorageDriver) -> str:
    """Return a sentence that names the Dags with the most bytes in the store, or says why none is named."""
    sizes: Counter[str] = Counter()
    objects = 0
    try:
        for stored in islice(driver.scan(ROOT), _SAMPLED):
            sizes[dag_in(stored.key)] += stored.size
            objects += 1
    except StorageError as failure:
        return f"Which Dags fill it is unknown, because its objects cannot be listed: {failure}"
    total = sizes.total()
    if not total:
        return "None of it is a payload of this package: something else fills it."
    counted = f"the first {objects:,} objects" if objects == _SAMPLED else f"its {objects:,} objects"
    named = ", ".join(f"{dag_id} {size / total:.0%}" for dag_id, size in sizes.most_common(_NAMED))
    return f"Payloads of {total:,} bytes in {counted}, by Dag (other characters of an id show as _): {named}."
