"""
What hostile tasks plant and ask for, to cost the API server as much as it lets them; for ``benchmarks.stall``.

All of it goes through the tasks' own pushes, and is as large as the API server takes in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from airflow_provider_exclusive.access.hand_over import CONF_KEY, RECORD_KEY, HandOver, Source, to_pointer
from airflow_provider_exclusive.access.hand_over_record import seal_record
from airflow_provider_exclusive.crypto.data_keys import ServerDataKeys
from airflow_provider_exclusive.exceptions import HandOverError
from airflow_provider_exclusive.format.fields import MAX_CHARACTERS
from airflow_provider_exclusive.format.reference import MARKER, MAX_INLINE_BYTES, OBJECT_ID_BYTES, Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import MAX_CLAUSES, MAX_GLOBS, Clause, ConsumerScope
from benchmarks.stall_airflow import CHILD, LONG, MAPPED, WRITERS, Client, Find, Task, path_of

MANY_KEYS: Final = 200
_CHAIN: Final = 7
_GLOB_CHARACTERS: Final = 190
_OUTPUTS: Final = 250
"""Of each record in a chain; their names are as long as the API server takes in."""
_CONF_CHARACTERS: Final = 1_000_000
"""Of the conf of each run in a chain, besides the pointer."""
_KEY_BYTES: Final = 32
_WRAPPED_BYTES: Final = _KEY_BYTES + 16
_LONG_KEY: Final = 60_000
"""About as long as the names in a reference can be."""


@dataclass(frozen=True)
class Request:
    """
    Something to ask for.

    :param statuses: with which the API server may answer.
    :param body: what to write; None for a read.
    """

    path: str
    by: Task
    statuses: tuple[int, ...] = (HTTPStatus.FORBIDDEN,)
    body: bytes | None = None

    def send(self, client: Client) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        return client.ask("GET" if self.body is None else "POST", self.path, self.by, self.body)


Requests = dict[str, list[Request]]
"""By kind."""


@dataclass
class Planter:
    """Lets tasks push hostile rows, and collects what to ask for."""

    client: Client
    tasks: dict[str, Task]
    find: Find
    keys: ServerDataKeys

    def plant(self, *, chain: int = _CHAIN, many: int = MANY_KEYS) -> tuple[Requests, int]:
        """Return what to ask for, and how long the names in the largest accepted hand-over record are."""
        stranger, friend = self.tasks[LONG], self.tasks["friend"]
        globs = [self._push(name, kind, self._scope(number, kind))
                 for number, name in enumerate(WRITERS) for kind in _GLOBS]  # fmt: skip
        full = [self._push(name, "full", self._full_scope()) for name in WRITERS]
        keys = [self._push(WRITERS[0], f"key {number}", ConsumerScope()) for number in range(many)]
        forged = [self._forge(name) for name in WRITERS]
        child, characters = self._hand_on(chain)
        requests = {
            "256 globs, refused": [Request(path, stranger) for path in globs],
            "256 globs, prior dates": [Request(f"{path}?include_prior_dates=true", stranger) for path in globs],
            "64 kB, permitted": [Request(path, friend, (HTTPStatus.OK,)) for path in full],
            "64 kB, refused": [Request(path, stranger) for path in full],
            "64 kB, forged": [Request(path, stranger, (HTTPStatus.OK,)) for path in forged],
            "many keys, refused": [Request(path, stranger) for path in keys],
            f"list of {MAPPED}": self._list(),
            f"handed on {chain} times": [Request(path, child) for path in globs],
            "odd coordinates": [Request(path + odd, stranger, _REFUSED) for path in globs for odd in _ODD],
            "foreign write": [Request(path, stranger, body=b'"mine now"') for path in globs],
            "letter of 64 kB": [self._letter(name) for name in WRITERS],
        }
        return requests, characters

    def _push(self, name: str, key: str, scope: ConsumerScope) -> str:
        task = self.tasks[name]
        reference = a_reference(task.identity, key, scope)
        sealed = self.keys.protect(b"k" * _KEY_BYTES, reference)
        _require(self.client.push(task, key, sealed.to_row()), HTTPStatus.CREATED, f"{key!r} of {name}")
        return path_of(task.identity, key)

    def _forge(self, name: str) -> str:
        """Push a row that no key vouches for."""
        task = self.tasks[name]
        reference = a_reference(task.identity, "forged", self._full_scope())
        row = replace(reference, key_id=self.keys.key_id, wrapped=bytes(_WRAPPED_BYTES)).to_row()
        _require(self.client.push(task, "forged", row), HTTPStatus.CREATED, f"'forged' of {name}")
        return path_of(task.identity, "forged")

    def _letter(self, name: str) -> Request:
        """Return the push of a row as large as a row may be, with a sealed key that does not open."""
        task = self.tasks[name]
        sealed = self.keys.protect(b"k" * _KEY_BYTES, a_reference(task.identity, "letter", self._full_scope()))
        row = sealed.to_row()
        row[MARKER] = row[MARKER].replace("msgpack", "another")
        return Request(path_of(task.identity, "letter"), task, body=json.dumps(row).encode())

    def _list(self) -> list[Request]:
        """Let every instance of the mapped task push, and return reads of all that they pushed."""
        for number in range(MAPPED):
            self._push(f"mapped[{number}]", "listed", self._scope(number, "both"))
        path = path_of(self.tasks["mapped[0]"].identity, "listed").partition("?")[0]
        return [Request(f"{path}/slice{query}", self.tasks[LONG]) for query in ("", "?start=-1&step=-1")]

    def _scope(self, number: int, kind: str) -> ConsumerScope:
        """Return a scope of as many globs as are allowed, none of which is in another, and none matches."""
        dag_id = self.tasks[LONG].identity.dag_id
        several = [_glob(kind, f"{number}-{n}") for n in range(MAX_GLOBS)]
        one = ["a" * (_GLOB_CHARACTERS - 10) + f"*{number}-{n}" for n in range(MAX_CLAUSES - MAX_GLOBS)]
        return ConsumerScope(tuple(Clause(dag_id, glob, None) for glob in (*several, *one)))

    def _full_scope(self) -> ConsumerScope:
        """Return a scope that fills a row, and whose last clause names the friend."""
        friend = self.tasks["friend"].identity
        other = Clause(friend.dag_id, "n" * _GLOB_CHARACTERS, None)
        return ConsumerScope((*[other] * (MAX_CLAUSES - 1), Clause(friend.dag_id, "friend", None)))

    def _hand_on(self, steps: int) -> tuple[Task, int]:
        """Hand every output on from run to run; return the reader in the last run, and how long each name is."""
        trigger = self.tasks[LONG]
        characters = next(most for most in range(MAX_CHARACTERS, 0, -10) if self._push_record(trigger, "1", most))
        for step in range(1, steps + 1):
            if step > 1 and not self._push_record(trigger, str(step), characters):
                raise SystemExit(f"The API server refused hand-over record {step}.")
            conf = {CONF_KEY: to_pointer(trigger.identity), "other": "A" * _CONF_CHARACTERS}
            body = json.dumps({"conf": conf}).encode()
            status, answer = self.client.ask("POST", f"/dag-runs/{CHILD}/{step}", trigger, body)
            _require(status, HTTPStatus.NO_CONTENT, f"run {step}: {answer[:200]!r}")
            trigger = self.find(CHILD, str(step))[LONG]
        return trigger, characters

    def _push_record(self, trigger: Task, run_id: str, characters: int) -> bool:
        """Push hundreds of outputs, and return whether names of this length are taken in."""
        asked = [(name, kind) for name in WRITERS for kind in _GLOBS]
        named = [*[(LONG, "none")] * (_OUTPUTS - len(asked)), *asked]  # those that are asked for come last
        sources = {
            f"{number:0{characters}}": Source(_coordinate(self.tasks[name].identity, kind), is_exclusive=True)
            for number, (name, kind) in enumerate(named)
        }
        record = HandOver(trigger.identity, CHILD, run_id, sources)
        try:
            row = seal_record(record, producer=trigger.identity, keys=self.keys).to_row()
        except HandOverError:
            return False  # one that is sealed past this bound is refused by the API server, and tested there
        return self.client.push(trigger, RECORD_KEY, row) == HTTPStatus.CREATED


_REFUSED: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
_ODD: Final = ("?map_index=0", "?map_index=-2", "?map_index=x", "?offset=0", "/item/0", "/item/9", "%2Fslice", "/slice")
_GLOBS: Final = {"stars": "*a", "questions": "*a?", "long": "*" + "a" * 60 + "b", "both": "*?a?"}


def _glob(kind: str, end: str) -> str:
    """Return a glob that fits :data:`LONG` but for its end."""
    part = _GLOBS[kind]
    return part * ((_GLOB_CHARACTERS - len(end) - 1) // len(part)) + "*" + end


def _coordinate(task: TaskIdentity, key: str) -> Coordinate:
    return Coordinate.of(task, key)


def a_reference(producer: TaskIdentity, key: str, scope: ConsumerScope) -> Reference:
    """Return a reference, without a data key, to a payload that nobody will fetch."""
    return Reference(producer, key, scope, "msgpack", 8, store="files", object_id=bytes(OBJECT_ID_BYTES))


def _require(status: int, expected: int, what: str) -> None:
    if status != expected:
        raise SystemExit(f"The API server answered {status} to the push of {what}; expected {expected}.")


def letters(of: Task, keys: ServerDataKeys, characters: int) -> Iterator[bytes]:
    """
    Yield, without end, the JSON of rows with a sealed secret that is refused, each another one.

    :param characters: of those that may be of any size; the others are as large as the API server decodes.
    """
    reference = a_reference(of.identity, "letter", ConsumerScope())
    row = keys.protect(b"k" * _KEY_BYTES, reference).to_row()
    small = replace(reference, size=MAX_INLINE_BYTES, store=None, object_id=b"")
    filling = "A" * (characters // 4 * 4)
    rows = [
        row | {MARKER: f"{row[MARKER]}<n>{filling}"},
        row | {"consumers": ", ".join([f"<n>{filling[:200]}"] * (characters // 200))},
        row | {"more": {"<n>": [filling]}},
        row | {"sealed": f"{filling}<n>"},
        _numbered(keys.protect(bytes(MAX_INLINE_BYTES), small).to_row()),
        _numbered(keys.protect(b"k" * _KEY_BYTES, replace(reference, key="k" * _LONG_KEY)).to_row()),
    ]
    parts = [json.dumps(one).encode().partition(b"<n>") for one in rows]
    templates = [(before, after.replace(b"<n>", b"0")) for before, _, after in parts]
    number = 0
    while True:
        before, after = templates[number % len(templates)]
        yield b"%b%016d%b" % (before, number, after)
        number += 1


def _numbered(row: dict[str, str]) -> dict[str, str]:
    """Return ``row`` with a place for 16 digits in the sealed secret."""
    return row | {"sealed": f"{row['sealed'][:-20]}<n>{row['sealed'][-4:]}"}
