"""
The reference: the small JSON object that Airflow's metadata database stores in place of an exclusive value.

:meth:`Reference.to_row` and :meth:`Reference.from_row` are inverses. :meth:`Reference.context` is the canonical
encoding of every fact that the cipher binds to the payload and to the data key, so an edited reference does not open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from airflow_provider_exclusive.exceptions import EnvelopeError, UnsupportedReferenceError
from airflow_provider_exclusive.format.canonical import canonical, from_base64, to_base64
from airflow_provider_exclusive.format.fields import (
    MAX_INTEGER,
    MAX_KEY_CHARACTERS,
    integer,
    optional,
    require_fields,
    string,
    timestamp,
    typed,
)
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import MAX_CLAUSES, OPEN, Clause, ConsumerScope

MARKER: Final = "__exclusive__"
VERSION: Final = 1
PLAIN: Final = "plain"
"""The marker's value in a row that holds a user's own value that only looks like a reference."""

MAX_ROW_CHARACTERS: Final = 2**16
"""The longest row, without a payload that it carries."""
_MAX_PLACE_CHARACTERS: Final = 1024
_MAX_PROTECTED_KEY_CHARACTERS: Final = 4096
"""In base64. A sealed key has 80 bytes today; one of a post-quantum suite has more than a thousand."""
_NUMBER_CHARACTERS: Final = 20

_FIELDS: Final = frozenset(
    {MARKER, "producer", "consumers", "codec", "size", "length", "created_at", "expires_at", "key_id"}
)
_LOGS: Final = "logs"
"""A field of those rows alone whose value is masked in logs, with :data:`_MASKED` as its content."""
_MASKED: Final = "masked"
_ANSWER: Final = "data_key"
_NOT_OPENED: Final = "not_opened"

NO_PRIVATE_KEY: Final = "no-private-key"
UNKNOWN_KEY: Final = "unknown-key"
SUPERSEDED: Final = "superseded-try"
ALTERED: Final = "altered"
"""Why the API server did not open a reference; the first three are also reasons of its refusals."""

_PRODUCER_FIELDS: Final = frozenset({"dag_id", "run_id", "task_id", "map_index", "key", "ti_id"})
_CLAUSE_FIELDS: Final = frozenset({"dag_id", "task_id", "run_id"})
_OPEN_SCOPE: Final = "*"
_CALLER: Final = "caller"


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """
    What the API server returned with a reference.

    :param data_key: the data key, if the reader may have it; None if the reference cannot be opened.
    :param not_opened: why it cannot be opened: :data:`NO_PRIVATE_KEY`, :data:`UNKNOWN_KEY`, :data:`SUPERSEDED` or
        :data:`ALTERED`.
    """

    data_key: bytes | None = field(repr=False)
    not_opened: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """
    Where a sealed value is stored, who wrote it, who may read it and how to open it.

    :param producer: the task instance that wrote the value.
    :param key: the XCom key that it was written under.
    :param scope: who may read it besides the producer.
    :param codec: name of the codec that decodes the value.
    :param size: bytes of the encoded value, before sealing.
    :param length: ``len()`` of the value, or None if it has none; for display only.
    :param created_at: when it was written, ISO 8601 in UTC.
    :param expires_at: when the payload expires, in the same form, or None for never.
    :param at: where the payload is stored, ``"<driver type>:<object key>"``; None if it is :attr:`inline`.
    :param is_masked: whether whoever opens the value lets Airflow mask the texts in it wherever they are logged.
    :param key_id: the id of the private key that protects the data key.
    :param sealed_key: the data key sealed to the public key, as a process without the private key sends it to the API
        server; instead of :attr:`wrapped_key`.
    :param answer: what the API server returned on this read; never stored.
    """

    producer: TaskIdentity
    key: str
    scope: ConsumerScope
    codec: str
    size: int
    length: int | None
    created_at: str
    expires_at: str | None
    at: str | None
    is_masked: bool = False
    key_id: str = ""
    wrapped_key: bytes = field(default=b"", repr=False)
    inline: bytes | None = field(default=None, repr=False)
    sealed_key: bytes | None = field(default=None, repr=False)
    answer: ServerAnswer | None = field(default=None, repr=False)

    @property
    def coordinate(self) -> Coordinate:
        """The coordinate that its row was written to."""
        return Coordinate.of(self.producer, self.key)

    def is_expired(self, now: datetime) -> bool:
        """Return whether the payload is no longer kept at ``now``, which has a time zone."""
        return self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= now

    def context(self) -> bytes:
        """
        Return the bytes that authenticate everything except ``inline``, ``key_id``, ``wrapped_key`` and ``sealed_key``.

        The encoding is canonical and length-prefixed, so two different references never have the same context.
        """
        return b"airflow-provider-exclusive reference" + canonical(self._bound() | {"at": self.at})

    def to_row(self) -> dict[str, Any]:
        """Return the JSON object that is stored in the XCom row."""
        place = {"at": self.at} if self.inline is None else {"inline": to_base64(self.inline)}
        lock = ("wrapped_key", self.wrapped_key) if self.sealed_key is None else ("sealed_key", self.sealed_key)
        return self._bound() | place | {"key_id": self.key_id, lock[0]: to_base64(lock[1])}

    def _bound(self) -> dict[str, Any]:
        masked = {_LOGS: _MASKED} if self.is_masked else {}
        return {
            MARKER: VERSION,
            "producer": {
                "dag_id": self.producer.dag_id,
                "run_id": self.producer.run_id,
                "task_id": self.producer.task_id,
                "map_index": self.producer.map_index,
                "key": self.key,
                "ti_id": self.producer.ti_id,
            },
            "consumers": _scope_to_row(self.scope),
            "codec": self.codec,
            "size": self.size,
            "length": self.length,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            **masked,
        }

    def to_answer(self, answer: ServerAnswer) -> dict[str, Any]:
        """Return the row as the API server sends it to a reader that may read it."""
        reason = {} if answer.not_opened is None else {_NOT_OPENED: answer.not_opened}
        return self.to_row() | {_ANSWER: None if answer.data_key is None else to_base64(answer.data_key)} | reason

    @classmethod
    def from_answer(cls, row: Mapping[str, Any]) -> Reference:
        """
        Read a row that came through the API server, with its :attr:`answer` if there is one.

        :raises EnvelopeError: as :meth:`from_row`.
        """
        if _ANSWER not in row:
            return cls.from_row(row)
        try:
            answer = ServerAnswer(optional(row[_ANSWER], from_base64), optional(row.get(_NOT_OPENED), string))
        except (TypeError, ValueError) as malformed:
            raise EnvelopeError(
                "The API server's answer to this read is invalid: expected a data key in base64. Run the same release "
                "of airflow-provider-exclusive in the API server and in the worker."
            ) from malformed
        return cls.from_row(without_answer(row), answer)

    @classmethod
    def from_row(cls, row: Mapping[str, Any], answer: ServerAnswer | None = None) -> Reference:
        """
        Read an XCom row and trust nothing: every field must be present and of its type, and there must be no other.

        :param answer: the API server's answer that came with it.
        :raises UnsupportedReferenceError: if it has another version.
        :raises EnvelopeError: if it is not a well-formed reference.
        """
        version = row.get(MARKER) if isinstance(row, dict) else None
        if type(version) is not int or version != VERSION:
            raise UnsupportedReferenceError(
                f"This XCom row is an exclusive reference of {_name_version(version)}; this release of "
                f"airflow-provider-exclusive reads version {VERSION}. Upgrade the reader, or clear and re-run the "
                "producer task."
            )
        try:
            return cls._parse(row, answer)
        except (KeyError, TypeError, ValueError) as malformed:
            raise EnvelopeError(
                "This XCom row has the marker of an exclusive reference but is not one: it was edited or written by "
                "something else. Clear and re-run the producer task."
            ) from malformed

    @classmethod
    def _parse(cls, row: Mapping[str, Any], answer: ServerAnswer | None) -> Reference:
        place = "inline" if "inline" in row else "at"
        lock = "sealed_key" if "sealed_key" in row else "wrapped_key"
        require_fields(row, _FIELDS | {place, lock} | ({_LOGS} & row.keys()))
        producer = require_fields(row["producer"], _PRODUCER_FIELDS)
        return cls(
            producer=TaskIdentity(
                dag_id=string(producer["dag_id"]),
                run_id=string(producer["run_id"]),
                task_id=string(producer["task_id"]),
                map_index=integer(producer["map_index"], least=-1),
                ti_id=optional(producer["ti_id"], string),
            ),
            key=string(producer["key"], most=MAX_KEY_CHARACTERS),
            scope=_scope_from_row(row["consumers"]),
            codec=string(row["codec"]),
            size=integer(row["size"]),
            length=optional(row["length"], integer),
            created_at=timestamp(row["created_at"]),
            expires_at=optional(row["expires_at"], timestamp),
            at=string(row["at"], most=_MAX_PLACE_CHARACTERS) if place == "at" else None,
            is_masked=_is_masked(row),
            key_id=string(row["key_id"]),
            wrapped_key=_protected(row["wrapped_key"]) if lock == "wrapped_key" else b"",
            sealed_key=_protected(row["sealed_key"]) if lock == "sealed_key" else None,
            inline=from_base64(row["inline"]) if place == "inline" else None,
            answer=answer,
        )


def is_reference_row(row: object) -> bool:
    """Return whether an XCom row carries our marker, whatever else it holds."""
    return isinstance(row, dict) and MARKER in row


def holds_sealed_key(row: object) -> bool:
    """Return whether this row holds a sealed key, as workers without the private key write; anybody can create one."""
    return is_reference_row(row) and "sealed_key" in row and not is_escaped(row)  # type: ignore[operator,arg-type]


def without_answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``row`` without an answer: only the API server adds one, so one from the database must not be used."""
    return {name: content for name, content in row.items() if name not in (_ANSWER, _NOT_OPENED)}


