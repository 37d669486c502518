"""
Somebody with the public key, the right to edit XComs by REST and direct SQL plants rows where consumers read.

Each form of row is planted at every coordinate at once; the consumers read everything again, and the genuine rows are put
back. What does get through stands in ``KNOWN_LIMITS``, by name.
"""

from __future__ import annotations

import json
import os
import pickle  # noqa: TID251  # to make the bomb that must never go off
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count, cycle
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec
from airflow_provider_exclusive.crypto import keyring
from airflow_provider_exclusive.format.reference import Reference, ServerAnswer, is_reference_row, to_answer
from stack.airflow import AirflowStack
from stack.metadata import XComRow
from stack.processes import wait_until

DAG, ABROAD = "planter", "planter_abroad"
RETURN_VALUE = "return_value"
PLANTED = "planted by somebody else"
WRAPPING_BYTES = 16
"""By which a wrapped secret is longer."""

Coordinate = tuple[str, int, str]
"""Task, map index and key."""

SCALAR, SIDE = ("scalar", -1, RETURN_VALUE), ("scalar", -1, "side")
LEFT, RIGHT, HALVES = ("halves", -1, "left"), ("halves", -1, "right"), ("halves", -1, RETURN_VALUE)
PICKLED, PLAIN, RACED = (("pickled", -1, RETURN_VALUE), ("plain", -1, RETURN_VALUE), ("raced", -1, RETURN_VALUE))
FIRST, SECOND = ("some", 0, RETURN_VALUE), ("some", 1, RETURN_VALUE)
EXCLUSIVE = (SCALAR, SIDE, LEFT, RIGHT, HALVES, PICKLED, FIRST, SECOND)

PULLS = {
    "return value": SCALAR,
    "return value with prior dates": SCALAR,
    "key": SIDE,
    "one of multiple outputs": LEFT,
    "other of multiple outputs": RIGHT,
    "multiple outputs": HALVES,
    "pickled": PICKLED,
    "any run with prior dates": PICKLED,
    "map index 0": FIRST,
    "map index 1": SECOND,
    "return value, map index not named": SCALAR,
    "key, map index not named": SIDE,
    "several tasks": SCALAR,
    "several map indexes": SECOND,
    "all map indexes": SECOND,
}
PULLS_ABROAD = {"return value in another Dag": SCALAR, "key in another Dag": SIDE}
LAZY_READS = dict.fromkeys(["lazy item", "lazy last item", "lazy iteration", "lazy slice"], SECOND)
READS = PULLS | PULLS_ABROAD | LAZY_READS
ARGUMENTS = {
    "take_plain": PLAIN,
    "take_expanded": SECOND,
    "take_scalar": SCALAR,
    "take_side": SIDE,
    "take_half": LEFT,
}
"""Where something is planted for each task that takes a TaskFlow argument."""


@dataclass(frozen=True, slots=True)
class Attacker:
    """
    What the attacker holds.

    :param public_key: 32 raw bytes.
    :param bomb: a pickle that leaves a file where it is loaded.
    :param rows: those of the run that is attacked.
    :param rows_of_another_run: those of another run of the same Dag.
    :param rest: a client of the API server, with a user's token.
    """

    stack: AirflowStack
    run_id: str
    public_key: bytes
    bomb: bytes = field(repr=False)
    rows: dict[Coordinate, XComRow] = field(repr=False)
    rows_of_another_run: dict[Coordinate, XComRow] = field(repr=False)
    rest: httpx.Client = field(repr=False)

    def plant_by_rest(self, target: Coordinate, content: Any) -> None:
        self.try_by_rest(target, content).raise_for_status()

    def try_by_rest(self, target: Coordinate, content: Any) -> httpx.Response:
        """Edit an XCom, or add one where there is none."""
        task_id, map_index, key = target
        entries = f"/api/v2/dags/{DAG}/dagRuns/{quote(self.run_id, safe='')}/taskInstances/{task_id}/xcomEntries"
        body = {"value": content, "map_index": map_index}
        edited = self.rest.patch(f"{entries}/{key}", json=body)
        return (
            edited if edited.status_code != httpx.codes.NOT_FOUND else self.rest.post(entries, json=body | {"key": key})
        )

    def plant_by_sql(self, target: Coordinate, content: Any) -> None:
        self.stack.metadata.overwrite(self.rows[target], content)

    @contextmanager
    def planting(self, planted: dict[Coordinate, Form]) -> Iterator[None]:
        """Plant, and afterwards put the genuine rows back."""
        contents = {target: form.make(self, target) for target, form in planted.items()}
        try:
            for target, content in contents.items():
                planted[target].plant(self, target, content)
            yield
        finally:
            for target in contents:
                self.plant_by_sql(target, self.rows[target].value)


