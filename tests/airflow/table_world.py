"""The world of the decision table: two Dags with two runs each, every kind of XCom, and who may read it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG, get_current_context, task
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_exclusive import config, wiring
from airflow_provider_exclusive.crypto.data_keys import ServerDataKeys
from airflow_provider_exclusive.format.canonical import to_base64
from airflow_provider_exclusive.format.readers import EVERYBODY
from airflow_provider_exclusive.scopes.consumers import Consumer, ScopeDeclaration
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN
from tests.airflow.running import Run, a_dag, read_rows, write_row

DATES = {
    "early": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    "late": datetime.datetime(2024, 2, 1, tzinfo=datetime.UTC),
}


class Place(NamedTuple):
    """A task instance; ``dag`` and ``run`` are ids."""

    dag: str
    run: str
    task: str
    map_index: int = -1


class Clause(NamedTuple):
    """One consumer as this world describes it."""

    task: str
    other_dag: bool = False
    any_run: bool = False


READER = (Clause("reader"),)
# Of task "secret", unmapped: key -> (kind, clauses).
UNMAPPED: dict[str, tuple[str, tuple[Clause, ...]]] = {
    "return_value": ("exclusive", READER),
    "a": ("exclusive", READER),
    "a/b": ("exclusive", (Clause("mapped_reader"),)),
    "a/slice": ("exclusive", (Clause("stranger"),)),
    "two": ("exclusive", (Clause("stranger"), Clause("mapped"))),
    "glob": ("exclusive", (Clause("etl.*"),)),
    "any run": ("exclusive", (Clause("reader", any_run=True),)),
    "other": ("exclusive", (Clause("reader", other_dag=True),)),
    "other_glob": ("exclusive", (Clause("*", other_dag=True),)),
    "nobody": ("exclusive", ()),
    "offloaded": ("open", ()),
    "misplaced": ("misplaced", ()),
    "edited": ("edited", ()),
    "not accepted": ("not accepted", READER),
    "early": ("exclusive", READER),
    "early_any": ("exclusive", (Clause("reader", any_run=True), Clause("etl.*", any_run=True))),
}
MAPPED: dict[str, tuple[str, tuple[Clause, ...]]] = {
    "return_value": ("exclusive", READER),
    "m/k": ("exclusive", (Clause("mapped_reader", any_run=True),)),
}
PRODUCERS = {
    "secret": (UNMAPPED, (-1,)),
    "mapped": (MAPPED, (0, 1, 2)),
    "plain": ({"return_value": ("plain", ())}, (-1,)),
    "plain_mapped": ({"return_value": ("plain", ()), "p": ("plain", ())}, (0, 1)),
}
READERS = {"reader": (-1,), "mapped_reader": (0, 1), "etl.load": (-1,), "etl.store": (-1,), "stranger": (-1,)}


@dataclass(frozen=True, slots=True)
class Cell:
    """
    One XCom.

    :param row: what the metadata database holds.
    :param opened: what the API server answers to those who may read.
    """

    kind: str
    clauses: tuple[Clause, ...]
    row: Any
    opened: Any


@dataclass(slots=True)
class World:
    """Two Dags with two runs each; ``runs`` maps a Dag id to its run ids from the earliest to the latest."""

    runs: dict[str, list[str]] = field(default_factory=dict)
    cells: dict[tuple[Place, str], Cell] = field(default_factory=dict)
    ti_ids: dict[Place, str] = field(default_factory=dict)
    ended: str = "no"

    @classmethod
    def build(cls) -> World:
        world = cls()
        for dag in (_declare(), _declare()):
            for date in DATES.values():
                run = Run(dag, logical_date=date)
                assert run.state == "success"
                world.runs.setdefault(run.dag_id, []).append(run.run_id)
        with create_session() as session:
            for ti in session.scalars(select(TaskInstance).where(TaskInstance.dag_id.in_(world.runs))):
                world.ti_ids[Place(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)] = str(ti.id)
        for place in list(world.ti_ids):
            for key, (kind, clauses) in PRODUCERS.get(place.task, ({}, ()))[0].items():
                if not key.startswith("early") or place.run == world.runs[place.dag][0]:
                    world.cells[place, key] = world.fill(place, key, kind, clauses)
        return world

    def fill(self, place: Place, key: str, kind: str, clauses: tuple[Clause, ...]) -> Cell:
        if kind == "plain":
            value = {"plain": [place.map_index, 1.5, None, "ü"]}
            cell = Cell(kind, clauses, value, value)
        else:
            cell = _seal(place, key, kind, clauses, self)
        self.restore(place, key, cell.row)
        return cell

    def restore(self, place: Place, key: str, row: Any) -> None:
        write_row(place.dag, place.run, place.task, row, key=key, map_index=place.map_index)

    def identity(self, place: Place) -> TaskIdentity:
        return TaskIdentity(*place, self.ti_ids[place])

    def other_dag(self, dag: str) -> str:
        return next(other for other in self.runs if other != dag)

    def set_states(self, ended: str) -> None:
        """Let every task instance run, or have ended ``just now`` or ``long ago``."""
        self.ended = ended
        age = datetime.timedelta(hours=2) if ended == "long ago" else datetime.timedelta()
        end_date = None if ended == "no" else datetime.datetime.now(datetime.UTC) - age
        with create_session() as session:
            for number, ti in enumerate(
                session.scalars(select(TaskInstance).where(TaskInstance.dag_id.in_(self.runs)))
            ):
                live, over = ("running", "deferred", "up_for_retry"), ("success", "failed", "skipped")
                ti.state, ti.end_date = (live if ended == "no" else over)[number % 3], end_date

    def stored(self) -> dict[tuple[Place, str], Any]:
        """Return what the metadata database holds now."""
        return {
            (Place(dag, run, task_id, map_index), key): row
            for dag, runs in self.runs.items()
            for run in runs
            for (task_id, map_index, key), row in read_rows(dag, run).items()
        }


def _nothing(x=None): ...


def _push(x=None) -> None:
    """Leave a row at every coordinate of the running task, for :meth:`World.fill` to overwrite."""
    context = get_current_context()
    is_early = context["logical_date"] == DATES["early"]
    for key in PRODUCERS[context["ti"].task_id][0]:
        if is_early or not key.startswith("early"):
            context["ti"].xcom_push(key, 0)


def _declare() -> DAG:
    with a_dag() as dag:
        for task_id, indexes in {**{name: indexes for name, (_, indexes) in PRODUCERS.items()}, **READERS}.items():
            action = _push if task_id in PRODUCERS else _nothing
            if indexes == (-1,):
                task(task_id=task_id)(action)()
            else:
                task(task_id=task_id)(action).expand(x=list(indexes))
    return dag


def _seal(place: Place, key: str, kind: str, clauses: tuple[Clause, ...], world: World) -> Cell:
    ring = config.read_keyring(config.read_settings())
    store = wiring.current_store()
    producer = world.identity(place)
    consumers = [
        Consumer(c.task, dag=world.other_dag(place.dag) if c.other_dag else None, any_run=c.any_run) for c in clauses
    ]
    scope = ScopeDeclaration.parse(consumers).resolve(key, producer=producer, downstream=())
    if kind == "open":
        scope = OPEN
    if kind == "not accepted":
        store = replace(store, keys=ServerDataKeys(ring.keys[0].public), inline_bytes=1_000)
    if kind == "misplaced":
        producer = world.identity(place._replace(task="mapped", map_index=0))
    reference = store.put(f"a value of {key}", producer=producer, key=key, scope=scope)
    row = reference.to_row() | ({"consumers": EVERYBODY} if kind == "edited" else {})
    if kind in ("misplaced", "edited", "not accepted"):
        return Cell(kind, clauses, row, row | {"opened": None, "not_opened": "altered"})
    secret = ring.unwrap(reference.wrapped, key_id=reference.key_id, context=reference.context())
    return Cell(kind, clauses, row, row | {"opened": to_base64(secret)})