def escape(row: dict[str, Any]) -> dict[str, Any]:
    """Wrap a user's own value that carries our marker, so that it is not mistaken for a reference."""
    return {MARKER: PLAIN, "value": row}


def is_escaped(row: Mapping[str, Any]) -> bool:
    """Return whether :func:`escape` wrote this row; its value is under ``"value"``."""
    return row.get(MARKER) == PLAIN and row.keys() == {MARKER, "value"}


def check_extent(row: Mapping[str, Any]) -> None:
    """
    Refuse a row that is larger than any reference, before anything is computed from it.

    :param row: with our marker, from somebody who need not be trusted.
    :raises EnvelopeError: naming what is too large.
    """
    consumers = row.get("consumers")
    if isinstance(consumers, list) and len(consumers) > MAX_CLAUSES + 1:
        raise EnvelopeError(f"A reference names {len(consumers):,} consumers; expected at most {MAX_CLAUSES}.")
    characters = sum(_characters(part) for name, part in row.items() if name != "inline" or not isinstance(part, str))
    if characters > MAX_ROW_CHARACTERS:
        raise EnvelopeError(
            f"A reference has {characters:,} characters besides its payload; expected at most {MAX_ROW_CHARACTERS:,}."
        )


def _characters(value: object) -> int:
    """Return about how long ``value`` is in JSON; what no reference holds counts as too long."""
    total, waiting = 0, [value]
    while waiting and total <= MAX_ROW_CHARACTERS:
        part = waiting.pop()
        if isinstance(part, str):
            total += len(part) + 2
        elif isinstance(part, dict):
            total += 2
            waiting += [*part, *part.values()]
        elif isinstance(part, list):
            total += 2
            waiting += part
        else:
            total += _NUMBER_CHARACTERS
    return total