Make = Callable[[Attacker, Coordinate], Any]
Forge = Callable[[Attacker, Coordinate], tuple[Reference, bytes]]


def forged(attacker: Attacker, target: Coordinate, *, codec: str, payload: bytes) -> tuple[Reference, bytes]:
    """Return a reference, right in all but its lock, which is missing, and the secret that belongs into it."""
    reference = replace(
        Reference.from_row(attacker.rows[target].value),
        codec=codec,
        size=len(payload),
        expires_at=None,
        store=None,
        object_id=b"",
        key_id=keyring.key_id_of(attacker.public_key),
        wrapped=b"",
    )
    return reference, payload


def text(attacker: Attacker, target: Coordinate) -> tuple[Reference, bytes]:
    return forged(attacker, target, codec="msgpack", payload=MsgpackCodec().encode(PLANTED))


def bomb(attacker: Attacker, target: Coordinate) -> tuple[Reference, bytes]:
    return forged(attacker, target, codec="cloudpickle", payload=attacker.bomb)


def to_the_public_key(forge: Forge) -> Make:
    def make(attacker: Attacker, target: Coordinate) -> dict:
        reference, secret = forge(attacker, target)
        sealed = keyring.seal_secret(secret, public_key=attacker.public_key, context=reference.context())
        return replace(reference, sealed=sealed).to_row()

    return make


def under_a_made_up_key(forge: Forge) -> Make:
    def make(attacker: Attacker, target: Coordinate) -> dict:
        reference, secret = forge(attacker, target)
        return replace(reference, wrapped=as_if_wrapped(secret)).to_row()

    return make


def with_its_answer(forge: Forge) -> Make:
    """Return what the API server would answer if it had opened the reference."""

    def make(attacker: Attacker, target: Coordinate) -> dict:
        reference, secret = forge(attacker, target)
        return to_answer(replace(reference, wrapped=as_if_wrapped(secret)).to_row(), ServerAnswer(secret))

    return make


def as_if_wrapped(secret: bytes) -> bytes:
    return os.urandom(len(secret) + WRAPPING_BYTES)


LOOKALIKES = [
    f"/api/v2/dags/{DAG}/dagRuns/some_run/taskInstances/xcoms/xcomEntries",
    f"/api/v2/dags/{DAG}/dagRuns/xcoms/clear",
    "/api/v2/dags/xcoms/dagRuns",
    "/api/v2/dags/xcoms/clearTaskInstances",
    "/execution/dag-runs/xcoms/some_run",
    f"/execution/xcoms/{DAG}/some_run/scalar/return_value",
]
"""Paths at which a user could hope that the API server opens what is sealed to it, and shows what it made of it."""


def handed_in(attacker: Attacker, target: Coordinate) -> dict:
    """Return what the API server makes of a sealed row that is handed to it, or the row if it makes nothing of it."""
    sealed = to_the_public_key(text)(attacker, target)
    answers = [attacker.rest.post(path, json=sealed).json() for path in LOOKALIKES]
    return [*(row for answer in answers for row in wrapped_rows(answer)), sealed][0]


def wrapped_rows(document: Any) -> Iterator[dict]:
    if isinstance(document, dict):
        if is_reference_row(document) and Reference.from_answer(document).sealed is None:
            yield document
        document = list(document.values())
    for part in document if isinstance(document, list) else ():
        yield from wrapped_rows(part)


