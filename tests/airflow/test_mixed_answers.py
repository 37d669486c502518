"""Rows that were moved, spliced, cut, copied and mixed: what opens, and for whom, by an oracle that knows no format."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import unquote

import pytest

from airflow_provider_exclusive.access.hand_over import NoHandOverLookup
from airflow_provider_exclusive.codecs.base import Codec, CodecRegistry
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys, ServerDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.exceptions import AccessDeniedError, EnvelopeError
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope
from airflow_provider_exclusive.server.callers import Caller
from airflow_provider_exclusive.server.decisions import Decisions, Readers
from airflow_provider_exclusive.store import ExclusiveStore
from tests.fakes import InMemoryDriver

CASES = 5_500
DAGS = ["etl", "et", "l.etl", "größe"]
RUNS = ["run-1", "run-11", "manual__2026-11-20T10:00:00+00:00", "manual__2026-11-20T10:00:00.000001+00:00"]
TASKS = ["extract", "extract.1", "load", "l-oad", "caller", "group.load"]
KEYS = ["return_value", "a%2Fb", "a/b", "k ey", "%", "return_value "]
INDEXES = [-1, 0, 1, 10]
GLOBS = ["*", "*", "*", "load", "l?oad", "group.*", "extract*", "*load"]


@dataclass(frozen=True)
class Written:
    """What was written, in the words of a test, and the row that came of it."""

    at: tuple[str, str, str, int, str]
    readers: tuple[tuple[str, str, str | None], ...] | None
    value: str
    row: dict[str, str]


@pytest.fixture(scope="module")
def world():
    chance = random.Random(14)
    ring = Keyring.from_raw_keys([chance.randbytes(32)])
    stranger = Keyring.from_raw_keys([chance.randbytes(32)])
    driver = InMemoryDriver()
    codecs = CodecRegistry([TextCodec()])
    local = ExclusiveStore(lambda: driver, LocalDataKeys(ring), codecs, inline_bytes=40)
    foreign = ExclusiveStore(lambda: driver, LocalDataKeys(stranger), codecs, inline_bytes=40)
    worker = ExclusiveStore(lambda: driver, ServerDataKeys(ring.keys[0].public), codecs, inline_bytes=40)
    written = [write(chance, local, number) for number in range(150)]
    planted = [write(chance, store, number).row for number, store in enumerate([foreign, worker] * 15, 1000)]
    return Decisions(ring), worker, written, planted


class TextCodec(Codec):
    name = "json"

    def accepts(self, value):
        return True

    def encode(self, value):
        return value.encode()

    def decode(self, payload):
        return bytes(payload).decode()


def write(chance, store, number):
    at = tuple(map(chance.choice, (DAGS, RUNS, TASKS, INDEXES, KEYS)))
    producer = identity(at[:4], chance)
    readers = None if chance.random() < 0.1 else tuple(clause(chance, producer) for _ in range(chance.randrange(4)))
    scope = OPEN if readers is None else ConsumerScope(tuple(Clause(*one) for one in readers))
    value = f"value {number} " + "x" * chance.choice([0, 60])
    return Written(
        at, readers, value, store.put(value, producer=producer, key=at[4], scope=scope, codec="json").to_row()
    )


def identity(at, chance):
    digits = chance.randbytes(16).hex()
    return TaskIdentity(*at, f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")


def clause(chance, producer):
    if chance.random() < 0.5:
        return (producer.dag_id, chance.choice(GLOBS), producer.run_id)
    return (chance.choice(DAGS), chance.choice(GLOBS), None)


def tampered(chance, row, written):
    """Return a row as somebody may leave it who writes to the database but has no key."""
    other = chance.choice(written).row
    swapped = chance.choice(["__exclusive__", "consumers", "sealed", None, None, None, None])
    if swapped is not None:
        return row | {swapped: other[swapped]}
    if chance.random() < 0.1:
        return {**row, "opened": base64.b64encode(chance.randbytes(32)).decode(), "not_opened": "altered"}
    edit = chance.choice([flip, cut, splice, swap_try, swap_index])
    edited = edit(chance, base64.b64decode(row["sealed"]), base64.b64decode(other["sealed"]))
    return row | {"sealed": base64.b64encode(edited).decode()}


def flip(chance, content, _):
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]


def cut(chance, content, _):
    return content[: chance.randrange(len(content))]


def splice(chance, content, foreign):
    place = chance.randrange(len(content))
    return content[:place] + foreign[place:]


def swap_try(_, content, foreign):
    return content[:17] + foreign[17:33] + content[33:]


def swap_index(chance, content, _):
    return content[:33] + chance.randrange(-1, 11).to_bytes(4, "big", signed=True) + content[37:]


class Every:
    def __contains__(self, ti_id):
        return True


def may_read(reader, one):
    """The rule in words: everybody, the same task in any run, or whoever a clause names."""
    if one.readers is None or reader[:1] + reader[2:] == (one.at[0], one.at[2], one.at[3]):
        return True
    return any(
        dag_id == reader[0] and run_id in (None, reader[1]) and fnmatchcase(reader[2], pattern)
        for dag_id, pattern, run_id in one.readers
    )


def is_meant(request, at):
    parts = zip(request[:4], at[:4], strict=True)
    return all(wanted in (None, found) for wanted, found in parts) and request[4] in (at[4], unquote(at[4]))


@pytest.mark.parametrize("seed", range(4))
def test_no_mixture_opens_what_was_not_written_there_for_the_reader(world, seed):
    decisions, worker, written, planted = world
    genuine = {tuple(one.row.items()): one for one in written}
    chance, outcomes = random.Random(seed), {"opened": 0, "unopened": 0, "refused": 0}
    for _ in range(CASES):
        focus = chance.choice(written)
        request = list(focus.at)
        if chance.random() < 0.5:
            request[3] = None
        if chance.random() < 0.3:
            request[1] = None
        reader = (
            chance.choice([focus.at[0], *DAGS]),
            chance.choice([focus.at[1], *RUNS]),
            chance.choice(TASKS),
            chance.choice(INDEXES),
        )
        mixed = chance.random() < 0.6
        rows = [chance.choice([focus, *chance.choices(written, k=mixed)]).row for _ in range(chance.randrange(1, 4))]
        if mixed:
            rows = [tampered(chance, row, written) if chance.random() < 0.4 else row for row in rows]
            rows += [chance.choice(planted)] * (chance.random() < 0.1)
        outcomes[check(decisions, worker, genuine, rows, request, reader)] += 1
    assert min(outcomes.values()) > CASES / 20, outcomes


def check(decisions, worker, genuine, rows, request, reader):
    """Compare one answer with the oracle, down to the value that the worker decodes; return what came of it."""
    expected = [genuine.get(tuple(stripped(row).items())) for row in rows]
    expected = [one if one is not None and is_meant(request, one.at) else None for one in expected]
    is_refused = any(one is not None and not may_read(reader, one) for one in expected)
    who = TaskIdentity(*reader)
    try:
        opened = decisions.open(rows, Coordinate(*request))
        readers = Readers(Caller(who, 1, is_live=True), Every())
        answer = decisions.answer(opened, readers, NoHandOverLookup())
    except AccessDeniedError:
        assert is_refused, (rows, request, reader)
        return "refused"
    assert not is_refused, (rows, request, reader)
    for row, one in zip(answer.rows, expected, strict=True):
        assert value_of(worker, row, who) == (None if one is None else one.value), (row, request, reader)
    return "opened" if all(expected) else "unopened"


def stripped(row):
    return {name: part for name, part in row.items() if name not in ("opened", "not_opened")}


def value_of(worker, row, who):
    try:
        return worker.get(Reference.from_answer(row), reader=who)
    except (AccessDeniedError, EnvelopeError):
        return None
