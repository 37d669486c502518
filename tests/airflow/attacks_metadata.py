"""Turns the description of the attack table's world into rows: sealed by this package, put in by plain SQL."""

from __future__ import annotations

import datetime
import json
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from airflow.models import xcom
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from sqlalchemy import delete, insert, select

from airflow_provider_exclusive import config, wiring
from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver, Source
from airflow_provider_exclusive.codecs.base import Codec, CodecRegistry
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys, ServerDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.format.reference import MARKER, Reference, ServerAnswer, escape, to_answer
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope
from airflow_provider_exclusive.store import ExclusiveStore
from tests.airflow.attacks_places import SCOPES, Output, Place, next_dag, outputs_of, places_of
from tests.airflow.attacks_world import Record, World, conf_of
from tests.rows import forged

NOW = datetime.datetime(2026, 11, 21, 10, tzinfo=datetime.UTC)
DEEP = 100_000


class Verbatim(Codec):
    """Seals any bytes as if they were a record."""

    name = "hand-over"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bytes)

    def encode(self, value: Any) -> bytes:
        return value

    def decode(self, payload: bytes) -> Any:
        return payload


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a world, by where they lie: what the database holds, and what a fake supervisor answers."""

    ids: dict[Place, uuid.UUID]
    xcoms: dict[tuple[Place, str], Any]
    earlier_tries: dict[Place, uuid.UUID]

    @classmethod
    def of(cls, world: World) -> Rows:
        ids = {place: uuid.uuid4() for run in world.runs for place in places_of(run)}
        rows = cls(ids, {}, {place: uuid.uuid4() for place, record in world.records.items() if is_stale(record)})
        for run in world.runs:
            for output in outputs_of(run):
                rows.xcoms[output.at, output.key] = rows.seal_output(output)
        for place, record in world.records.items():
            rows.xcoms[place, RECORD_KEY] = rows.seal_record(record)
        return rows

    def identity(self, place: Place) -> TaskIdentity:
        return TaskIdentity(*place, str(self.ids[place]))

    def seal_output(self, output: Output) -> dict[str, Any]:
        store = wiring.current_store()
        scope = resolve(output)
        value = f"a value of {output}"
        return store.put(value, producer=self.identity(output.at), key=output.key, scope=scope).to_row()

    def seal_record(self, record: Record) -> Any:
        """Return the row of a record: as the operator's push leaves it, or as its kind says."""
        if (planted := unsealed(record)) is not None:
            return planted["row"]
        reference = store_of(record).put(
            b"[" * DEEP if record.kind == "too deep" else json.dumps(content_of(record)).encode(),
            producer=self.producer_of(record),
            key="return_value" if record.kind == "another key" else RECORD_KEY,
            scope=ConsumerScope() if record.kind == "closed scope" else OPEN,
        )
        return altered(record, reference.to_row())

    def producer_of(self, record: Record) -> TaskIdentity:
        """Return whom the record names as the one that wrote it, and in which try."""
        producer, stranger = self.identity(record.at), record.at._replace(task="stranger", map_index=-1)
        sibling = record.at._replace(task="mapped_trigger", map_index=1 - max(record.at.map_index, 0))
        match record.kind:
            case "copied" | "copied and renamed":
                return self.identity(stranger)
            case "earlier try":
                return replace(producer, ti_id=str(self.earlier_tries[record.at]))
            case "another task's try":
                return replace(producer, ti_id=str(self.ids[stranger]))
            case "another map index's try":
                return replace(producer, ti_id=str(self.ids[sibling]))
            case "no try" | "no such try":
                return replace(producer, ti_id=None if record.kind == "no try" else str(uuid.uuid4()))
        return producer

    def insert(self, world: World) -> None:
        run_ids = self.insert_runs(world)
        state = {"state": "running", "pool": "default_pool", "try_number": 2}
        tasks = [{"id": self.ids[place], **coordinates(place), **state} for place in self.ids]
        with create_session() as session:
            session.execute(insert(TaskInstance.__table__), tasks)
            self.insert_earlier_tries(session)
            session.execute(insert(xcom_table()), [self.xcom(run_ids, *where) for where in self.xcoms])

    def insert_runs(self, world: World) -> dict[tuple[str, str], int]:
        runs = [
            {"dag_id": run.dag, "run_id": run.run, "run_type": "manual", "state": "running", "run_after": NOW}
            | {"conf": conf_of(world, run), "triggered_by": DagRunTriggeredByType.OPERATOR}
            for run in world.runs
        ]
        with create_session() as session:
            session.execute(insert(DagRun.__table__), runs)
            found = session.execute(select(DagRun.id, DagRun.dag_id, DagRun.run_id))
            return {(dag_id, run_id): number for number, dag_id, run_id in found}

    def insert_earlier_tries(self, session: Any) -> None:
        """Put earlier tries where Airflow does: in a table of their own, or (3.4) out of the working set."""
        tries = [(place, ti_id) for place, ti_id in self.earlier_tries.items()]
        state = {"state": "failed", "pool": "default_pool", "try_number": 1}
        if has_history():
            from airflow.models.taskinstancehistory import TaskInstanceHistory

            rows = [{"task_instance_id": ti_id, **coordinates(place), **state} for place, ti_id in tries]
            session.execute(insert(TaskInstanceHistory.__table__), rows)
        else:
            rows = [{"id": ti_id, **coordinates(place), **state, "working_set": None} for place, ti_id in tries]
            session.execute(insert(TaskInstance.__table__), rows)

    def xcom(self, run_ids: dict[tuple[str, str], int], place: Place, key: str) -> dict[str, Any]:
        row = {"key": key, "value": self.xcoms[place, key], "timestamp": NOW}
        if has_history():
            return {"dag_run_id": run_ids[place.home], **coordinates(place), **row}
        return {"id": uuid.uuid4(), "task_instance_id": self.ids[place], **row}


