"""``airflow exclusive lineage``: the history of a run's exclusive outputs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from airflow_provider_exclusive.cli.doctor.facts import read_driver
from airflow_provider_exclusive.cli.lineage_report import Access, Output, accesses_to, outputs_of, place_of, readers_of
from airflow_provider_exclusive.cli.metadata import read_run
from airflow_provider_exclusive.cli.output import (
    emit,
    emit_json,
    emit_table,
    failing_clearly,
    only_the_answer,
    printable,
)
from airflow_provider_exclusive.cli.payloads import mark_gone
from airflow_provider_exclusive.format.fields import to_timestamp
from airflow_provider_exclusive.scopes.identity import TaskIdentity

_PERMITTED: Final = {
    "producer": "its own output",
    "in-scope": "in the scope",
    "caller": "triggered this run ('caller')",
}


@failing_clearly
def lineage(args: Any) -> None:
    """
    Print the exclusive outputs of a run: producer, permitted readers, reads and refusals.

    :raises SystemExit: if there is no such run.
    """
    with only_the_answer():
        run = read_run(args.dag_id, args.run_id)
        found = outputs_of(args.dag_id, run.run_id, run.xcoms, now=datetime.now(UTC))
        outputs, unchecked = mark_gone(found, read_driver())
    accesses = accesses_to(args.dag_id, run.run_id, run.audits)
    if args.output == "json":
        emit_json(
            {
                "dag_id": args.dag_id,
                "run_id": run.run_id,
                "outputs": [output.to_json() for output in outputs],
                "unchecked": unchecked,
                "accesses": [access.to_json() for access in accesses],
            }
        )
        return
    emit(f"Exclusive outputs of Dag {args.dag_id}, run {run.run_id}")
    _print_outputs(outputs)
    if unchecked:
        emit(printable(unchecked))
    _print_accesses(args.dag_id, run.run_id, accesses)


def _print_outputs(outputs: Sequence[Output]) -> None:
    if not outputs:
        emit("None.")
        return
    columns = ["producer", "key", "state", "codec", "bytes", "written", "expires", "stored at", "may read"]
    emit_table(columns, map(_output_row, outputs))


def _output_row(output: Output) -> Sequence[str]:
    producer, reference = output.producer, output.reference
    name = _name(producer.task_id, producer.map_index)
    if reference is None:
        return (name, output.key, output.state, *["-"] * 6)
    return (
        name,
        output.key,
        output.state,
        reference.codec,
        f"{reference.size:,}",
        to_timestamp(output.written),
        reference.expires_at or "never",
        place_of(reference),
        readers_of(reference),
    )


def _print_accesses(dag_id: str, run_id: str, accesses: Sequence[Access]) -> None:
    if not accesses:
        emit(
            "Airflow's audit log has no read and no refusal of them. By default it records refusals only; set "
            "[exclusive] audit = all to record reads, too."
        )
        return
    columns = ["outcome", "reader", "output of", "key", "times", "first", "last", "why"]
    emit_table(columns, (_access_row(dag_id, run_id, access) for access in accesses))


def _access_row(dag_id: str, run_id: str, access: Access) -> Sequence[str]:
    return (
        f"{access.outcome} ({access.method})" if access.method else access.outcome,
        _name_reader(dag_id, run_id, access.reader),
        _name(access.task_id, access.map_index),
        access.key,
        str(access.count),
        access.first,
        access.last,
        _why(dag_id, run_id, access),
    )


def _why(dag_id: str, run_id: str, access: Access) -> str:
    if access.handed_over_by is not None:
        return f"handed over by {_name_reader(dag_id, run_id, access.handed_over_by)}"
    return _PERMITTED.get(access.reason, access.reason) or "-"


def _name_reader(dag_id: str, run_id: str, reader: TaskIdentity | None) -> str:
    if reader is None:
        return "unknown"
    is_of_this_run = (reader.dag_id, reader.run_id) == (dag_id, run_id)
    return _name(reader.task_id, reader.map_index) if is_of_this_run else str(reader)


def _name(task_id: str, map_index: int) -> str:
    return f"{task_id}[{map_index}]" if map_index >= 0 else task_id
