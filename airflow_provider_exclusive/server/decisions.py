"""
Decide what the API server answers and stores, from rows and coordinates, without HTTP.

On a read, every row is checked against the requested coordinate and against its scope before its secret leaves.
On a write, what a worker sealed is opened for the task that wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_exclusive.access import decision
from airflow_provider_exclusive.access.decision import Permission
from airflow_provider_exclusive.access.hand_over import HandOverLookup
from airflow_provider_exclusive.crypto.data_keys import missing_private_key
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.crypto.sealing import KEY_BYTES, cannot_be_opened
from airflow_provider_exclusive.exceptions import AccessDeniedError, EnvelopeError, UnknownKeyError
from airflow_provider_exclusive.format.reference import (
    ALTERED,
    NO_PRIVATE_KEY,
    SUPERSEDED,
    UNKNOWN_KEY,
    Reference,
    ServerAnswer,
    is_escaped,
    is_reference_row,
    to_answer,
    without_answer,
)
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.server.callers import Caller


@dataclass(frozen=True, slots=True)
class OpenedRows:
    """
    Rows that are not decided yet.

    :param rows: as they were stored, without any answer; those with our marker that do not open say why not.
    :param secrets: the reference and the secret of those that open, by position.
    """

    rows: list[Any]
    secrets: dict[int, tuple[Reference, bytes]] = field(default_factory=dict, repr=False)

    @property
    def scoped(self) -> list[Reference]:
        """Those that not everybody may read, for which the caller must be known."""
        return [reference for reference, _ in self.secrets.values() if not reference.scope.is_open]


@dataclass(slots=True)
class DecidedRows:
    """
    Rows as the caller may read them.

    :param permission: why the caller may read the first of the exclusive values whose secret they contain; None if
        they contain none.
    """

    rows: list[Any]
    permission: Permission | None = None


@dataclass(frozen=True, slots=True)
class Readers:
    """
    What is known about who reads and who wrote.

    :param caller: None if the token does not name a known task instance, or it was not looked up.
    :param standing: the ids of the tries whose outputs count.
    """

    caller: Caller | None = None
    standing: Container[str | None] = frozenset()


@dataclass(frozen=True, slots=True)
class Decisions:
    """
    The decisions of one API server.

    :param keyring: None if the API server has no private key: then it still denies, but opens nothing.
    """

    keyring: Keyring | None

    def open(self, rows: Sequence[Any], at: Coordinate) -> OpenedRows:
        """
        Open what the keys of this API server vouch for.

        First who wrote a row, then what it says: a scope that no key vouches for is not even looked at.

        :param at: what is requested.
        """
        opened = OpenedRows(list(rows))
        for position, row in enumerate(rows):
            if is_reference_row(row) and not is_escaped(row):
                self._open_row(opened, position, without_answer(row), at)
        return opened

    def answer(self, opened: OpenedRows, readers: Readers, hand_overs: HandOverLookup) -> DecidedRows:
        """
        Return rows as the caller may read them.

        :param readers: see :attr:`OpenedRows.scoped`.
        :param hand_overs: finds what a run was handed.
        :raises AccessDeniedError: if the caller may not read one of them.
        """
        decided = DecidedRows(opened.rows)
        for position, (reference, secret) in opened.secrets.items():
            permission = _permit(reference, readers, hand_overs)
            answer = ServerAnswer(None, SUPERSEDED) if permission is None else ServerAnswer(secret)
            decided.rows[position] = to_answer(decided.rows[position], answer)
            if not reference.scope.is_open:
                decided.permission = decided.permission or permission
        return decided

    def accept(self, row: Mapping[str, Any], *, writer: TaskIdentity, target: Coordinate) -> Mapping[str, Any]:
        """
        Return the row to store: a secret that is sealed is opened and wrapped, everything else stays as it is.

        What nobody could ever open is refused while the producer can still be told.

        :raises AccessDeniedError: if a row with a sealed secret is not an output of ``writer`` at ``target``.
        :raises ConfigurationError: if its secret is sealed and there is no private key.
        :raises EnvelopeError: if it is no reference, or its secret cannot be opened, or names a key that is not held.
        """
        reference = Reference.from_row(row)
        if reference.sealed is None:
            self._check_key_id(reference.key_id)
            return row
        _check_sealed(reference, writer, target)
        if self.keyring is None:
            raise missing_private_key("this value was not stored: nobody could ever open it")
        context = reference.context()
        secret = self.keyring.open_secret(reference.sealed, key_id=reference.key_id, context=context)
        if len(secret) != (reference.size if reference.store is None else KEY_BYTES):
            raise cannot_be_opened()
        key_id, wrapped = self.keyring.wrap(secret, context=context)
        return replace(reference, sealed=None, key_id=key_id, wrapped=wrapped).to_row()

    def _check_key_id(self, key_id: str) -> None:
        if self.keyring is None or key_id in self.keyring.key_ids:
            return
        raise UnknownKeyError(
            f"The worker sealed this value under key {key_id!r}, and the API server does not hold that key: the two "
            "have different ones. Set [exclusive] private_key (or [core] fernet_key) to the same value in every "
            "component. While keys are being changed, the API server gets the new one first.",
            key_id=key_id,
        )

    def _open_row(self, opened: OpenedRows, position: int, row: dict[str, Any], at: Coordinate) -> None:
        try:
            reference = Reference.from_row(row)
        except EnvelopeError:
            # Nothing in it can be opened. Return it as it is, because its producer must be able to clear it.
            opened.rows[position] = _printable(row)
            return
        secret, not_opened = self._unwrap(reference, at)
        if secret is None:
            opened.rows[position] = to_answer(row, ServerAnswer(None, not_opened))
        else:
            opened.rows[position] = row
            opened.secrets[position] = reference, secret

    def _unwrap(self, reference: Reference, at: Coordinate) -> tuple[bytes | None, str | None]:
        """Return the secret, or why there is none; the scope may still forbid it."""
        if self.keyring is None:
            return None, NO_PRIVATE_KEY
        if reference.sealed is not None or not at.covers(reference.coordinate):
            return None, ALTERED
        try:
            context = reference.context()
            return self.keyring.unwrap(reference.wrapped, key_id=reference.key_id, context=context), None
        except UnknownKeyError:
            return None, UNKNOWN_KEY
        except EnvelopeError:
            return None, ALTERED


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


def _permit(reference: Reference, readers: Readers, hand_overs: HandOverLookup) -> Permission | None:
    """Return why the secret goes to the caller, or None for its own superseded output, which is answered without."""
    reader = None if reference.scope.is_open else _live_reader(readers.caller)
    permission = decision.decide(reader, reference, hand_overs)
    if reader is None or reference.producer.ti_id in readers.standing:
        return permission
    if reader.is_same_task_instance(reference.producer):
        return None
    raise AccessDeniedError(
        f"The exclusive output {reference.key!r} of {reference.producer} was written by an earlier try of that task, "
        f"which was cleared or retried since. Clear and re-run {reference.producer.task_id!r}.",
        reason=SUPERSEDED,
    )


def _check_sealed(reference: Reference, writer: TaskIdentity, target: Coordinate) -> None:
    # Each try has another id. What names none would count for nobody, and a hand-over only while its try is present.
    is_own = target.belongs_to(writer) and target.covers(reference.coordinate)
    if not is_own or reference.producer.ti_id != writer.ti_id:
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
