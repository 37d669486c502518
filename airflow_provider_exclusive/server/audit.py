"""
Who read what and who was refused, in Airflow's own audit log and metrics.

A task that is refused again and again for the same coordinate gets one line, with a count that is brought up to date
ever more rarely, so that a loop of refusals cannot flood the metadata database.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any, Final

from airflow_provider_exclusive.coordinates import Requested
from airflow_provider_exclusive.server import metrics
from airflow_provider_exclusive.server.callers import Caller

log = logging.getLogger(__name__)

READ: Final = "exclusive.read"
DENIED: Final = "exclusive.denied"
WRITE_DENIED: Final = "exclusive.write_denied"

_OWNER: Final = "exclusive"
_REMEMBERED_LINES: Final = 10_000


@dataclass(slots=True)
class _Line:
    log_id: int
    count: int = 1


@dataclass(slots=True)
class AuditTrail:
    """
    Writes audit lines.

    :param mode: ``[exclusive] audit``: ``off``, ``denied`` or ``all``.
    """

    mode: str
    _lines: OrderedDict[tuple[Any, ...], _Line] = field(default_factory=OrderedDict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def writes_down(self, event: str) -> bool:
        """Return whether the mode asks for a line about ``event``."""
        return self.mode == "all" or (self.mode != "off" and event != READ)

    def record(self, event: str, caller: Caller | None, *, requested: Requested, reason: str, method: str) -> None:
        """
        Count an event, and write it down if the mode asks for it. Never raises: a decision stands without its audit.

        :param event: :data:`READ`, :data:`DENIED` or :data:`WRITE_DENIED`.
        :param reason: a stable word, such as ``not-in-scope``.
        """
        metrics.count(event, reason)
        if not self.writes_down(event):
            return
        try:
            self._write(event, caller, requested, {"reason": reason, "method": method})
        except Exception:
            log.exception("Could not write %s to the audit log (reason %s).", event, reason)

    def _write(self, event: str, caller: Caller | None, requested: Requested, details: dict[str, Any]) -> None:
        about = (event, caller.identity if caller else None, requested, details["reason"], details["method"])
        with self._lock:
            if line := self._lines.get(about):
                self._lines.move_to_end(about)
                line.count += 1
                if line.count & (line.count - 1) == 0:
                    _update(line.log_id, _extra(requested, details, line.count))
                return
            log_id = _insert(event, caller, _extra(requested, details, 1))
            if event == READ:
                return  # each has a line of its own
            self._lines[about] = _Line(log_id)
            if len(self._lines) > _REMEMBERED_LINES:
                self._lines.popitem(last=False)


def _extra(requested: Requested, details: dict[str, Any], count: int) -> str:
    return json.dumps({**asdict(requested), **details, "count": count})


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


def _update(log_id: int, extra: str) -> None:
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        session.execute(update(Log).where(Log.id == log_id).values(extra=extra))
