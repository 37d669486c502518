"""
Hand-over of outputs to a triggered Dag run: the record that the trigger task writes, and the run's pointer to it.

A *hand-over record* is an XCom of the trigger task, under :data:`RECORD_KEY`. It says which run was triggered, and
which outputs that run gets under which names. It is sealed like every exclusive output, so a record that opens was
written by the task at whose coordinates it is stored. Anybody may read it, because it holds coordinates and no value.
:mod:`~airflow_provider_exclusive.access.hand_over_record` seals and opens it. The run's ``conf`` holds a *pointer* to
the record, which proves nothing by itself. This module does not depend on Airflow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from airflow_provider_exclusive.format.fields import (
    MAX_KEY_CHARACTERS,
    database_text,
    integer,
    optional,
    require_fields,
    string,
    typed,
)
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity, stored_keys

RECORD_KEY: Final = "exclusive_hand_over"
"""The XCom key of hand-over records; nothing else is stored under it."""

CONF_KEY: Final = "exclusive"
"""The key of the pointer in the ``conf`` of a triggered run."""

_POINTER_FIELDS: Final = frozenset({"dag_id", "run_id", "task_id", "map_index"})
_RECORD_FIELDS: Final = frozenset({"dag_id", "run_id", "keys"})
_SOURCE_FIELDS: Final = frozenset({"dag_id", "run_id", "task_id", "key", "map_index", "is_exclusive"})


@dataclass(frozen=True, slots=True)
class Source:
    """
    One output that is handed over.

    :param at: its coordinate; no map index means all map indexes of a mapped task.
    :param is_exclusive: whether its task had a consumer scope; if so, a plain value found there is not this output.
    """

    at: Coordinate
    is_exclusive: bool

    def to_row(self) -> dict[str, Any]:
        """Return its entry in a record."""
        at = self.at
        place = {"dag_id": at.dag_id, "run_id": at.run_id, "task_id": at.task_id, "key": at.key}
        return place | {"map_index": at.map_index, "is_exclusive": self.is_exclusive}

    @classmethod
    def from_row(cls, row: object) -> Source:
        """
        Read what :meth:`to_row` wrote.

        :raises ValueError: if it is invalid. (Also TypeError.)
        """
        fields = require_fields(row, _SOURCE_FIELDS)
        at = Coordinate(
            dag_id=string(fields["dag_id"]),
            run_id=string(fields["run_id"]),
            task_id=string(fields["task_id"]),
            key=string(fields["key"], most=MAX_KEY_CHARACTERS),
            map_index=optional(fields["map_index"], lambda index: integer(index, least=-1)),
        )
        return cls(at, typed(fields["is_exclusive"], bool))


@dataclass(frozen=True, slots=True, eq=False)  # equal to any mapping of the same outputs
class _Written(Mapping[str, Source]):
    """
    The outputs in a record, each read when it is asked for.

    A refused read may have to look through the records of a chain of runs, with hundreds of outputs each; a read of all
    map indexes looks through them once for each. So the outputs of one task are read once, and looked up from then on.
    """

    rows: Mapping[str, Any]
    _of_task: dict[str | None, frozenset[Coordinate]] = field(default_factory=dict, repr=False, compare=False)

    def __getitem__(self, name: str) -> Source:
        return Source.from_row(self.rows[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def cover(self, at: Coordinate) -> bool:
        """Return whether ``at``, with its key as it was pushed, is one of them; what is no output is none."""
        if at.task_id not in self._of_task:
            self._of_task[at.task_id] = frozenset(self._outputs_of(at.task_id))
        outputs, keys = self._of_task[at.task_id], () if at.key is None else stored_keys(at.key)
        return any(replace(at, map_index=index, key=key) in outputs for index in (at.map_index, None) for key in keys)

    def _outputs_of(self, task_id: str | None) -> Iterator[Coordinate]:
        for name, row in self.rows.items():
            if isinstance(row, dict) and row.get("task_id") == task_id:
                with suppress(TypeError, ValueError):
                    yield self[name].at


@dataclass(frozen=True, slots=True)
class HandOver:
    """
    What a trigger task handed to the run that it triggered.

    :param trigger: the task instance that wrote the record.
    :param dag_id: the triggered Dag.
    :param run_id: the triggered run.
    :param sources: the outputs, by their names in the triggered run.
    """

    trigger: TaskIdentity
    dag_id: str
    run_id: str
    sources: Mapping[str, Source]

    def is_for(self, dag_id: str, run_id: str) -> bool:
        """Return whether the given run is the triggered one."""
        return (self.dag_id, self.run_id) == (dag_id, run_id)

    def covers(self, reference: Reference) -> bool:
        """Return whether ``reference`` was handed over."""
        at, sources = reference.coordinate, self.sources
        if isinstance(sources, _Written):
            return sources.cover(at)
        return any(source.at.covers(at) for source in sources.values())

    def to_record(self) -> dict[str, Any]:
        """Return the value of the record."""
        keys = {name: source.to_row() for name, source in self.sources.items()}
        return {"dag_id": self.dag_id, "run_id": self.run_id, "keys": keys}

    @classmethod
    def from_record(cls, record: object, *, trigger: TaskIdentity, lazily: bool = False) -> HandOver:
        """
        Read the value of a record that was found at the coordinates of ``trigger``.

        :param lazily: whether to read each output only when it is asked for, which is when it may turn out invalid.
        :raises ValueError: if it is invalid. (Also TypeError.)
        """
        fields = require_fields(record, _RECORD_FIELDS)
        written = _Written(typed(fields["keys"], dict))
        return cls(
            trigger=trigger,
            dag_id=string(fields["dag_id"]),
            run_id=string(fields["run_id"]),
            sources=written if lazily else {string(name): source for name, source in written.items()},
        )


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """
    The answer about a run whose trigger task has no record now: it failed, was cleared or is being retried.

    :param trigger: the task that the run points to; its next try may hand over again.
    """

    trigger: TaskIdentity

    @property
    def source(self) -> str:
        """How messages call the trigger task; its run is nobody's business whose ``conf`` was written by hand."""
        return f"task {self.trigger.task_id!r} of {self.trigger.dag_id}"

    @property
    def cure(self) -> str:
        """What messages say after :attr:`source`."""
        return (
            "which has withdrawn it: that task failed, was cleared or is being retried, or it never handed over "
            "anything. A retry succeeds once it has handed over. If it will not run again by itself, clear it."
        )


