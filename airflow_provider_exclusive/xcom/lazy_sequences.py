"""
Lazy sequences: the outputs of a mapped task, as Airflow passes them to a task.

Airflow gives the backend an item without its coordinate. The functions here know of which task and key it is.

Airflow's own iterator requests each item from the API server when it is due. The iterator here requests the rows of
the next items together, and opens each one only when it is due: it holds some rows, but no value. Which items there
are, where the sequence ends and which error occurs at which item remain as they are.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from airflow_provider_exclusive.compat import lazy_sequence
from airflow_provider_exclusive.compat.replace import Function, UnsupportedAirflowError
from airflow_provider_exclusive.exceptions import ExclusiveError
from airflow_provider_exclusive.execution_time.failures import server_refusals
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.xcom import pull
from airflow_provider_exclusive.xcom.rows import Row, raw_rows

log = logging.getLogger(__name__)

_MOST_ROWS: Final = 64
_MOST_BYTES: Final = 2**20
"""Of the rows of one request, as JSON, judged by those of the request before."""
_FRESH_SECONDS: Final = 5.0
"""How long a row that was fetched ahead counts: its task may be cleared while a slow consumer walks."""

_requested: ContextVar[Coordinate | None] = ContextVar("exclusive_requested_sequence", default=None)


def attach(backend: type) -> None:
    """
    Check items of lazy sequences like any pull from now on, and let walks request slices.

    A version of Airflow with another kind of lazy sequence is left alone, which is logged.

    :param backend: the class whose hooks can return rows; if another one is configured, Airflow's own iterator walks.
    """
    try:
        lazy_sequence.replace_reads(iterate=partial(_create_iterate, backend), get_item=_create_get_item)
    except UnsupportedAirflowError as unsupported:
        log.warning("Lazy sequences are read singly, and of their items only Dag and run are checked: %s.", unsupported)


def requested() -> Coordinate | None:
    """Return the outputs of which a lazy sequence is reading an item; None if that is unknown."""
    return _requested.get()


def _create_iterate(backend: type, original: Function) -> Function:
    def iterate(sequence: Any) -> Iterator[Any]:
        from airflow.sdk.execution_time.xcom import XCom

        return SliceIterator(sequence) if issubclass(XCom, backend) else original(sequence)

    return iterate


def _create_get_item(original: Function) -> Function:
    def get_item(sequence: Any, key: Any) -> Any:
        token = _requested.set(lazy_sequence.coordinate_of(sequence))
        try:
            with server_refusals():
                return original(sequence, key)
        finally:
            _requested.reset(token)

    return get_item


@dataclass(slots=True, eq=False)
class SliceIterator(Iterator[Any]):
    """
    Iterates over a lazy sequence of Airflow, and requests slices of it.

    The first request is for one row, as nobody knows yet whether there will be a second; each one after it is for twice
    as many.

    :param sequence: whose items are requested.
    :param index: of the next item.
    """

    sequence: Sequence[Any]
    index: int = 0
    _rows: deque[Row] = field(default_factory=deque, init=False, repr=False)
    _fresh_until: float = field(default=0.0, init=False, repr=False)
    _length: int = field(default=1, init=False, repr=False)
    _singly_until: int = field(default=0, init=False, repr=False)

    def __next__(self) -> Any:
        """
        Return the next value.

        :raises StopIteration: if there is none now; a later call looks again.
        :raises ExclusiveError: if it must not be read or cannot be opened; another call tries the same item again.
        """
        if not self._rows or time.monotonic() > self._fresh_until:
            self._fetch()
        if not self._rows:
            raise StopIteration
        row = self._rows.popleft()
        try:
            (value,) = pull.pull([row.content], lazy_sequence.coordinate_of(self.sequence))
        except BaseException:
            self._rows.clear()
            raise
        self.index += 1
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the rows out of copies and pickles: they may contain data keys."""
        return SliceIterator, (self.sequence, self.index)

    def _fetch(self) -> None:
        if self._rows:  # the consumer is slow, and what was fetched ahead for it is too old
            self._rows.clear()
            self._length = 1
        rows = self._read()
        self._rows.extend(rows)
        self._fresh_until = time.monotonic() + _FRESH_SECONDS
        if rows:
            self._length = _length_after(rows)

    def _read(self) -> list[Row]:
        from airflow.sdk.exceptions import AirflowRuntimeError

        with raw_rows():
            if self._length > 1 and self.index >= self._singly_until:
                # The API server refuses a slice for any of its items. The error occurs again at the item that has it.
                with suppress(ExclusiveError, AirflowRuntimeError):
                    return list(self.sequence[self.index : self.index + self._length])
                self._singly_until = self.index + self._length
            with suppress(IndexError):
                return [self.sequence[self.index]]
        return []


def _length_after(rows: Sequence[Row]) -> int:
    """Return how many rows to request after these."""
    size = len(json.dumps([row.content for row in rows])) / len(rows)
    return max(1, min(2 * len(rows), _MOST_ROWS, int(_MOST_BYTES / size)))
