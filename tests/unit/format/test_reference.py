"""A row is read strictly, comes back as it was, and binds everything that it says."""

import json
from base64 import b64decode, b64encode
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_exclusive.exceptions import EnvelopeError, UnsupportedReferenceError
from airflow_provider_exclusive.format.reference import (
    MARKER,
    Reference,
    ServerAnswer,
    escape,
    is_escaped,
    is_reference_row,
    to_answer,
    without_answer,
)
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope

TRY = "0193b1a2-7c4e-7d10-9a55-0d2f5c1e8b11"
REFERENCE = Reference(
    producer=TaskIdentity("etl", "run-1", "extract", 3, TRY),
    key="frame",
    scope=ConsumerScope((Clause("etl", "load", "run-1"), Clause("reporting", "*", None))),
    codec="arrow",
    size=8002552,
    expires_at="2026-12-20T10:00:00Z",
    store="memory",
    object_id=bytes(range(16)),
    key_id="3f9c" * 8,
    wrapped=bytes(48),
)
ROW = REFERENCE.to_row()
NESTED = []
for _ in range(100_000):
    NESTED = [NESTED]


def refused(row):
    with pytest.raises(EnvelopeError) as refusal:
        Reference.from_row(row)
    return type(refusal.value) is EnvelopeError


def with_bytes(edit):
    """Return the row with its sealed bytes edited."""
    content = bytearray(b64decode(ROW["sealed"]))
    edited = edit(content)
    return ROW | {"sealed": b64encode(content if edited is None else edited).decode()}


def test_a_row_says_what_a_person_wants_to_know():
    assert ROW[MARKER] == "v1: 8002552 B arrow in memory until 2026-12-20T10:00:00Z"
    assert ROW["consumers"] == "load, reporting:*"
    assert list(ROW) == [MARKER, "consumers", "sealed"]


# --- versions


@pytest.mark.parametrize(
    "version",
    [0, 1, True, 1.0, None, [], ["v1: "], {}, "plain", "v1", "v2: 1 B x in row", "v0: ", "1", float("nan"), 10**5000, NESTED],
    ids=lambda version: type(version).__name__,  # Python refuses to print some of them
)  # fmt: skip
def test_another_version_is_refused_by_its_own_error(version):
    with pytest.raises(UnsupportedReferenceError, match="Upgrade the reader, or clear and re-run the producer task"):
        Reference.from_row(ROW | {MARKER: version})


@pytest.mark.parametrize("row", [None, 1, "text", [], [MARKER], {}, {"other": 1}, ()])
def test_what_is_no_reference_at_all_is_refused(row):
    with pytest.raises(UnsupportedReferenceError):
        Reference.from_row(row)


def test_the_version_found_is_named():
    with pytest.raises(UnsupportedReferenceError, match=r"of version 2; this release .* reads version 1"):
        Reference.from_row(ROW | {MARKER: "v2: something"})


def test_a_value_in_the_place_of_the_version_is_not_repeated():
    with pytest.raises(UnsupportedReferenceError) as refusal:
        Reference.from_row({MARKER: "a secret of somebody"})
    assert "secret" not in str(refusal.value)


# --- fields


@pytest.mark.parametrize("name", ["consumers", "sealed"])
@pytest.mark.parametrize(
    "part", [True, 1, 1.0, None, [], {}, ["load"], b"x", NESTED, 10**5000], ids=lambda part: type(part).__name__
)
def test_a_field_of_a_wrong_type_is_refused(name, part):
    assert refused(ROW | {name: part})


@pytest.mark.parametrize("name", ["consumers", "sealed"])
def test_a_missing_field_is_refused(name):
    assert refused({other: part for other, part in ROW.items() if other != name})


@pytest.mark.parametrize("name", ["extra", "opened", "not_opened", "value", "inline", "wrapped_key"])
def test_an_extra_field_is_refused(name):
    assert refused(ROW | {name: "x"})


@pytest.mark.parametrize("length", range(len(b64decode(ROW["sealed"])) - 48))
def test_a_reference_that_is_cut_is_refused(length):
    assert refused(with_bytes(lambda content: content[:length]))


@pytest.mark.parametrize("kind", [2, 3, 127, 255])
def test_an_unknown_protection_is_refused(kind):
    def edit(content):
        content[0] = kind

    assert refused(with_bytes(edit))


@pytest.mark.parametrize("index", [-2, -(2**31)])
def test_a_map_index_is_at_least_minus_one(index):
    def edit(content):
        content[33:37] = index.to_bytes(4, "big", signed=True)

    assert refused(with_bytes(edit))


@pytest.mark.parametrize("length", [0, 1, 17, 200, 65535])
def test_names_that_end_elsewhere_are_refused(length):
    def edit(content):
        content[37:39] = length.to_bytes(2, "big")

    assert refused(with_bytes(edit))


@pytest.mark.parametrize(
    "text",
    ["AB==", "AAB=", "AA", "AA=", "AAA", "A", "AA==\n", " AA==", "AA= =", "AA==AA==", "-_-_", "AAAA====", "=", "é", "\ud800", ""],
)  # fmt: skip
def test_base64_must_be_canonical(text):
    assert refused(ROW | {"sealed": text})