def from_another_task(attacker: Attacker, target: Coordinate) -> dict:
    _, _, key = target
    task_id = "scalar" if target == PICKLED else "pickled"
    return attacker.rows[task_id, -1, "side" if key == "side" else RETURN_VALUE].value


def from_another_key(attacker: Attacker, target: Coordinate) -> dict:
    task_id, map_index, key = target
    other_key = {"left": "right", "right": "left", "side": RETURN_VALUE, RETURN_VALUE: "side"}[key]
    return attacker.rows[task_id, map_index, "left" if target == HALVES else other_key].value


def from_another_run(attacker: Attacker, target: Coordinate) -> dict:
    return attacker.rows_of_another_run[target].value


def from_another_map_index(attacker: Attacker, target: Coordinate) -> dict:
    task_id, map_index, key = target
    return attacker.rows[task_id, 1 - map_index, key].value


def content(planted: Any) -> Make:
    return lambda attacker, target: planted


REST, SQL = Attacker.plant_by_rest, Attacker.plant_by_sql


@dataclass(frozen=True, slots=True)
class Form:
    """
    A form of row to plant.

    :param make: returns the content for a coordinate.
    :param plant: puts it there.
    :param targets: where it is planted.
    """

    name: str
    make: Make = field(repr=False)
    plant: Callable[[Attacker, Coordinate, Any], None] = field(repr=False)
    targets: tuple[Coordinate, ...] = EXCLUSIVE


ANOTHER_MAP_INDEX = Form("a reference from another map index", from_another_map_index, SQL, (SECOND,))
SWAPPED_MAP_INDEXES = Form("references swapped between map indexes", from_another_map_index, REST, (FIRST, SECOND))
ANOTHER_RUN = Form("a reference from another run", from_another_run, REST)
A_STRING = Form("a string by REST", content(PLANTED), REST, (*EXCLUSIVE, PLAIN))
NULL = Form("null", content(None), SQL)
PLAIN_FORMS = [
    A_STRING,
    Form("a string by SQL", content(PLANTED), SQL, (*EXCLUSIVE, PLAIN)),
    Form("a dict", content({"left": PLANTED, "right": PLANTED}), REST, (*EXCLUSIVE, PLAIN)),
    Form("a value that looks escaped", content({"__exclusive__": "plain", "value": PLANTED}), SQL),
    NULL,
]
FORMS = [
    ANOTHER_MAP_INDEX,
    SWAPPED_MAP_INDEXES,
    ANOTHER_RUN,
    ANOTHER_TASK := Form("a reference from another task", from_another_task, SQL),
    ANOTHER_KEY := Form("a reference from another key", from_another_key, REST),
    SEALED := Form("a text sealed to the public key", to_the_public_key(text), REST),
    Form("a text sealed to the public key and handed to the API server", handed_in, REST),
    A_MADE_UP_KEY := Form("a made-up key", under_a_made_up_key(text), REST),
    Form("an answer beside the reference", with_its_answer(text), SQL),
    Form("a pickle sealed to the public key", to_the_public_key(bomb), SQL),
    Form("a pickle under a made-up key", under_a_made_up_key(bomb), SQL),
    A_PICKLE := Form("a pickle with an answer beside the reference", with_its_answer(bomb), REST),
    *PLAIN_FORMS,
]
ARGUMENT_ROUNDS = [
    {
        "take_expanded": ANOTHER_MAP_INDEX,
        "take_scalar": ANOTHER_RUN,
        "take_side": SEALED,
        "take_half": A_STRING,
        "take_plain": A_STRING,
    },
    {"take_expanded": A_PICKLE, "take_scalar": A_MADE_UP_KEY, "take_side": ANOTHER_TASK, "take_half": ANOTHER_KEY},
    {"take_expanded": A_STRING, "take_scalar": A_PICKLE, "take_side": NULL, "take_half": ANOTHER_RUN},
]
"""What is planted at the same time for the tasks that take arguments: for each its own coordinate."""

