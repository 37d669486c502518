import json
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
    holds_sealed_key,
    is_escaped,
    is_reference_row,
)
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope
from tests.rows import with_field

REFERENCE = Reference(
    producer=TaskIdentity("etl", "run-1", "extract", 3, "0193b1a2"),
    key="frame",
    scope=ConsumerScope((Clause("etl", "load", "run-1"), Clause("reporting", "*", None))),
    codec="arrow",
    size=8002552,
    length=100000,
    created_at="2026-11-20T10:00:00.000000Z",
    expires_at="2026-12-20T10:00:00.000000Z",
    at="memory:v1/etl/extract/x/y",
    key_id="3f9c",
    wrapped_key=bytes(60),
)
ROW = REFERENCE.to_row()
NESTED = []
for _ in range(100_000):
    NESTED = [NESTED]


def refused(row):
    with pytest.raises(EnvelopeError) as refusal:
        Reference.from_row(row)
    return type(refusal.value) is EnvelopeError


# --- versions


@pytest.mark.parametrize(
    "version",
    [0, 2, -1, "1", True, False, 1.0, None, [], [1], {}, "plain", float("nan"), 10**5000, NESTED],
    ids=lambda version: type(version).__name__,  # Python refuses to print some of them
)
def test_another_version_is_refused_by_its_own_error(version):
    with pytest.raises(UnsupportedReferenceError, match="Upgrade the reader, or clear and re-run the producer task"):
        Reference.from_row(ROW | {MARKER: version})


@pytest.mark.parametrize("row", [None, 1, "text", [], [MARKER], {}, {"other": 1}, ()])
def test_what_is_no_reference_at_all_is_refused(row):
    with pytest.raises(UnsupportedReferenceError):
        Reference.from_row(row)


def test_the_version_found_is_named():
    with pytest.raises(UnsupportedReferenceError, match=r"of version 2; this release .* reads version 1"):
        Reference.from_row(ROW | {MARKER: 2})


def test_a_value_in_the_place_of_the_version_is_not_repeated():
    with pytest.raises(UnsupportedReferenceError) as refusal:
        Reference.from_row({MARKER: "a secret of somebody"})
    assert "secret" not in str(refusal.value)


# --- fields

PATHS = [(name,) for name in ROW if name != MARKER]
PATHS += [("producer", name) for name in ROW["producer"]]
PATHS += [("consumers", 0, name) for name in ROW["consumers"][0]]
WRONG = [True, 1.0, float("nan"), [], {}, ["x"], {"x": 1}, b"x", NESTED, 10**5000, -(2**63)]
TEXTS = {("codec",), ("at",), ("key_id",), ("producer", "dag_id"), ("producer", "key"), ("producer", "run_id")}
TEXTS |= {("producer", "task_id"), ("consumers", 0, "dag_id"), ("consumers", 0, "task_id")}
NUMBERS = {("size",), ("producer", "map_index")}


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_field_of_a_wrong_type_is_refused(path):
    # An empty list of consumers is a denial, and well-formed.
    wrong = [value for value in WRONG if not (path == ("consumers",) and value == [])]
    assert all(refused(with_field(ROW, path, value)) for value in wrong)


@pytest.mark.parametrize("path", sorted(TEXTS) + sorted(NUMBERS) + [("created_at",), ("wrapped_key",)], ids=str)
def test_a_field_that_must_be_there_cannot_be_null(path):
    assert refused(with_field(ROW, path, None))


@pytest.mark.parametrize("path", [*sorted(NUMBERS), ("length",)], ids=str)
@pytest.mark.parametrize("number", ["1", "", 2**63, -2])
def test_a_number_is_a_whole_number_of_64_bits(path, number):
    assert refused(with_field(ROW, path, number))


@pytest.mark.parametrize("path", [("size",), ("length",)], ids=str)
def test_a_size_is_not_negative(path):
    assert refused(with_field(ROW, path, -1))


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_missing_field_is_refused(path):
    row = with_field(ROW, path, None)
    at = row
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    assert refused(row)


@pytest.mark.parametrize("path", [("extra",), ("producer", "extra"), ("consumers", 0, "extra")], ids=str)
def test_an_extra_field_is_refused(path):
    assert refused(with_field(ROW, path, None))


def test_a_payload_in_two_places_is_refused():
    assert refused(ROW | {"inline": "AAAA"})