@pytest.mark.parametrize("text", ["\ud800", "load\ud800", "lo\0ad", "", "@caller, load"])
def test_a_malformed_scope_is_refused(text):
    assert refused(ROW | {"consumers": text})


# --- what cannot be written


@pytest.mark.parametrize(
    "change",
    [
        {"object_id": b""}, {"object_id": bytes(15)}, {"store": None}, {"key_id": ""}, {"key_id": "3f9c"}, {"key_id": "x" * 32},
        {"producer": replace(REFERENCE.producer, ti_id="0193b1a2")}, {"producer": replace(REFERENCE.producer, dag_id="a\0b")},
        {"scope": ConsumerScope((Clause("etl", "load", "run-2"),))}, {"scope": ConsumerScope((Clause("etl", "a, b", None),))},
    ],
    ids=lambda change: "-".join(change),
)  # fmt: skip
def test_what_no_row_can_hold_is_not_written(change):
    with pytest.raises(ValueError):
        replace(REFERENCE, **change).to_row()


# --- round trips

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\1"), min_size=1, max_size=8)
WORDS = st.sampled_from(["load", "caller", "*", "group.*", "lo?d", "größe"])
SCOPES = st.just(OPEN) | st.builds(
    ConsumerScope,
    st.lists(st.builds(Clause, st.sampled_from(["etl", "bi"]), WORDS, st.none()), max_size=3).map(tuple),
    admits_caller=st.booleans(),
)
TRIES = st.none() | st.uuids().filter(lambda try_: try_.int).map(str)
PRODUCERS = st.builds(TaskIdentity, NAMES, NAMES, NAMES, st.integers(-1, 2**31 - 1), TRIES)
FIELDS = {
    "producer": PRODUCERS,
    "key": NAMES,
    "scope": SCOPES,
    "codec": st.sampled_from(["arrow", "msgpack", "hand-over"]),
    "size": st.integers(0, 2**63 - 1),
    "expires_at": st.none() | st.sampled_from(["2026-11-20T10:00:00Z", "2027-01-01T00:00:00Z"]),
    "is_masked": st.booleans(),
    "key_id": st.binary(min_size=16, max_size=16).map(bytes.hex),
}
PLACES = st.tuples(st.none(), st.just(b"")) | st.tuples(
    st.sampled_from(["redis", "files"]), st.binary(min_size=16, max_size=16)
)
LOCKS = st.tuples(st.binary(max_size=60), st.none()) | st.tuples(st.just(b""), st.binary(max_size=60))


@st.composite
def references(draw):
    store, object_id = draw(PLACES)
    wrapped, sealed = draw(LOCKS)
    known = draw(st.fixed_dictionaries(FIELDS))
    return Reference(**known, store=store, object_id=object_id, wrapped=wrapped, sealed=sealed)


@settings(max_examples=200, deadline=None)
@given(reference=references())
def test_a_row_gives_back_the_reference_also_through_json(reference):
    row = reference.to_row()
    assert Reference.from_row(row) == reference
    for stored in (json.dumps(row), json.dumps(row, ensure_ascii=False), json.dumps(row, sort_keys=True)):
        read = Reference.from_row(json.loads(stored))
        assert read == reference
        assert read.context() == reference.context()
        assert read.to_row() == row


def test_a_changed_copy_of_what_was_read_binds_the_change():
    read = Reference.from_row(ROW)
    changed = replace(read, key="other")
    assert read.context() == REFERENCE.context()
    assert changed.context() == replace(REFERENCE, key="other").context() != read.context()


# --- the context

UNBOUND = {"key_id", "wrapped", "sealed"}


def facts(reference):
    """Return everything of ``reference`` that its context must tell apart."""
    return tuple(
        getattr(reference, field.name) for field in fields(Reference) if field.compare and field.name not in UNBOUND
    )


@settings(max_examples=200, deadline=None)
@given(one=references(), data=st.data())
def test_references_that_differ_never_share_a_context(one, data):
    name = data.draw(st.sampled_from(sorted(FIELDS)))
    other = replace(one, **{name: data.draw(FIELDS[name])})
    assert (one.context() == other.context()) == (facts(one) == facts(other))


@settings(max_examples=200, deadline=None)
@given(one=references(), other=references())
def test_two_references_never_share_a_context(one, other):
    assert (one.context() == other.context()) == (facts(one) == facts(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"dag_id": "ab", "run_id": "c"}, {"dag_id": "a", "run_id": "bc"}),
        ({"ti_id": None}, {"ti_id": "00000000-0000-0000-0000-000000000001"}),
        ({"map_index": 1}, {"map_index": 11}),
        ({"map_index": -1}, {"map_index": 0}),
        ({"dag_id": "\u00e9"}, {"dag_id": "e\u0301"}),
        ({"run_id": "manual__2026-11-20T10:00:00+00:00"}, {"run_id": "manual__2026-11-20T10:00:00.000000+00:00"}),
        ({"run_id": "manual__2026-11-20T10:00:00+00:00"}, {"run_id": "scheduled__2026-11-20T10:00:00+00:00"}),
    ],
)
def test_look_alikes_have_contexts_of_their_own(one, other):
    assert (
        replace(REFERENCE, producer=replace(REFERENCE.producer, **one), scope=OPEN).context()
        != replace(REFERENCE, producer=replace(REFERENCE.producer, **other), scope=OPEN).context()
    )


