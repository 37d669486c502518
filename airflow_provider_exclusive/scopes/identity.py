"""Who wrote a value or asks for one: the identity of a task instance. This module knows nothing of Airflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CALLER_WORD: Final = "caller"
"""What a Dag author writes for the task that triggered the producer's run; no task of that name is meant by it."""


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """
    A task instance, as a producer or as a reader.

    :param ti_id: Airflow's id of the task instance where it is known. It changes with every try, so it tells writes
        apart but never decides who may read.
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

    def named_by(self, producer: TaskIdentity) -> str:
        """Return, as Python source, the consumer with which the Dag of ``producer`` lets this task read."""
        if self.dag_id != producer.dag_id:
            return repr(f"{self.dag_id}:{self.task_id}")
        if self.run_id != producer.run_id:
            return f"Consumer(task={self.task_id!r}, any_run=True)"
        return f"Consumer(task={self.task_id!r})" if self.task_id == CALLER_WORD else repr(self.task_id)

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}.{self.task_id}{mapped} (run {self.run_id})"
