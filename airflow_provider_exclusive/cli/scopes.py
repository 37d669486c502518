"""``airflow exclusive scopes``: who may read which output of a Dag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from airflow_provider_exclusive.cli.dag_source import load_dag
from airflow_provider_exclusive.cli.mermaid import draw
from airflow_provider_exclusive.cli.output import emit, emit_json, emit_table, failing_clearly, printable
from airflow_provider_exclusive.cli.scope_report import DagScopes, describe
from airflow_provider_exclusive.definitions import pulls
from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag
from airflow_provider_exclusive.scopes.consumers import EVERY_KEY


@failing_clearly
def scopes(args: Any) -> None:
    """
    Print the scopes of a Dag.

    :raises SystemExit: if there is no such Dag, or with ``--check`` if it contradicts its scopes. A warning is none.
    """
    dag = load_dag(args.dag_id, bundle_names=args.bundle_name or (), dag_file=args.dagfile_path)
    found = describe(DeclaredDag.of(dag), pulls.read(dag))
    if args.output == "json":
        emit_json(asdict(found))
    elif args.output == "mermaid":
        emit(draw(found))
    else:
        _print(found)
    if args.check and found.contradictions:
        raise SystemExit(1)


def _print(found: DagScopes) -> None:
    emit(f"Dag {found.dag_id} ({found.file})")
    if found.tasks:
        emit_table(["task", "key", "consumers", "may read", "input of", "declared at"], _rows(found))
    else:
        emit("No task of it is exclusive.")
    emit(f"{len(found.contradictions) or 'No'} contradiction{'s' * (len(found.contradictions) != 1)}.")
    for message in found.contradictions:
        emit(f"- {printable(message)}")
    if found.warnings:
        emit(f"{len(found.warnings)} warning{'s' * (len(found.warnings) != 1)}.")
    for message in found.warnings:
        emit(f"- {printable(message)}")


def _rows(found: DagScopes) -> Iterator[Sequence[str]]:
    for task in found.tasks:
        for key in task.keys:
            yield (
                task.task_id,
                "every other key" if key.key == EVERY_KEY and len(task.keys) > 1 else key.key,
                ", ".join(key.consumers) or "nobody",
                ", ".join(key.readers) or "only its producer",
                ", ".join(key.input_of) or "-",
                task.declared_at or "-",
            )