def test_an_open_scope_is_neither_empty_nor_a_match_all_glob():
    scopes = [
        OPEN,
        ConsumerScope(),
        ConsumerScope((Clause("etl", "*", None),)),
        ConsumerScope((Clause("etl", "*", "run-1"),)),
    ]
    scopes += [ConsumerScope(scope.clauses, admits_caller=True) for scope in scopes[1:]]
    assert len({replace(REFERENCE, scope=scope).context() for scope in scopes}) == len(scopes)


def test_a_task_that_is_named_caller_is_not_the_caller():
    named = replace(REFERENCE, scope=ConsumerScope((Clause("etl", "caller", "run-1"),)))
    caller = replace(REFERENCE, scope=ConsumerScope(admits_caller=True))
    assert not Reference.from_row(named.to_row()).scope.admits_caller
    assert Reference.from_row(caller.to_row()).scope.admits_caller
    assert len({one.context() for one in (REFERENCE, caller, named)}) == 3


def test_the_order_of_clauses_is_bound():
    swapped = ConsumerScope(tuple(reversed(REFERENCE.scope.clauses)))
    assert replace(REFERENCE, scope=swapped).context() != REFERENCE.context()


def test_only_what_is_masked_in_logs_says_so():
    masked = replace(REFERENCE, is_masked=True)
    assert masked.to_row()[MARKER] == f"{ROW[MARKER]} masked"
    assert masked.context() != REFERENCE.context()
    assert Reference.from_row(masked.to_row()) == masked


def test_rewrapping_changes_nothing_that_is_bound():
    assert replace(REFERENCE, key_id="ab" * 16, wrapped=b"other").context() == REFERENCE.context()


def test_a_row_and_a_store_are_told_apart():
    assert replace(REFERENCE, store=None, object_id=b"").context() != REFERENCE.context()


# --- a user's own value that looks like a reference

LOOK_ALIKES = [{MARKER: 1}, {MARKER: "plain"}, {MARKER: "plain", "value": 7}, ROW, escape(ROW), escape(escape({}))]


@pytest.mark.parametrize("value", LOOK_ALIKES)
def test_an_escaped_value_is_no_reference_and_comes_back(value):
    row = json.loads(json.dumps(escape(value)))
    with pytest.raises(UnsupportedReferenceError):
        Reference.from_row(row)
    assert is_escaped(row)
    assert row["value"] == value


@pytest.mark.parametrize(
    "row", [ROW, {MARKER: "plain"}, {MARKER: "plain", "value": 1, "x": 2}, {"value": 1}, {MARKER: 1, "value": 1}, {}]
)
def test_what_escape_did_not_write_is_not_escaped(row):
    assert not is_escaped(row)


@pytest.mark.parametrize("row", [None, MARKER, [MARKER], 1, {}, {"x": {MARKER: 1}}])
def test_a_row_without_the_marker_is_no_reference_row(row):
    assert not is_reference_row(row)


@pytest.mark.parametrize("row", [ROW, {MARKER: None}, {MARKER: "plain"}])
def test_a_row_with_the_marker_is_one_whatever_it_holds(row):
    assert is_reference_row(row)


# --- what comes through the API server


def test_a_row_without_an_answer_is_read_as_it_was_stored():
    assert Reference.from_answer(ROW) == REFERENCE
    assert Reference.from_answer(ROW).answer is None


def test_an_answer_without_a_secret_differs_from_no_answer():
    read = Reference.from_answer(to_answer(ROW, ServerAnswer(None)))
    assert read.answer is not None
    assert read.answer.secret is None


@pytest.mark.parametrize(
    "answer", [ServerAnswer(b"key"), ServerAnswer(b""), ServerAnswer(None, "altered"), ServerAnswer(None)]
)
def test_an_answer_comes_back_with_its_reference(answer):
    row = json.loads(json.dumps(to_answer(ROW, answer)))
    assert Reference.from_answer(row) == replace(REFERENCE, answer=answer)
    assert without_answer(row) == ROW


@pytest.mark.parametrize("opened", [1, True, [], {}, "no base64", "AB==", b"x"], ids=repr)
def test_an_answer_in_another_form_names_the_releases(opened):
    with pytest.raises(EnvelopeError, match="Run the same release"):
        Reference.from_answer(ROW | {"opened": opened})


@pytest.mark.parametrize("reason", [1, [], {}, "x" * 251])
def test_a_reason_in_another_form_names_the_releases(reason):
    with pytest.raises(EnvelopeError, match="Run the same release"):
        Reference.from_answer(ROW | {"opened": None, "not_opened": reason})
