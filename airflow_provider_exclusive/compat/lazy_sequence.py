"""What is private in a lazy sequence, which Airflow passes to a task instead of the outputs of a mapped task."""

from __future__ import annotations

from typing import Any, Final

from airflow_provider_exclusive.compat.replace import Create, Replacement, UnsupportedAirflowError, replace_functions
from airflow_provider_exclusive.scopes.identity import Coordinate

_FIELDS: Final = ("_xcom_arg", "_ti")


def replace_reads(*, iterate: Create, get_item: Create) -> None:
    """
    Replace the functions by which a task reads a lazy sequence.

    Guarded by row 3 of ``docs/airflow-facts.md``.

    :param iterate: for ``__iter__``.
    :param get_item: for ``__getitem__``, which Airflow's own iterator calls for each item.
    :raises UnsupportedAirflowError: if one of them is not as expected; then none is replaced.
    """
    from airflow.sdk.execution_time.lazy_sequence import LazyXComSequence

    if not all(hasattr(LazyXComSequence, field) for field in _FIELDS):
        module = f"{LazyXComSequence.__module__}.{LazyXComSequence.__qualname__}"
        raise UnsupportedAirflowError(f"{module}({', '.join(_FIELDS)})", found=None)
    replace_functions(
        LazyXComSequence,
        {"__iter__": Replacement(iterate, ("self",)), "__getitem__": Replacement(get_item, ("self", "key"))},
    )


def coordinate_of(sequence: Any) -> Coordinate:
    """Return what a lazy sequence consists of: the outputs of all map indexes."""
    output = sequence._xcom_arg  # noqa: SLF001
    producer = output.operator
    return Coordinate(producer.dag_id, sequence._ti.run_id, producer.task_id, key=output.key)  # noqa: SLF001