def remove(world: World) -> None:
    """Let the database forget the runs, and with them all that hangs on them."""
    with create_session() as session:
        session.execute(delete(DagRun.__table__).where(DagRun.dag_id.in_({run.dag for run in world.runs})))


def is_stale(record: Record) -> bool:
    return record.kind == "earlier try"


def has_history() -> bool:
    """Airflow 3.4 has no table for earlier tries any more, and keeps XComs by task instance id."""
    return not hasattr(xcom, "XComModelV2")


def xcom_table() -> Any:
    return xcom.XComModel.__table__ if has_history() else xcom.XComModelV2.__table__


def coordinates(place: Place) -> dict[str, Any]:
    index = "map_index" if has_history() else "region_index"
    return {"dag_id": place.dag, "run_id": place.run, "task_id": place.task, index: place.map_index}


def own_keyring() -> Keyring:
    return config.read_keyring(config.read_settings())


def store_of(record: Record) -> ExclusiveStore:
    store = replace(wiring.current_store(), inline_bytes=10**6, codecs=CodecRegistry([Verbatim()]))
    match record.kind:
        case "not accepted":
            return replace(store, keys=ServerDataKeys(own_keyring().keys[0].public))
        case "foreign key ring":
            return replace(store, keys=LocalDataKeys(Keyring.from_raw_keys([secrets.token_bytes(32)])))
        case "payload in the store":
            return replace(store, inline_bytes=0)
    return store


def resolve(output: Output) -> ConsumerScope:
    scope, (dag, run, *_) = SCOPES[output.at.task][output.key], output.at
    clauses: Iterable[Clause] = [
        *(Clause(dag, task, run) for task in scope.here),
        *(Clause(dag, task, None) for task in scope.any_run),
        *(Clause(next_dag(dag), task, None) for task in scope.next_dag),
    ]
    return ConsumerScope(tuple(clauses), admits_caller=scope.caller)


def content_of(record: Record) -> Any:
    sources = {
        f"name {number}": Source(Coordinate(*source.home, source.task, source.map_index, source.key), is_exclusive=True)
        for number, source in enumerate(record.sources)
    }
    content = HandOver(TaskIdentity(*record.at), *record.names, sources).to_record()
    if record.kind == "no record":
        return list(content.values())
    return content | ({"expires": None} if record.kind == "extra field" else {})


def unsealed(record: Record) -> dict[str, Any] | None:
    """Return the row of a record that nobody sealed."""
    rows = {
        "unsealed": content_of(record),
        "escaped": escape(content_of(record)),
        "null": None,
        "text": json.dumps(content_of(record)),
        "marker only": {MARKER: "v1: 1 B hand-over in row"},
    }
    return {"row": rows[record.kind]} if record.kind in rows else None


def altered(record: Record, row: dict[str, Any]) -> dict[str, Any]:
    """Return a sealed row as somebody with SQL would alter it."""
    match record.kind:
        case "copied and renamed":
            return forged(row, task_id=record.at.task, map_index=record.at.map_index)
        case "edited scope":
            return forged(row, scope=ConsumerScope())
        case "later version":
            return row | {MARKER: row[MARKER].replace("v1: ", "v2: ")}
        case "planted answer":
            return to_answer(row, ServerAnswer(Reference.from_row(row).wrapped))
    return row
