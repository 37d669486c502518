"""
The reference: the small JSON object that Airflow's metadata database stores in place of an exclusive value.

Three texts make it up: a summary, who may read, and in base64 what only programs need: who wrote the value, where the
payload is, and the secret that opens it. :meth:`Reference.to_row` and :meth:`Reference.from_row` are inverses.
:meth:`Reference.context` is every fact that the cipher binds to the secret and to the payload, so an edited reference
does not open.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from airflow_provider_exclusive.exceptions import EnvelopeError, InvalidScopeError, UnsupportedReferenceError
from airflow_provider_exclusive.format.canonical import from_base64, to_base64
from airflow_provider_exclusive.format.fields import optional, require_fields, string, typed
from airflow_provider_exclusive.format.names import MAX_NAMES_BYTES, Names
from airflow_provider_exclusive.format.readers import (
    MAX_READERS_CHARACTERS,
    scope_from_text,
    scope_to_text,
)
from airflow_provider_exclusive.format.summary import (
    MAX_SUMMARY_CHARACTERS,
    VERSION,
    Summary,
    is_of_this_version,
    read_summary,
    version_in,
)
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import ConsumerScope

MARKER: Final = "__exclusive__"
PLAIN: Final = "plain"
"""The marker's value in a row that holds a user's own value that only looks like a reference."""

OBJECT_ID_BYTES: Final = 16
MAX_INLINE_BYTES: Final = 2**17
"""The largest value that is sealed in a row itself, encoded."""
_MAX_PROTECTION_BYTES: Final = 4096
"""What protects a secret: 16 bytes if it is wrapped, 48 if it is sealed, over a thousand with a post-quantum suite."""
MAX_SEALED_CHARACTERS: Final = 4 * (MAX_INLINE_BYTES + _MAX_PROTECTION_BYTES + MAX_NAMES_BYTES) // 3

_READERS: Final = "consumers"
_SEALED: Final = "sealed"
_FIELDS: Final = frozenset({MARKER, _READERS, _SEALED})
_ANSWER: Final = "opened"
_NOT_OPENED: Final = "not_opened"
_OF_ANSWER: Final = (_ANSWER, _NOT_OPENED)

NO_PRIVATE_KEY: Final = "no-private-key"
UNKNOWN_KEY: Final = "unknown-key"
SUPERSEDED: Final = "superseded-try"
ALTERED: Final = "altered"
"""Why the API server did not open a reference; the first three are also reasons of its refusals."""

_LABEL: Final = b"airflow-provider-exclusive reference"
_LOCK: Final = struct.Struct(">B16s")
"""How the secret is protected, and the id of the key; not bound, because another key may come to protect it."""
_WRAPPED: Final = 0
_TO_PUBLIC_KEY: Final = 1
_BOUND: Final = struct.Struct(">16siH")
"""The id of the try that wrote the value, its map index, and the length of the names that follow."""
_NO_TRY: Final = bytes(16)
_CACHED_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """
    What the API server returned with a reference.

    :param secret: as in :attr:`Reference.wrapped`, opened, if the reader may have it; None if it cannot be opened.
    :param not_opened: why it cannot be opened: :data:`NO_PRIVATE_KEY`, :data:`UNKNOWN_KEY`, :data:`SUPERSEDED` or
        :data:`ALTERED`.
    """

    secret: bytes | None = field(repr=False)
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
    :param expires_at: when the payload expires, ISO 8601 in UTC to the second, or None for never.
    :param store: the type of the driver that has the payload; None if the value is sealed in the row itself.
    :param object_id: 16 random bytes that distinguish the payload from all others; empty without :attr:`store`.
    :param is_masked: whether whoever opens the value lets Airflow mask the texts in it wherever they are logged.
    :param key_id: the id of the private key that protects the secret: 32 hexadecimal digits.
    :param wrapped: the *secret*, wrapped by the holder of the private key: the data key of the payload, or, without
        :attr:`store`, the encoded value itself.
    :param sealed: the secret sealed to the public key, as a process without the private key sends it to the API server;
        instead of :attr:`wrapped`.
    :param answer: what the API server returned on this read; never stored.
    """

    producer: TaskIdentity
    key: str
    scope: ConsumerScope
    codec: str
    size: int
    expires_at: str | None = None
    store: str | None = None
    object_id: bytes = b""
    is_masked: bool = False
    key_id: str = ""
    wrapped: bytes = field(default=b"", repr=False)
    sealed: bytes | None = field(default=None, repr=False)
    answer: ServerAnswer | None = field(default=None, repr=False)
    # As it was read: what a row says need not be encoded again, and a changed copy does not have it.
    _read_context: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def coordinate(self) -> Coordinate:
        """The coordinate that its row was written to."""
        return Coordinate.of(self.producer, self.key)

    def is_expired(self, now: datetime) -> bool:
        """Return whether the payload is no longer kept at ``now``, which has a time zone."""
        return self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= now

    def context(self) -> bytes:
        """
        Return the bytes that authenticate everything except ``key_id``, ``wrapped`` and ``sealed``.

        Texts are preceded by their lengths, so two different references never have the same context.

        :raises ValueError: if a field holds what no row can hold. (Also TypeError.)
        """
        if self._read_context is not None:
            return self._read_context
        return _bind(str(self._summary()), scope_to_text(self.scope, self.producer)) + self._bound()

    def to_row(self) -> dict[str, str]:
        """
        Return the JSON object that is stored in the XCom row.

        :raises ValueError: as :meth:`context`.
        """
        lock = _LOCK.pack(_WRAPPED if self.sealed is None else _TO_PUBLIC_KEY, UUID(hex=self.key_id).bytes)
        return {
            MARKER: str(self._summary()),
            _READERS: scope_to_text(self.scope, self.producer),
            _SEALED: to_base64(lock + self._bound() + (self.wrapped if self.sealed is None else self.sealed)),
        }

    def _summary(self) -> Summary:
        return Summary(self.size, self.codec, self.store, self.expires_at, self.is_masked)

    def _bound(self) -> bytes:
        producer = self.producer
        if len(self.object_id) != (0 if self.store is None else OBJECT_ID_BYTES):
            raise ValueError("a payload in a store has an id of 16 bytes, and no other has one")
        ti_id = _NO_TRY if producer.ti_id is None else UUID(producer.ti_id).bytes
        names = Names(producer.dag_id, producer.run_id, producer.task_id, self.key).to_bytes()
        return _BOUND.pack(ti_id, producer.map_index, len(names)) + names + self.object_id

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
                "The API server's answer to this read is invalid: expected a secret in base64. Run the same release "
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
        summary = row.get(MARKER) if isinstance(row, dict) else None
        if not is_of_this_version(summary):
            raise UnsupportedReferenceError(
                f"This XCom row is an exclusive reference of {_name_version(summary)}; this release of "
                f"airflow-provider-exclusive reads version {VERSION}. Upgrade the reader, or clear and re-run the "
                "producer task."
            )
        try:
            return cls._parse(row, answer)
        except InvalidScopeError as refused:
            raise EnvelopeError(f"The scope in this XCom row is refused: {refused.message}") from refused
        except (KeyError, TypeError, ValueError, struct.error) as malformed:
            raise EnvelopeError(
                "This XCom row has the marker of an exclusive reference but is not one: it was edited or written by "
                "something else. Clear and re-run the producer task."
            ) from malformed

    @classmethod
    def _parse(cls, row: Mapping[str, Any], answer: ServerAnswer | None) -> Reference:
        require_fields(row, _FIELDS)
        readers = _text(row[_READERS], MAX_READERS_CHARACTERS)
        summary, texts = _read_texts(_text(row[MARKER], MAX_SUMMARY_CHARACTERS), readers)
        content = from_base64(_text(row[_SEALED], MAX_SEALED_CHARACTERS))
        kind, key_id = _LOCK.unpack_from(content)
        ti_id, map_index, length = _BOUND.unpack_from(content, _LOCK.size)
        end_of_names = _LOCK.size + _BOUND.size + length
        end = end_of_names + (0 if summary.store is None else OBJECT_ID_BYTES)
        if kind not in (_WRAPPED, _TO_PUBLIC_KEY) or end > len(content) or map_index < -1:
            raise ValueError("not a reference")
        names = Names.from_bytes(content[_LOCK.size + _BOUND.size : end_of_names])
        reference = cls(
            producer=TaskIdentity(names.dag_id, names.run_id, names.task_id, map_index, _ti_id(ti_id)),
            key=names.key,
            scope=scope_from_text(readers, names.dag_id, names.run_id),
            codec=summary.codec,
            size=summary.size,
            expires_at=summary.expires_at,
            store=summary.store,
            object_id=content[end_of_names:end],
            is_masked=summary.is_masked,
            key_id=key_id.hex(),
            wrapped=content[end:] if kind == _WRAPPED else b"",
            sealed=content[end:] if kind == _TO_PUBLIC_KEY else None,
            answer=answer,
        )
        object.__setattr__(reference, "_read_context", texts + content[_LOCK.size : end])
        return reference


