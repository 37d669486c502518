"""The table at the end of the demonstration."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from airflow_provider_exclusive.format.reference import Reference
from demo.outcome import Outcome, is_reference, readers, refusal_reason
from stack.airflow import AirflowStack
from stack.metadata import XComRow
from stack.processes import ServerFailedError

_COLUMNS = ("task", "key", "type", "codec", "size", "stored in", "in database", "Airflow's own", "read by", "refused")
_WHY_LARGER = (
    "The row of a small value is larger than Airflow's own: it holds the value, sealed, and says in some 200 bytes who "
    "wrote it, who may read it and which key opens it. That of a large value is smaller: the value is in the store."
)
_RIGHT = frozenset({"size", "in database", "Airflow's own"})


def print_table(console: Console, stack: AirflowStack, outcomes: Sequence[Outcome]) -> None:
    """Print one line for each exclusive output of the runs, and below it why each refused task was refused."""
    table = Table(
        title="Exclusive outputs. Sizes in bytes: of the encoded value, and of its row in the metadata database, "
        "with this backend and with Airflow's own.",
        title_justify="left",
        title_style="",
    )
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in _RIGHT else "left", overflow="fold")
    weights = _weigh(stack, [row for outcome in outcomes for row in outcome.rows if is_reference(row)])
    for outcome in outcomes:
        table.add_row(f"[bold]{outcome.example.dag_id}[/bold]")
        for line in table_lines(outcome, weights):
            table.add_row(*map(escape, line))
        table.add_section()
    console.print(table)
    console.print(_WHY_LARGER, markup=False, highlight=False)
    for outcome in outcomes:
        for refusal in outcome.example.refusals:
            reason = refusal_reason(stack, outcome.example, outcome.run_id, refusal)
            console.print(f"Why {refusal.reader} was refused: {reason}", markup=False, highlight=False)


def table_lines(outcome: Outcome, weights: Mapping[XComRow, dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of the lines of one run."""
    for row in filter(is_reference, outcome.rows):
        reference, weight = Reference.from_row(row.value), weights[row]
        yield (
            row.task_id + (f"[{row.map_index}]" if row.map_index >= 0 else ""),
            row.key,
            weight["type"],
            reference.codec,
            f"{reference.size:,}",
            reference.store or "row",
            f"{len(row.stored.encode()):,}",
            "cannot" if weight["own_bytes"] is None else f"{weight['own_bytes']:,}",
            ", ".join(reading.reader for reading in readers(outcome.example, row)) or "nobody",
            ", ".join(_refused(outcome, row)),
        )


def _refused(outcome: Outcome, row: XComRow) -> Iterator[str]:
    for refusal in outcome.example.refusals:
        if refusal.producer == row.task_id:
            permitted = ", ".join(clause.task_id for clause in Reference.from_row(row.value).scope.clauses)
            yield f"{refusal.reader}: only for {permitted}"


def _weigh(stack: AirflowStack, rows: Sequence[XComRow]) -> dict[XComRow, dict[str, Any]]:
    # -P: as the components of the stack do, import the installed package, whatever folder this runs in.
    done = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("measure.py"))],
        check=False,
        capture_output=True,
        text=True,
        input=json.dumps([row.value for row in rows]),
        env=stack.variables,
        cwd=stack.home,
    )
    if done.returncode:
        raise ServerFailedError(f"The values of the table cannot be opened:\n{done.stderr}")
    return dict(zip(rows, json.loads(done.stdout.splitlines()[-1]), strict=True))
