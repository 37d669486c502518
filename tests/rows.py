"""Rows as somebody who can write to the database may leave them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_exclusive.format.readers import scope_from_text
from airflow_provider_exclusive.format.reference import Reference


def forged(row: Mapping[str, Any], **fields: Any) -> dict[str, str]:
    """
    Return ``row`` saying something else, well-formed, with the sealed bytes as they were.

    :param fields: of :class:`Reference`; those of its producer by their own names.
    """
    reference = Reference.from_row(row)
    whose = {name: fields.pop(name) for name in ("dag_id", "run_id", "task_id", "map_index", "ti_id") if name in fields}
    producer = replace(reference.producer, **whose)
    # What the row says of its readers stays as it is: a task by itself is one of the run that the row names.
    scope = scope_from_text(row["consumers"], producer.dag_id, producer.run_id)
    return replace(reference, **{"producer": producer, "scope": scope} | fields).to_row()