def _is_masked(row: Mapping[str, Any]) -> bool:
    if _LOGS in row and row[_LOGS] != _MASKED:
        raise ValueError("unknown treatment in logs")
    return _LOGS in row


def _protected(text: object) -> bytes:
    return from_base64(string(text, most=_MAX_PROTECTED_KEY_CHARACTERS))


def _name_version(version: object) -> str:
    # Anything else may be a user's value, or too deep or too long to print.
    if type(version) is int and 0 <= version <= MAX_INTEGER:
        return f"version {version}"
    return f"an invalid version (of type {type(version).__name__})"


def _scope_to_row(scope: ConsumerScope) -> str | list[str | dict[str, str | None]]:
    if scope.is_open:
        return _OPEN_SCOPE
    caller = [_CALLER] if scope.admits_caller else []
    clauses = ({"dag_id": one.dag_id, "task_id": one.task_id, "run_id": one.run_id} for one in scope.clauses)
    return [*caller, *clauses]


def _scope_from_row(row: object) -> ConsumerScope:
    if row == _OPEN_SCOPE:
        return OPEN
    written = typed(row, list)
    if len(written) > MAX_CLAUSES + 1:  # the caller is not a clause
        raise ValueError("too many clauses")
    admits_caller = written[:1] == [_CALLER]
    clauses = [require_fields(clause, _CLAUSE_FIELDS) for clause in written[admits_caller:]]
    return ConsumerScope(
        tuple(
            Clause(string(one["dag_id"]), string(one["task_id"]), optional(one["run_id"], string)) for one in clauses
        ),
        admits_caller=admits_caller,
    )