KNOWN_LIMITS = {
    # Neither the worker nor the API server is told which map index an item of a lazy sequence stands for.
    "a lazy sequence cannot tell another map index of the same output": [
        (form, read, "substituted") for form in (ANOTHER_MAP_INDEX, SWAPPED_MAP_INDEXES) for read in LAZY_READS
    ],
    # Where both the pull and the scope admit other runs, a row of another run is what was asked for.
    "a pull with prior dates cannot tell which run a value is from that any run may read": [
        (ANOTHER_RUN, "any run with prior dates", "substituted")
    ],
    # The reader's process has not read that Dag's file, so it does not know what is exclusive there.
    "a reader in another Dag cannot tell that a plain value belongs to an exclusive task": [
        (form, read, "substituted" if form is NULL else "planted") for form in PLAIN_FORMS for read in PULLS_ABROAD
    ],
}
LIMITED = [(form, read) for cases in KNOWN_LIMITS.values() for form, read, _ in cases]
PLANTED_READS = [(form, read) for form in FORMS for read, target in READS.items() if target in form.targets]


def name_of(case: Any) -> str:
    return case.name if isinstance(case, Form) else str(case)


@pytest.fixture(scope="module")
def canary_file(tmp_path_factory) -> Path:
    """The file that the bomb leaves where it goes off."""
    return tmp_path_factory.mktemp("planter") / "a-pickle-was-loaded"


class Bomb:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self._path,)


class Readers:
    """
    The two tasks called ``reader``, which wait for calls.

    :param folders: where each of them does.
    """

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders
        self._numbers = count()

    def read(self) -> dict[str, str]:
        """Let them read everything, and return the outcome of each read."""
        number = self._call("read")
        answers = [folder / f"{number}.told" for folder in self._folders]
        wait_until(lambda: all(a.exists() for a in answers), servers=[], timeout=60, what="the readers to answer")
        return {read: outcome for answer in answers for read, outcome in json.loads(answer.read_text()).items()}

    def end(self) -> None:
        self._call("end")

    def _call(self, word: str) -> int:
        number = next(self._numbers)
        for folder in self._folders:
            (folder / "unfinished-call").write_text(word)
            (folder / "unfinished-call").rename(folder / f"{number}.call")
        return number


@dataclass(frozen=True, slots=True)
class Attack:
    """
    How it went.

    :param before: the outcome of each read before anything was planted.
    :param outcomes: by form, the outcome of each read: a verdict, or the class of the error.
    """

    attacker: Attacker
    before: dict[str, str]
    outcomes: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def attack(hardened, key_pair, canary_file, tmp_path_factory) -> Iterator[Attack]:
    """Every form was planted and the readers have read; then they ended."""
    folders = [tmp_path_factory.mktemp(name) for name in (DAG, ABROAD)]
    run_id = hardened.trigger(DAG, conf={"calls": str(folders[0])})
    another_run = hardened.run(DAG)
    run_abroad = hardened.trigger(ABROAD, conf={"run_id": run_id, "calls": str(folders[1])})
    readers = Readers(folders)
    before = readers.read()
    rows, others = (
        {at(row): row for row in hardened.xcom_rows(dag_id=DAG, run_id=run)} for run in (run_id, another_run)
    )
    with httpx.Client(base_url=hardened.url, trust_env=False, timeout=30) as rest:
        token = rest.get("/auth/token").raise_for_status().json()["access_token"]
        rest.headers["Authorization"] = f"Bearer {token}"
        public_key = keyring.parse_key(key_pair.public, option="test")
        attacker = Attacker(hardened, run_id, public_key, pickle.dumps(Bomb(canary_file)), rows, others, rest)
        outcomes = {}
        for form in FORMS:
            with attacker.planting(dict.fromkeys(form.targets, form)):
                outcomes[form.name] = readers.read()
        readers.end()
        hardened.wait(DAG, run_id)
        hardened.wait(ABROAD, run_abroad)
        yield Attack(attacker, before, outcomes)


