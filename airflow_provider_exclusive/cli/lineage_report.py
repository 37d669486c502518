"""Turn rows of the metadata database into the history of a run's exclusive outputs, without values or keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, read_task, to_pointer
from airflow_provider_exclusive.cli.metadata import AuditRow, XComRow
from airflow_provider_exclusive.exceptions import EnvelopeError
from airflow_provider_exclusive.format.fields import to_timestamp
from airflow_provider_exclusive.format.readers import scope_to_text
from airflow_provider_exclusive.format.reference import Reference, is_escaped, is_reference_row
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import Clause
from airflow_provider_exclusive.store import object_key_of

SEALED: Final = "sealed"
_OUTCOMES: Final = {
    "exclusive.read": "read",
    "exclusive.denied": "denied",
    "exclusive.write_denied": "write denied",
}


@dataclass(frozen=True, slots=True)
class Output:
    """
    One exclusive XCom of the run.

    :param written: when its row was written.
    :param state: ``sealed``; ``expired``; ``payload gone`` if the store no longer has it; ``not accepted`` if no API
        server has accepted it, so that nobody can open it; ``misplaced`` if its reference belongs to another XCom;
        ``unreadable`` if its row is not a valid reference.
    :param reference: None if it is unreadable.
    """

    producer: TaskIdentity
    key: str
    written: datetime
    state: str
    reference: Reference | None

    def to_json(self) -> dict[str, Any]:
        """Return its metadata, without anything that is sealed."""
        producer, reference = self.producer, self.reference
        shown = ("codec", "size", "expires_at", "key_id")
        return {
            "task_id": producer.task_id,
            "map_index": producer.map_index,
            "key": self.key,
            "state": self.state,
            "written_at": to_timestamp(self.written),
            "consumers": scope_to_text(reference.scope, reference.producer) if reference else None,
            **{name: getattr(reference, name) if reference else None for name in shown},
            "at": place_of(reference) if reference else None,
        }


@dataclass(frozen=True, slots=True)
class Access:
    """
    What one task instance did, or tried, with one output; equal attempts are counted.

    :param outcome: ``read``, ``denied`` or ``write denied``.
    :param reader: None if the server does not know who requested it.
    :param reason: the server's reason code: why it was refused, or why it was permitted.
    :param handed_over_by: the task that handed the output to the reader's run, if it was read for that reason.
    :param first: when it was first seen, ISO 8601; :attr:`last` likewise.
    """

    task_id: str
    map_index: int
    key: str
    outcome: str
    reader: TaskIdentity | None
    method: str
    reason: str
    count: int
    first: str
    last: str
    handed_over_by: TaskIdentity | None = None

    def to_json(self) -> dict[str, Any]:
        """Return every field."""
        return asdict(self) | {"reader": _to_json(self.reader), "handed_over_by": _to_json(self.handed_over_by)}


def place_of(reference: Reference) -> str:
    """Return where the payload is stored: ``"inline"`` or ``"<driver type>:<object key>"``."""
    return "inline" if reference.store is None else f"{reference.store}:{object_key_of(reference)}"


def readers_of(reference: Reference) -> str:
    """Return who may read, in short: Dag and run are named only if they differ from the producer's."""
    if reference.key == RECORD_KEY:
        return "every task (it names outputs, but contains none)"
    scope = reference.scope
    if scope.is_open or not scope.clauses:
        return str(scope)
    caller = ["caller"] if scope.admits_caller else []
    return ", ".join([*(_name_clause(clause, reference.producer) for clause in scope.clauses), *caller])


def outputs_of(dag_id: str, run_id: str, rows: Iterable[XComRow], *, now: datetime) -> list[Output]:
    """Return the exclusive outputs of a run from the rows of its XComs."""
    return [
        _read_output(TaskIdentity(dag_id, run_id, row.task_id, row.map_index), row, now)
        for row in rows
        if is_reference_row(row.content) and not is_escaped(row.content)
    ]


def accesses_to(dag_id: str, run_id: str, rows: Iterable[AuditRow]) -> list[Access]:
    """
    Return who read the outputs of a run and who was refused, with counts.

    :param rows: oldest first.
    """
    found: dict[tuple[Any, ...], Access] = {}
    for row in rows:
        extra = _read_extra(row.extra)
        # A reader that accepts earlier runs requests no run; its row counts for the reader's own run.
        if (extra.get("dag_id"), extra.get("run_id") or row.run_id) != (dag_id, run_id):
            continue
        access = _read_access(row, extra)
        same = (
            access.task_id,
            access.map_index,
            access.key,
            access.outcome,
            access.reader,
            access.method,
            access.reason,
            access.handed_over_by,
        )
        found[same] = _joined(found[same], access) if same in found else access
    return list(found.values())


def _name_clause(clause: Clause, producer: TaskIdentity) -> str:
    name = clause.task_id if clause.dag_id == producer.dag_id else f"{clause.dag_id}:{clause.task_id}"
    if clause.run_id is None:
        return f"{name} (any run)"
    return name if clause.run_id == producer.run_id else f"{name} (run {clause.run_id})"


def _read_output(producer: TaskIdentity, row: XComRow, now: datetime) -> Output:
    try:
        reference = Reference.from_row(row.content)
    except EnvelopeError:
        return Output(producer, row.key, row.when, "unreadable", None)
    return Output(producer, row.key, row.when, _state_of(reference, producer, row.key, now), reference)


def _state_of(reference: Reference, producer: TaskIdentity, key: str, now: datetime) -> str:
    if not Coordinate.of(producer, key).covers(reference.coordinate):
        return "misplaced"
    if reference.sealed is not None:
        return "not accepted"
    return "expired" if reference.is_expired(now) else SEALED


def _read_extra(text: str | None) -> dict[str, Any]:
    try:
        extra = json.loads(text or "{}")
    except ValueError:
        return {}
    return extra if isinstance(extra, dict) else {}


def _read_access(row: AuditRow, extra: Mapping[str, Any]) -> Access:
    when = row.when.isoformat(timespec="seconds") if isinstance(row.when, datetime) else ""
    return Access(
        task_id=str(extra.get("task_id", "")),
        map_index=_number(extra.get("map_index"), otherwise=-1),
        key=str(extra.get("key", "")),
        outcome=_OUTCOMES.get(row.event, row.event),
        reader=_read_reader(row),
        method=str(extra.get("method") or ""),
        reason=str(extra.get("reason") or ""),
        count=_number(extra.get("count"), otherwise=1),
        first=when,
        last=when,
        handed_over_by=read_task(extra.get("handed_over_by")),
    )


def _read_reader(row: AuditRow) -> TaskIdentity | None:
    if row.dag_id is None or row.run_id is None or row.task_id is None:
        return None
    return TaskIdentity(row.dag_id, row.run_id, row.task_id, _number(row.map_index, otherwise=-1))


def _to_json(task: TaskIdentity | None) -> dict[str, Any] | None:
    return to_pointer(task) if task else None


def _number(content: Any, *, otherwise: int) -> int:
    return content if type(content) is int else otherwise


def _joined(one: Access, other: Access) -> Access:
    return replace(one, count=one.count + other.count, last=other.last)
