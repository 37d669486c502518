"""
Decide what the API server answers and stores, from rows and coordinates, without HTTP.

On a read, every row is checked against the requested coordinate and against its scope before a data key is unwrapped.
On a write, a sealed key is opened for the task that wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from airflow_provider_exclusive.access import decision
from airflow_provider_exclusive.access.decision import Permission
from airflow_provider_exclusive.access.hand_over import HandOverLookup
from airflow_provider_exclusive.crypto.data_keys import missing_private_key
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.exceptions import AccessDeniedError, EnvelopeError, UnknownKeyError
from airflow_provider_exclusive.format.reference import (
    ALTERED,
    NO_PRIVATE_KEY,
    SUPERSEDED,
    UNKNOWN_KEY,
    Reference,
    ServerAnswer,
    holds_sealed_key,
    is_escaped,
    is_reference_row,
    without_answer,
)
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.server.callers import Caller

_SHOWN_CHARACTERS: Final = 64


@dataclass(slots=True)
class DecidedRows:
    """
    Rows as the caller may read them.

    :param permission: why the caller may read the first of the exclusive values whose data key they contain; None if
        they contain none.
    """

    rows: list[Any]
    permission: Permission | None = None


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """
    A read, as far as a decision depends on it.

    :param at: what is requested.
    :param caller: None if the token does not name a known task instance.
    :param hand_overs: finds what a run was handed.
    :param standing: the ids of the tries whose outputs count; see
        :func:`~airflow_provider_exclusive.server.callers.find_reader`.
    """

    at: Coordinate
    caller: Caller | None
    hand_overs: HandOverLookup
    standing: Container[str | None]


@dataclass(frozen=True, slots=True)
class Decisions:
    """
    The decisions of one API server.

    :param keyring: None if the API server has no private key: then it still denies, but opens nothing.
    """

    keyring: Keyring | None

    def answer(self, rows: Sequence[Any], request: ReadRequest) -> DecidedRows:
        """
        Return ``rows`` as the caller may read them.

        :raises AccessDeniedError: if the caller may not read one of them.
        """
        answer = DecidedRows(list(rows))
        for position, row in enumerate(rows):
            if is_reference_row(row) and not is_escaped(row):
                self._answer_row(answer, position, request)
        return answer

    def accept(self, row: Mapping[str, Any], *, writer: TaskIdentity, target: Coordinate) -> Mapping[str, Any]:
        """
        Return the row to store: a sealed key is opened and wrapped, everything else stays as it is.

        What nobody could ever open is refused while the producer can still be told.

        :raises AccessDeniedError: if a row with a sealed key is not an output of ``writer`` at ``target``.
        :raises ConfigurationError: if it has a sealed key and there is no private key.
        :raises EnvelopeError: if it has a sealed key that cannot be opened, or names a key that is not held.
        """
        if not holds_sealed_key(row):
            self._check_key_id(row.get("key_id"))
            return row
        reference = Reference.from_row(row)
        _check_sealed_key(reference, writer, target)
        if self.keyring is None:
            raise missing_private_key("this value was not stored: nobody could ever open it")
        context = reference.context()
        sealed_key = reference.sealed_key or b""  # which does not open
        data_key = self.keyring.open_sealed_key(sealed_key, key_id=reference.key_id, context=context)
        key_id, wrapped_key = self.keyring.wrap(data_key, context=context)
        return replace(reference, sealed_key=None, key_id=key_id, wrapped_key=wrapped_key).to_row()

    def _check_key_id(self, key_id: object) -> None:
        if self.keyring is None or not isinstance(key_id, str) or key_id in self.keyring.key_ids:
            return
        raise UnknownKeyError(
            f"The worker sealed this value under key {key_id[:_SHOWN_CHARACTERS]!r}, and the API server does not hold "
            "that key: the two have different ones. Set [exclusive] private_key (or [core] fernet_key) to the same "
            "value in every component. While keys are being changed, the API server gets the new one first.",
            key_id=key_id[:_SHOWN_CHARACTERS],
        )

    def _answer_row(self, answer: DecidedRows, position: int, request: ReadRequest) -> None:
        stored = without_answer(answer.rows[position])
        try:
            reference = Reference.from_row(stored)
        except EnvelopeError:
            # Nothing in it can be opened. Return it as it is, because its producer must be able to clear it.
            answer.rows[position] = _printable(stored)
            return
        # First who wrote it, then what it says: a scope that no key vouches for is not even looked at.
        opened = self._unwrap(reference, request)
        permission = _permit(reference, request) if opened.data_key is not None else None
        if opened.data_key is not None and permission is None:
            opened = ServerAnswer(None, SUPERSEDED)
        answer.rows[position] = reference.to_answer(opened)
        if not reference.scope.is_open:
            answer.permission = answer.permission or permission

    def _unwrap(self, reference: Reference, request: ReadRequest) -> ServerAnswer:
        """Return the data key, or why there is none; the scope may still forbid it."""
        if self.keyring is None:
            return ServerAnswer(None, NO_PRIVATE_KEY)
        if reference.sealed_key is not None or not request.at.covers(reference.coordinate):
            return ServerAnswer(None, ALTERED)
        try:
            context = reference.context()
            return ServerAnswer(self.keyring.unwrap(reference.wrapped_key, key_id=reference.key_id, context=context))
        except UnknownKeyError:
            return ServerAnswer(None, UNKNOWN_KEY)
        except EnvelopeError:
            return ServerAnswer(None, ALTERED)


def _printable(row: dict[str, Any]) -> dict[str, Any]:
    """Return an invalid row so that it can be sent: somebody may have planted text that cannot be encoded."""
    printable: dict[str, Any] = json.loads(json.dumps(row, ensure_ascii=False).encode(errors="replace"))
    return printable


def check_write(writer: Caller | None, target: Coordinate, standing: Container[str | None]) -> None:
    """
    Check that a task writes or deletes only at its own coordinates, and in the try that stands.

    A process may outlive its try: it must not replace what a later try wrote.

    :param standing: the ids of the tries at ``target`` whose writes count.
    :raises AccessDeniedError: naming both.
    """
    if writer is None:
        raise AccessDeniedError(
            "The token does not name a known task instance, so it may not write or delete XComs.", reason="unknown-task"
        )
    if not target.belongs_to(writer.identity):
        raise AccessDeniedError(
            f"{writer.identity} may write and delete only its own XComs; it requested {target}.",
            reason="foreign-coordinate",
        )
    if writer.identity.ti_id not in standing:
        raise AccessDeniedError(
            f"{writer.identity} was cleared or retried, and this is the process of an earlier try, which may not write "
            f"or delete {target}.",
            reason=SUPERSEDED,
        )
    if not writer.is_live:
        raise AccessDeniedError(
            f"{writer.identity} has ended; the token of an ended task instance may not write or delete XComs.",
            reason="task-has-ended",
        )


def _permit(reference: Reference, request: ReadRequest) -> Permission | None:
    """Return why the data key goes to the caller, or None for its own superseded output, which is answered without."""
    reader = None if reference.scope.is_open else _live_reader(request.caller)
    permission = decision.decide(reader, reference, request.hand_overs)
    if reader is None or reference.producer.ti_id in request.standing:
        return permission
    if reader.is_same_task_instance(reference.producer):
        return None
    raise AccessDeniedError(
        f"The exclusive output {reference.key!r} of {reference.producer} was written by an earlier try of that task, "
        f"which was cleared or retried since. Clear and re-run {reference.producer.task_id!r}.",
        reason=SUPERSEDED,
    )


def _check_sealed_key(reference: Reference, writer: TaskIdentity, target: Coordinate) -> None:
    # Each try has another id, and a hand-over counts only while the try that wrote it is the current one.
    is_own = target.belongs_to(writer) and target.covers(reference.coordinate)
    if not is_own or reference.producer.ti_id not in (None, writer.ti_id):
        raise AccessDeniedError(
            f"{writer} pushed a sealed key for key {reference.key!r} of {reference.producer}. A sealed key is accepted "
            "only from the producer that it names.",
            reason="foreign-sealed-key",
        )


def _live_reader(caller: Caller | None) -> TaskIdentity:
    if caller is None:
        raise AccessDeniedError(
            "The token does not name a known task instance, so it may not read exclusive values.",
            reason="unknown-task",
        )
    if not caller.is_live:
        raise AccessDeniedError(
            f"{caller.identity} has ended; the token of an ended task instance may not read exclusive values.",
            reason="task-has-ended",
        )
    return caller.identity