def is_reference_row(row: object) -> bool:
    """Return whether an XCom row carries our marker, whatever else it holds."""
    return isinstance(row, dict) and MARKER in row


def to_answer(row: Mapping[str, Any], answer: ServerAnswer) -> dict[str, Any]:
    """Return a stored row as the API server sends it to a reader that may read it."""
    reason = {} if answer.not_opened is None else {_NOT_OPENED: answer.not_opened}
    return {**row, _ANSWER: None if answer.secret is None else to_base64(answer.secret), **reason}


def without_answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``row`` without an answer: only the API server adds one, so one from the database must not be used."""
    stored = dict(row)
    for name in _OF_ANSWER:
        stored.pop(name, None)
    return stored


def escape(row: dict[str, Any]) -> dict[str, Any]:
    """Wrap a user's own value that carries our marker, so that it is not mistaken for a reference."""
    return {MARKER: PLAIN, "value": row}


def is_escaped(row: Mapping[str, Any]) -> bool:
    """Return whether :func:`escape` wrote this row; its value is under ``"value"``."""
    return row.get(MARKER) == PLAIN and row.keys() == {MARKER, "value"}


def _text(value: object, most: int) -> str:
    text: str = typed(value, str)
    if len(text) > most:
        raise ValueError("a text is too long")
    return text


def _read_texts(summary: str, readers: str) -> tuple[Summary, bytes]:
    """Return what they say, and how they are bound."""
    # They repeat in most references that one process reads. A cache keeps what it was given, so only the short.
    return (_read_texts_cached if len(readers) <= _CACHED_CHARACTERS else _read_any_texts)(summary, readers)


def _read_any_texts(summary: str, readers: str) -> tuple[Summary, bytes]:
    return read_summary(summary), _bind(summary, readers)


_read_texts_cached = lru_cache(maxsize=1024)(_read_any_texts)


def _bind(summary: str, readers: str) -> bytes:
    return _LABEL + b"".join([len(text).to_bytes(4, "big") + text for text in (summary.encode(), readers.encode())])


def _ti_id(raw: bytes) -> str | None:
    if raw == _NO_TRY:
        return None
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _name_version(summary: object) -> str:
    # Anything else may be a user's value, or too deep or too long to print.
    version = version_in(summary)
    return f"an invalid version (of type {type(summary).__name__})" if version is None else f"version {version}"