def at(row: XComRow) -> Coordinate:
    return row.task_id, row.map_index, row.key


@dataclass(frozen=True, slots=True)
class LastTry:
    """
    What the last try of a task that takes an argument came to.

    :param outcome: the verdict that it printed, the class of the error that it ended with, or "nothing".
    """

    number: int
    state: str
    outcome: str


def last_try(stack: AirflowStack, run_id: str, task_id: str, map_index: int = -1) -> LastTry:
    (task,) = [
        task
        for task in stack.api.task_instances(DAG, run_id)
        if (task["task_id"], task["map_index"]) == (task_id, map_index)
    ]
    folder = stack.home / "logs" / f"dag_id={DAG}" / f"run_id={run_id}" / f"task_id={task_id}"
    folder = folder / f"map_index={map_index}" if map_index >= 0 else folder
    lines = (folder / f"attempt={task['try_number']}.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    printed = [json.loads(entry["event"])["outcome"] for entry in entries if '{"outcome"' in str(entry.get("event"))]
    errors = [error["exc_type"] for entry in entries for error in entry.get("error_detail", [])]
    return LastTry(task["try_number"], task["state"], [*printed, *errors, "nothing"][0])


@pytest.fixture(scope="module")
def taken(attack) -> dict[tuple[str, str], LastTry]:
    """By form and task, how the task fared that took a planted row as its argument."""
    stack, run_id = attack.attacker.stack, attack.attacker.run_id
    found = {}
    for forms in ARGUMENT_ROUNDS:
        planted = {ARGUMENTS[task_id]: form for task_id, form in forms.items()}
        with attack.attacker.planting(planted):
            stack.clear(DAG, run_id, list(forms), downstream=False)
            stack.wait(DAG, run_id)
        for task_id, form in forms.items():
            map_index = 1 if task_id == "take_expanded" else -1
            found[form.name, task_id] = last_try(stack, run_id, task_id, map_index)
    return found


@pytest.mark.parametrize(("form", "read"), [case for case in PLANTED_READS if case not in LIMITED], ids=name_of)
def test_what_was_planted_is_refused(attack, form, read):
    # Where other runs will do, a reference of one is held against its scope, which says "the same run".
    is_out_of_scope = (form, read) == (ANOTHER_RUN, "return value with prior dates")

    assert attack.outcomes[form.name][read] == ("AccessDeniedError" if is_out_of_scope else "EnvelopeError")


@pytest.mark.parametrize(
    ("form", "task_id"),
    [
        (form, task_id)
        for forms in ARGUMENT_ROUNDS
        for task_id, form in forms.items()
        if form is not ANOTHER_MAP_INDEX and task_id != "take_plain"
    ],
    ids=name_of,
)
def test_what_was_planted_reaches_nobody_as_a_taskflow_argument(taken, form, task_id):
    outcome = taken[form.name, task_id]

    assert (outcome.state, outcome.outcome) == ("failed", "EnvelopeError")


def test_no_planted_pickle_was_loaded(attack, taken, canary_file):
    assert not canary_file.exists()


def test_the_pickle_would_have_left_its_mark(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "mark")))

    assert (tmp_path / "mark").exists()


def test_the_private_key_opens_what_was_forged(attack, key_pair):
    ring = keyring.Keyring.from_raw_keys([keyring.parse_key(key_pair.private, option="test")])
    forgery = Reference.from_row(to_the_public_key(text)(attack.attacker, SCALAR))

    secret = ring.open_secret(forgery.sealed, key_id=forgery.key_id, context=forgery.context())
    assert MsgpackCodec().decode(secret) == PLANTED


@pytest.mark.parametrize("path", LOOKALIKES)
def test_the_api_server_wraps_no_secret_for_a_user(attack, path):
    sealed = to_the_public_key(text)(attack.attacker, SCALAR)

    answer = attack.attacker.rest.post(path, json=sealed)

    assert answer.is_client_error
    assert list(wrapped_rows(answer.json())) == []