@pytest.mark.parametrize("consumers", ["", "**", "load", None, {}, [None], ["load"], [[]], ["*"], [ROW["producer"]]])
def test_a_malformed_scope_is_refused(consumers):
    assert refused(with_field(ROW, ("consumers",), consumers))


CLAUSE = ROW["consumers"][0]


@pytest.mark.parametrize(
    "consumers",
    [
        "caller", [CLAUSE, "caller"], ["caller", "caller"], ["caller", "*"], ["*", "caller"], ["Caller"], [["caller"]],
        [{"caller": True}], ["caller", None], [None, "caller"], ["caller ", CLAUSE], ["caller", CLAUSE, "caller"],
        {"caller": None},
    ],
    ids=repr,
)  # fmt: skip
def test_caller_stands_first_or_not_at_all(consumers):
    assert refused(with_field(ROW, ("consumers",), consumers))


def test_a_task_that_is_named_caller_is_not_the_caller():
    scope = Reference.from_row(with_field(ROW, ("consumers", 0, "task_id"), "caller")).scope
    assert not scope.admits_caller


def test_only_what_is_masked_in_logs_says_so():
    masked = replace(REFERENCE, is_masked=True)
    assert masked.to_row() == ROW | {"logs": "masked"}
    assert masked.context() != REFERENCE.context()
    assert Reference.from_row(masked.to_row()) == masked


@pytest.mark.parametrize("logs", [None, True, 1, "", "plain", ["masked"], {}])
def test_anything_else_about_logs_is_refused(logs):
    assert refused(ROW | {"logs": logs})


@pytest.mark.parametrize("clauses", [[], [CLAUSE], ROW["consumers"]])
def test_caller_is_read_and_written_back_as_it_was(clauses):
    row = with_field(ROW, ("consumers",), ["caller", *clauses])
    reference = Reference.from_row(row)
    assert reference.scope.admits_caller
    assert len(reference.scope.clauses) == len(clauses)
    assert reference.to_row() == row


@pytest.mark.parametrize(
    "moment",
    ["", "now", "2026-11-20", "2026-11-20T10:00:00", "2026-13-20T10:00:00Z", "\ud800", "2026-11-20T10:00:00ZZ"],
)
@pytest.mark.parametrize("field", ["created_at", "expires_at"])
def test_a_time_must_be_one_and_have_a_zone(field, moment):
    assert refused(with_field(ROW, (field,), moment))


# "AB==" and "AA==" name the same byte; only the second is canonical.
@pytest.mark.parametrize(
    "text",
    [
        "AB==",
        "AAB=",
        "AA",
        "AA=",
        "AAA",
        "A",
        "AA==\n",
        " AA==",
        "AA= =",
        "AA==AA==",
        "-_-_",
        "AAAA====",
        "=",
        "é",
        "\ud800",
    ],
)
@pytest.mark.parametrize("field", ["wrapped_key", "inline"])
def test_base64_must_be_canonical(field, text):
    row = dict(ROW)
    if field == "inline":
        del row["at"]
    assert refused(row | {field: text})


# --- round trips

NAMES = st.text(max_size=8)
BYTES = st.binary(max_size=8)
MOMENTS = st.sampled_from(["2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000001Z", "2027-01-01T00:00:00+01:00"])
LENGTHS = st.integers(0, 2**63 - 1)
CLAUSES = st.builds(Clause, NAMES, NAMES, st.none() | NAMES)
SCOPES = st.just(OPEN) | st.builds(ConsumerScope, st.lists(CLAUSES, max_size=3).map(tuple), admits_caller=st.booleans())
PRODUCERS = st.builds(TaskIdentity, NAMES, NAMES, NAMES, st.integers(-1, 2**63 - 1), st.none() | NAMES)
FIELDS = {
    "producer": PRODUCERS,
    "key": NAMES,
    "scope": SCOPES,
    "codec": NAMES,
    "size": LENGTHS,
    "length": st.none() | LENGTHS,
    "created_at": MOMENTS,
    "expires_at": st.none() | MOMENTS,
    "is_masked": st.booleans(),
    "key_id": NAMES,
    "wrapped_key": BYTES,
}
PLACES = st.tuples(st.none(), BYTES) | st.tuples(NAMES, st.none())


@st.composite
def references(draw):
    at, inline = draw(PLACES)
    return Reference(**draw(st.fixed_dictionaries(FIELDS)), at=at, inline=inline)


