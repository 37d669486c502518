"""
The task that this process runs, and the exclusive inputs that it has opened.

The reader of a value is the process's task instance, as Airflow's context names it. Where the context is already gone
(callbacks, operator links, the push of the return value), it is the one that was last seen. Nothing here opens, stores
or decides anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_exclusive.access.hand_over import HandOver, Withdrawn
from airflow_provider_exclusive.compat.task_runner import trigger_task_instance
from airflow_provider_exclusive.scopes.consumers import OutputDeclaration
from airflow_provider_exclusive.scopes.identity import TaskIdentity

if TYPE_CHECKING:
    from airflow.sdk.bases.operator import BaseOperator
    from airflow.sdk.definitions.mappedoperator import MappedOperator

_REMEMBERED_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class Opened:
    """
    An exclusive input that was opened.

    :param size: of its payload in bytes.
    """

    task_id: str
    key: str
    value: Any = field(repr=False)
    size: int


@dataclass(slots=True)
class RunningTask:
    """
    The task instance that runs in this process.

    :param task: its operator, rendered or not yet; None for a trigger that acts for it.
    :param outputs: the declared scope of its outputs, once its ``pre_execute`` hook has run.
    :param inputs: the exclusive inputs opened so far, in order: task id and key, mapped to None.
    :param opened: the last of them with their values, except for large values, which must not be kept in memory.
    :param hand_overs: what runs were handed, as far as it was looked up, by Dag id and run id.
    :param lock: held while a hand-over is looked up.
    """

    identity: TaskIdentity
    task: BaseOperator | MappedOperator | None
    outputs: OutputDeclaration | None = None
    inputs: dict[tuple[str, str], None] = field(default_factory=dict)
    opened: deque[Opened] = field(default_factory=deque, repr=False)
    hand_overs: dict[tuple[str, str], HandOver | Withdrawn | None] = field(default_factory=dict, repr=False)
    lock: RLock = field(default_factory=RLock, repr=False)
    _opened_bytes: int = 0

    def note(self, opened: Opened) -> None:
        """Record that an exclusive input was opened."""
        self.inputs[opened.task_id, opened.key] = None
        if opened.size > _REMEMBERED_BYTES:
            return
        self.opened.append(opened)
        self._opened_bytes += opened.size
        while self._opened_bytes > _REMEMBERED_BYTES:
            self._opened_bytes -= self.opened.popleft().size


_last_seen: RunningTask | None = None


def current() -> RunningTask | None:
    """Return the running task instance, or None if there is none, as in the Dag processor."""
    global _last_seen  # noqa: PLW0603  # a process runs one task at a time, and remembers it here
    if (trigger := trigger_task_instance()) is not None:
        return RunningTask(_identify(trigger), task=None)
    if (task_instance := _context_task_instance()) is None:
        return _last_seen
    identity = _identify(task_instance)
    if _last_seen is None or _last_seen.identity != identity:
        _last_seen = RunningTask(identity, task_instance.task)
    # Airflow replaces the operator while it prepares, renders and unmaps it.
    _last_seen.task = task_instance.task
    return _last_seen


def last_seen(task_instance: Any) -> RunningTask | None:
    """Return what is known about a task instance whose context is already gone; None if it used no XCom."""
    return _last_seen if _last_seen is not None and _last_seen.identity == _identify(task_instance) else None


@contextmanager
def set_aside() -> Iterator[None]:
    """Forget the running task while other tasks run in this process, as they do in ``dag.test()``."""
    global _last_seen  # noqa: PLW0603
    waiting, _last_seen = _last_seen, None
    try:
        yield
    finally:
        _last_seen = waiting


def _context_task_instance() -> Any:
    from airflow.sdk import get_current_context

    try:
        return get_current_context()["ti"]
    except RuntimeError:
        return None


def _identify(task_instance: Any) -> TaskIdentity:
    return TaskIdentity(
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        map_index=-1 if task_instance.map_index is None else task_instance.map_index,
        ti_id=str(task_instance.id),
    )