class HandOverLookup(Protocol):
    """A look-up of what a Dag run was handed."""

    def find(self, dag_id: str, run_id: str) -> HandOver | Withdrawn | None:
        """
        Return the hand-over that this run points to and that names this run; None if there is no such.

        Never trust a request: the pointer must be the one in the run's own ``conf``, and the record must open.
        """


class NoHandOverLookup:
    """A look-up for processes that know nothing about triggered runs."""

    def find(self, dag_id: str, run_id: str) -> HandOver | None:  # noqa: ARG002  # see HandOverLookup
        """Return None."""
        return None


def to_pointer(trigger: TaskIdentity) -> dict[str, Any]:
    """Return the pointer that ``conf`` holds under :data:`CONF_KEY`: the task that wrote the record."""
    return {name: getattr(trigger, name) for name in sorted(_POINTER_FIELDS)}


def has_pointer(conf: object) -> bool:
    """Return whether a run's ``conf`` has an entry for the pointer, valid or not."""
    return isinstance(conf, Mapping) and CONF_KEY in conf


def read_pointer(conf: object) -> TaskIdentity | None:
    """Return the trigger task that a run's ``conf`` points to, or None if there is no valid pointer."""
    return read_task(conf.get(CONF_KEY)) if isinstance(conf, Mapping) else None


def read_task(pointer: object) -> TaskIdentity | None:
    """Return the task that :func:`to_pointer` wrote, or None if ``pointer`` is invalid."""
    try:
        pointer = require_fields(pointer, _POINTER_FIELDS)
        return TaskIdentity(
            dag_id=database_text(pointer["dag_id"]),
            run_id=database_text(pointer["run_id"]),
            task_id=database_text(pointer["task_id"]),
            map_index=integer(pointer["map_index"], least=-1),
        )
    except (TypeError, ValueError):
        return None
