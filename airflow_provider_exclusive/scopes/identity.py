"""Names of task instances and their XComs. This module does not depend on Airflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

CALLER_WORD: Final = "caller"
"""What a Dag author writes for the task that triggered the producer's run; it never means a task of that name."""


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """
    A task instance, as a producer or as a reader.

    :param ti_id: Airflow's id of the task instance, if known. It changes with every try: it distinguishes writes, but
        never decides who may read.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    ti_id: str | None = None

    def is_same_task_instance(self, other: TaskIdentity) -> bool:
        """Return whether both are the same task instance, in any of its tries."""
        return (self.dag_id, self.run_id, self.task_id, self.map_index) == (
            other.dag_id,
            other.run_id,
            other.task_id,
            other.map_index,
        )

    def is_same_task(self, other: TaskIdentity) -> bool:
        """Return whether both are the same task at the same map index, in any run."""
        return (self.dag_id, self.task_id, self.map_index) == (other.dag_id, other.task_id, other.map_index)

    def named_by(self, producer: TaskIdentity) -> str:
        """Return, as Python source, the consumer that lets this task read when the Dag of ``producer`` declares it."""
        if self.dag_id != producer.dag_id:
            return repr(f"{self.dag_id}:{self.task_id}")
        if self.run_id != producer.run_id:
            return f"Consumer(task={self.task_id!r}, any_run=True)"
        return f"Consumer(task={self.task_id!r})" if self.task_id == CALLER_WORD else repr(self.task_id)

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}.{self.task_id}{mapped} (run {self.run_id})"


@dataclass(frozen=True, slots=True)
class Coordinate:
    """
    The coordinate of an XCom, or of several: None means any, or not known.

    :param map_index: -1 for an unmapped task.
    """

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    key: str | None = None

    @classmethod
    def of(cls, task: TaskIdentity, key: str) -> Coordinate:
        """Return the coordinate of what ``task`` pushes under ``key``."""
        return cls(task.dag_id, task.run_id, task.task_id, task.map_index, key)

    def covers(self, other: Coordinate) -> bool:
        """Return whether ``other``, with its key as it was pushed, is one of the XComs that are meant here."""
        return (
            self.dag_id in (None, other.dag_id)
            and self.run_id in (None, other.run_id)
            and self.task_id in (None, other.task_id)
            and self.map_index in (None, other.map_index)
            and (self.key is None or (other.key is not None and is_kept_as(other.key, self.key)))
        )

    def belongs_to(self, task: TaskIdentity) -> bool:
        """Return whether this is a coordinate of ``task``, in any of its tries; False if that is not known."""
        own = (task.dag_id, task.run_id, task.task_id, task.map_index)
        return (self.dag_id, self.run_id, self.task_id, self.map_index) == own

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index is not None and self.map_index >= 0 else ""
        return f"{self.key!r} of {self.dag_id}.{self.task_id}{mapped} (run {self.run_id})"


def stored_keys(pushed: str) -> tuple[str, str]:
    """Return the keys that stand for a push under ``pushed``: Airflow decodes percent signs when it stores one."""
    return pushed, unquote(pushed)


def is_kept_as(pushed: str, key: str) -> bool:
    """Return whether Airflow stores a push under ``pushed`` as ``key``."""
    return key in stored_keys(pushed)