@settings(max_examples=100, deadline=None)
@given(reference=references())
def test_a_row_gives_back_the_reference_also_through_json(reference):
    row = reference.to_row()
    assert Reference.from_row(row) == reference
    for stored in (json.dumps(row), json.dumps(row, ensure_ascii=False), json.dumps(row, sort_keys=True)):
        read = Reference.from_row(json.loads(stored))
        assert read == reference
        assert read.context() == reference.context()


# --- the context

UNBOUND = {"key_id", "wrapped_key", "inline"}


def facts(reference):
    """Return everything of ``reference`` that its context must tell apart."""
    return tuple(getattr(reference, field.name) for field in fields(Reference) if field.name not in UNBOUND)


@settings(max_examples=100, deadline=None)
@given(one=references(), data=st.data())
def test_references_that_differ_never_share_a_context(one, data):
    name = data.draw(st.sampled_from(sorted(FIELDS)))
    other = replace(one, **{name: data.draw(FIELDS[name])})
    assert (one.context() == other.context()) == (facts(one) == facts(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"dag_id": "ab", "run_id": "c"}, {"dag_id": "a", "run_id": "bc"}),
        ({"task_id": "a\x00b"}, {"task_id": "a", "ti_id": "b"}),
        ({"ti_id": None}, {"ti_id": ""}),
        ({"ti_id": "1", "map_index": 1}, {"ti_id": "11", "map_index": 1}),
        ({"map_index": 1}, {"map_index": 11}),
        ({"dag_id": "\u00e9"}, {"dag_id": "e\u0301"}),
        ({"dag_id": "\ud800\udc00"}, {"dag_id": "\U00010000"}),
        ({"dag_id": "\ud800"}, {"dag_id": "?"}),
    ],
)
def test_look_alikes_have_contexts_of_their_own(one, other):
    assert (
        replace(REFERENCE, producer=replace(REFERENCE.producer, **one)).context()
        != replace(REFERENCE, producer=replace(REFERENCE.producer, **other)).context()
    )


def test_an_open_scope_is_neither_empty_nor_a_match_all_glob():
    scopes = [OPEN, ConsumerScope(), ConsumerScope((Clause("*", "*", None),)), ConsumerScope((Clause("", "*", None),))]
    scopes += [ConsumerScope(scope.clauses, admits_caller=True) for scope in scopes[1:]]
    assert len({replace(REFERENCE, scope=scope).context() for scope in scopes}) == len(scopes)


def test_admitting_the_caller_is_bound():
    caller = replace(REFERENCE, scope=replace(REFERENCE.scope, admits_caller=True))
    named = replace(REFERENCE, scope=ConsumerScope((Clause("etl", "caller", "run-1"), *REFERENCE.scope.clauses)))
    assert len({one.context() for one in (REFERENCE, caller, named)}) == 3


def test_clauses_do_not_flow_into_each_other():
    one = ConsumerScope((Clause("a", "b", "c"), Clause("d", "e", None)))
    other = ConsumerScope((Clause("a", "b", "c"),))
    swapped = ConsumerScope(tuple(reversed(one.clauses)))
    assert len({replace(REFERENCE, scope=scope).context() for scope in (one, other, swapped)}) == 3


def test_rewrapping_changes_nothing_that_is_bound():
    assert replace(REFERENCE, key_id="other", wrapped_key=b"other").context() == REFERENCE.context()


def test_inline_and_stored_are_told_apart():
    assert replace(REFERENCE, at=None, inline=b"x").context() != REFERENCE.context()


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


@pytest.mark.parametrize("row", [None, [MARKER, "sealed_key"], {}, {"sealed_key": ""}, ROW, escape({"sealed_key": ""})])
def test_a_row_without_a_sealed_key_holds_none(row):
    assert not holds_sealed_key(row)


def test_a_row_with_a_sealed_key_holds_it_whoever_wrote_it():
    assert holds_sealed_key({MARKER: None, "sealed_key": None})
    assert holds_sealed_key(replace(REFERENCE, wrapped_key=b"", sealed_key=bytes(112)).to_row())


def test_a_row_without_an_answer_is_read_as_it_was_stored():
    assert Reference.from_answer(ROW) == REFERENCE
    assert Reference.from_answer(ROW).answer is None


def test_an_answer_without_a_data_key_differs_from_no_answer():
    read = Reference.from_answer(REFERENCE.to_answer(ServerAnswer(None)))
    assert read.answer is not None
    assert read.answer.data_key is None