@pytest.mark.parametrize("limit", KNOWN_LIMITS)
def test_a_known_limit_is_still_one(attack, limit):
    cases = KNOWN_LIMITS[limit]

    assert [attack.outcomes[form.name][read] for form, read, _ in cases] == [outcome for *_, outcome in cases]


def test_an_expanded_argument_is_a_lazy_item_and_has_its_limit(taken):
    outcome = taken[ANOTHER_MAP_INDEX.name, "take_expanded"]

    assert (outcome.state, outcome.outcome) == ("success", "substituted")


def test_a_plain_value_planted_in_a_plain_row_is_read(attack, taken):
    assert attack.outcomes[A_STRING.name]["plain"] == "planted"
    assert taken[A_STRING.name, "take_plain"].outcome == "planted"


def test_every_read_is_intact_where_nothing_was_planted(attack):
    assert attack.before == dict.fromkeys([*READS, "plain"], "intact")
    bystanders = {
        (form.name, read): attack.outcomes[form.name][read]
        for form in FORMS
        for read in READS
        if (form, read) not in PLANTED_READS
    }
    assert bystanders
    assert set(bystanders.values()) == {"intact"}


HAMMER_SECONDS = 0.01
"""Between two writes. Without a pause the producer's own write hits one so often that it may fail in every try."""


@contextmanager
def hammering(attacker: Attacker, plant: Callable, forms: list[Form]) -> Iterator[Counter]:
    """Plant at ``RACED`` again and again; yields how often it succeeded and failed."""
    contents = cycle([form.make(attacker, RACED) for form in forms])
    done, tally = Event(), Counter()

    def hammer() -> None:
        while not done.wait(HAMMER_SECONDS):
            tally[plant(attacker, RACED, next(contents))] += 1

    thread = Thread(target=hammer)
    thread.start()
    try:
        yield tally
    finally:
        done.set()
        thread.join()


def was_planted_by_rest(attacker: Attacker, target: Coordinate, planted: Any) -> bool:
    return attacker.try_by_rest(target, planted).is_success


def was_planted_by_sql(attacker: Attacker, target: Coordinate, planted: Any) -> bool:
    try:
        attacker.plant_by_sql(target, planted)
    except LookupError:
        return False  # the row is gone while the producer runs
    return True


@pytest.mark.parametrize("plant", [was_planted_by_rest, was_planted_by_sql])
def test_a_write_that_races_the_producers_push_never_wins(attack, plant):
    attacker = attack.attacker
    stack, run_id = attacker.stack, attacker.run_id

    with hammering(attacker, plant, [A_STRING, SEALED, ANOTHER_TASK]) as tally:
        stack.clear(DAG, run_id, ["raced"])
        stack.wait(DAG, run_id)

    producer, consumer = last_try(stack, run_id, "raced"), last_try(stack, run_id, "take_raced")
    assert tally[True] > 10
    assert (producer.state, producer.outcome) == ("success", "nothing")
    assert (consumer.state, consumer.outcome) in [
        ("success", f"written in try {producer.number}"),
        ("failed", "EnvelopeError"),
    ]


def test_an_old_reference_is_refused_until_the_producer_is_cleared(attack):
    attacker = attack.attacker
    stack, run_id = attacker.stack, attacker.run_id
    numbers = []
    for planted in (None, attacker.rows[RACED].value, None):
        if planted is not None:
            attacker.plant_by_sql(RACED, planted)
        clear_and_wait(stack, run_id, "raced" if planted is None else "take_raced")
        numbers.append(last_try(stack, run_id, "take_raced").outcome)
    last = last_try(stack, run_id, "raced").number

    # The value is small enough to ride in its reference, so it outlives the try that wrote it.
    assert numbers == [f"written in try {last - 1}", "AccessDeniedError", f"written in try {last}"]


def clear_and_wait(stack: AirflowStack, run_id: str, task_id: str) -> None:
    stack.clear(DAG, run_id, [task_id])
    stack.wait(DAG, run_id)
