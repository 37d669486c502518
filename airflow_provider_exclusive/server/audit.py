"""
Record who read what and who was refused, in Airflow's own audit log and metrics.

A task that is refused repeatedly for the same coordinate gets one line with a count. The count is updated ever more
rarely, so that a loop of refusals cannot flood the metadata database.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any, Final

from cachetools import LRUCache

from airflow_provider_exclusive.access.hand_over import to_pointer
from airflow_provider_exclusive.format.fields import MAX_KEY_CHARACTERS
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.server import metrics
from airflow_provider_exclusive.server.callers import Caller

log = logging.getLogger(__name__)

READ: Final = "exclusive.read"
DENIED: Final = "exclusive.denied"
WRITE_DENIED: Final = "exclusive.write_denied"

_OWNER: Final = "exclusive"
_REMEMBERED_LINES: Final = 10_000
_LINES_PER_MINUTE: Final = 30
"""Lines about refusals of one task at different coordinates; those beyond share one line, under :data:`MORE`."""
_WINDOW_SECONDS: Final = 60
MORE: Final = "and-more"

_Flood = tuple[str, TaskIdentity | None]
"""What is counted: an event, and the task whose refusals it is about."""


@dataclass(slots=True)
class _Line:
    """A line of the audit log; ``log_id`` is None until it is written."""

    log_id: int | None = None
    count: int = 1


def _remembered() -> LRUCache[Any, Any]:
    return LRUCache(_REMEMBERED_LINES)


@dataclass(slots=True)
class AuditTrail:
    """
    Writes lines to Airflow's audit log.

    :param mode: ``[exclusive] audit``: ``off``, ``denied`` or ``all``.
    :param clock: returns seconds.
    """

    mode: str
    clock: Callable[[], float] = time.monotonic
    _lines_of: LRUCache[_Flood, tuple[int, int]] = field(default_factory=_remembered, repr=False)
    _lines: LRUCache[bytes, _Line] = field(default_factory=_remembered, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def records(self, event: str) -> bool:
        """Return whether the mode requires a line about ``event``."""
        return self.mode == "all" or (self.mode != "off" and event != READ)

    def record(
        self,
        event: str,
        caller: Caller | None,
        *,
        requested: Coordinate,
        reason: str,
        method: str,
        trigger: TaskIdentity | None = None,
    ) -> None:
        """
        Count an event, and log it if the mode requires it. Never raises: a decision stands even if it is not recorded.

        :param event: :data:`READ`, :data:`DENIED` or :data:`WRITE_DENIED`.
        :param reason: a stable reason code, such as ``in-scope`` or ``not-in-scope``.
        :param trigger: the task that handed over what was read, if that is why it was permitted.
        """
        metrics.count(event, reason)
        if not self.records(event):
            return
        try:
            by = {} if trigger is None else {"handed_over_by": to_pointer(trigger)}
            self._write(event, caller, requested, {"reason": reason, "method": method, **by})
        except Exception:
            log.exception("Could not write %s to the audit log (reason %s).", event, reason)

    def _write(self, event: str, caller: Caller | None, requested: Coordinate, details: dict[str, Any]) -> None:
        if event == READ:
            _insert(event, caller, _extra(requested, details, 1))  # each read gets a separate line
            return
        who = caller.identity if caller else None
        about = _digest((event, who, requested, *details.values()))
        if self._is_flooding((event, who), about):
            requested, details = Coordinate(), details | {"reason": MORE}
            about = _digest((event, who, MORE))
        line, is_due = self._count(about)
        if not is_due:
            return
        # Outside the lock: threads that only count must not wait for the database.
        try:
            count = line.count
            if line.log_id is None or not _update(line.log_id, _extra(requested, details, count)):
                line.log_id = _insert(event, caller, _extra(requested, details, count))
                if line.count > count:  # more were counted while the line was inserted
                    _update(line.log_id, _extra(requested, details, line.count))
        except BaseException:
            self._forget(about, line)
            raise

    def _is_flooding(self, who: _Flood, about: bytes) -> bool:
        """
        Return whether a task was refused at so many coordinates that another line would be one too many.

        :param who: the task, and which event: refused writes must not hide a refused read.
        """
        with self._lock:
            if about in self._lines:
                return False
            minute = int(self.clock() // _WINDOW_SECONDS)
            started, lines = self._lines_of.get(who, (minute, 0))
            if started != minute:
                lines = 0
            self._lines_of[who] = (minute, lines + 1)
            return lines >= _LINES_PER_MINUTE

    def _count(self, about: bytes) -> tuple[_Line, bool]:
        """Return the line, and whether to write it: the first time, and whenever its count has doubled."""
        with self._lock:
            line = self._lines.get(about)
            if line is None:
                line = self._lines[about] = _Line()
                return line, True
            line.count += 1
            return line, line.count & (line.count - 1) == 0 and line.log_id is not None

    def _forget(self, about: bytes, line: _Line) -> None:
        with self._lock:
            if self._lines.get(about) is line:
                del self._lines[about]


def _digest(about: tuple[Any, ...]) -> bytes:
    """Return a short name of fixed size: keys have any length, and thousands of lines are remembered."""
    return hashlib.sha256(repr(about).encode(errors="backslashreplace")).digest()


def _extra(requested: Coordinate, details: dict[str, Any], count: int) -> str:
    at = {
        name: part[:MAX_KEY_CHARACTERS] if isinstance(part, str) else part for name, part in asdict(requested).items()
    }
    return json.dumps({**at, **details, "count": count})


def _insert(event: str, caller: Caller | None, extra: str) -> int:
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    who: dict[str, Any] = {}
    if caller is not None:
        reader = caller.identity
        who = {
            "dag_id": reader.dag_id,
            "run_id": reader.run_id,
            "task_id": reader.task_id,
            "map_index": reader.map_index,
            "try_number": caller.try_number,
        }
    with create_session() as session:
        line = Log(event=event, owner=_OWNER, extra=extra, **who)
        session.add(line)
        session.flush()
        return int(line.id)


def _update(log_id: int, extra: str) -> bool:
    """Update a line and return whether it still exists; ``airflow db clean`` removes old ones."""
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        changed: Any = session.execute(update(Log).where(Log.id == log_id).values(extra=extra))
        return bool(changed.rowcount)
