"""Hand-over records and pointers: what is none, and what one says."""

import json
from dataclasses import replace

import pytest

from airflow_provider_exclusive.access.hand_over import (
    CONF_KEY,
    HandOver,
    NoHandOverLookup,
    Source,
    has_pointer,
    read_pointer,
    to_pointer,
)
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import ConsumerScope

TRIGGER = TaskIdentity("etl", "run-1", "hand_over", -1, "a try")
POINTER = {"dag_id": "etl", "run_id": "run-1", "task_id": "hand_over", "map_index": -1}
SOURCE = {
    "dag_id": "etl",
    "run_id": "run-1",
    "task_id": "extract",
    "key": "rows",
    "map_index": -1,
    "is_exclusive": True,
}
RECORD = {"dag_id": "reporting", "run_id": "child-1", "keys": {"rows": SOURCE}}


def reference(task="extract", key="rows", *, dag="etl", run="run-1", map_index=-1):
    producer = TaskIdentity(dag, run, task, map_index)
    return Reference(producer, key, ConsumerScope(), "json", 1)


def without(row, name):
    return {field: content for field, content in row.items() if field != name}


# --- what is no pointer


@pytest.mark.parametrize("conf", [None, {}, [], "exclusive", 7, {"rows": 3}, {"Exclusive": POINTER}, [CONF_KEY]])
def test_a_conf_without_our_key_points_nowhere(conf):
    assert read_pointer(conf) is None
    assert not has_pointer(conf) or conf == [CONF_KEY]


@pytest.mark.parametrize("written", [None, "", "etl", [POINTER], {}, {CONF_KEY: POINTER}, RECORD, 7, True])
def test_an_invalid_pointer_points_nowhere_but_is_seen(written):
    assert read_pointer({CONF_KEY: written}) is None
    assert has_pointer({CONF_KEY: written})


@pytest.mark.parametrize("name", POINTER)
def test_a_pointer_with_a_field_missing_points_nowhere(name):
    assert read_pointer({CONF_KEY: without(POINTER, name)}) is None


def test_a_pointer_with_a_field_too_many_points_nowhere():
    assert read_pointer({CONF_KEY: POINTER | {"key": "rows"}}) is None


@pytest.mark.parametrize("name", ["dag_id", "run_id", "task_id"])
@pytest.mark.parametrize("wrong", [None, 7, True, [], {}, b"etl", "", "a\x00b", "\ud800"])
def test_an_id_that_no_database_holds_points_nowhere(name, wrong):
    assert read_pointer({CONF_KEY: POINTER | {name: wrong}}) is None


@pytest.mark.parametrize("wrong", [None, True, False, "-1", 1.0, -2, 2**63, []])
def test_a_map_index_that_is_none_points_nowhere(wrong):
    assert read_pointer({CONF_KEY: POINTER | {"map_index": wrong}}) is None


# --- what is no record


@pytest.mark.parametrize(
    "record",
    [
        None, 7, "text", [], [RECORD], {}, POINTER, {"record": RECORD},
        RECORD | {"expires": None},
        *(without(RECORD, name) for name in RECORD),
        RECORD | {"dag_id": 7}, RECORD | {"run_id": None}, RECORD | {"keys": None}, RECORD | {"keys": [SOURCE]},
        RECORD | {"keys": {7: SOURCE}},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_record_is_refused(record):
    with pytest.raises((TypeError, ValueError)):
        HandOver.from_record(record, trigger=TRIGGER)


@pytest.mark.parametrize(
    "source",
    [
        None, "rows", [], {}, SOURCE | {"extra": 1},
        *(without(SOURCE, name) for name in SOURCE),
        *(SOURCE | {name: 7} for name in ("dag_id", "run_id", "task_id", "key")),
        *(SOURCE | {"map_index": index} for index in (True, "0", -2, 1.0, 2**63)),
        *(SOURCE | {"is_exclusive": word} for word in (None, 1, "true")),
    ],
    ids=repr,
)  # fmt: skip
def test_a_record_with_one_bad_entry_is_none(source):
    with pytest.raises((TypeError, ValueError)):
        HandOver.from_record(RECORD | {"keys": {"good": SOURCE, "bad": source}}, trigger=TRIGGER)


def test_where_nothing_is_known_no_run_was_handed_anything():
    assert NoHandOverLookup().find("reporting", "child-1") is None


# --- what a record does not cover


@pytest.mark.parametrize(
    "other",
    [
        reference(dag="other"),
        reference(run="run-2"),
        reference("extract2"),
        reference(key="frame"),
        reference(key="Rows"),
        reference(map_index=0),
    ],
    ids=str,
)
def test_another_output_is_not_covered(other):
    assert not HandOver.from_record(RECORD, trigger=TRIGGER).covers(other)


def test_one_map_index_is_not_the_next():
    one = Source(Coordinate("etl", "run-1", "extract", 1, "rows"), is_exclusive=True)
    assert [one.at.covers(reference(map_index=index).coordinate) for index in (-1, 0, 1, 2)] == [
        False,
        False,
        True,
        False,
    ]


def test_a_record_without_keys_covers_nothing():
    assert not HandOver.from_record(RECORD | {"keys": {}}, trigger=TRIGGER).covers(reference())


@pytest.mark.parametrize("run", [("reporting", "child-2"), ("etl", "child-1"), ("Reporting", "child-1"), ("", "")])
def test_a_record_is_for_no_other_run(run):
    assert not HandOver.from_record(RECORD, trigger=TRIGGER).is_for(*run)


# --- what they say


@pytest.mark.parametrize("map_index", [-1, 0, 7])
def test_a_pointer_leads_back_to_its_trigger_task_in_any_try(map_index):
    trigger = TaskIdentity("etl", "run-1", "hand_over", map_index, "a try")
    conf = json.loads(json.dumps({"rows": 3, CONF_KEY: to_pointer(trigger)}))

    assert read_pointer(conf) == TaskIdentity("etl", "run-1", "hand_over", map_index)
    assert has_pointer(conf)


def test_a_pointer_holds_only_coordinates():
    assert to_pointer(TRIGGER) == POINTER


@pytest.mark.parametrize("map_index", [None, -1, 3])
@pytest.mark.parametrize("is_exclusive", [True, False])
@pytest.mark.parametrize("key", ["größe", "k" * 512])
def test_a_record_comes_back_as_it_was_through_json(map_index, is_exclusive, key):
    source = Source(Coordinate("etl", "run-1", "extract", map_index, key), is_exclusive=is_exclusive)
    written = HandOver(TRIGGER, "reporting", "child-1", {"rows": source, "": source})

    read = HandOver.from_record(json.loads(json.dumps(written.to_record())), trigger=TRIGGER)

    assert read == written
    assert read.is_for("reporting", "child-1")


def test_an_entry_covers_its_output_whatever_its_name():
    assert HandOver.from_record(RECORD, trigger=TRIGGER).covers(reference())


def test_one_entry_covers_all_map_indexes():
    every = Source(Coordinate("etl", "run-1", "extract", None, "rows"), is_exclusive=True)
    assert all(every.at.covers(reference(map_index=index).coordinate) for index in (-1, 0, 1, 999))


def test_an_entry_reads_well():
    assert str(HandOver.from_record(RECORD, trigger=TRIGGER).sources["rows"].at) == "'rows' of etl.extract (run run-1)"


class TestLazily:
    def read(self, *, lazily=True, **rows):
        written = {name: Source(at, is_exclusive=True).to_row() for name, at in rows.items()}
        record = {"dag_id": "reporting", "run_id": "child-1", "keys": written}
        return HandOver.from_record(record, trigger=TRIGGER, lazily=lazily)

    @pytest.mark.parametrize("lazily", [True, False])
    def test_it_covers_what_was_handed_over(self, put, lazily):
        reference = put()
        at = reference.coordinate
        assert self.read(rows=at, lazily=lazily).covers(reference)
        assert self.read(other=replace(at, key="other"), rows=replace(at, map_index=None), lazily=lazily).covers(
            reference
        )
        for name, other in {"dag_id": "x", "run_id": "x", "task_id": "x", "map_index": 3, "key": "x"}.items():
            assert not self.read(rows=replace(at, **{name: other}), lazily=lazily).covers(reference)

    def test_its_outputs_are_those_of_the_record(self, put):
        at = put().coordinate
        assert dict(self.read(rows=at).sources) == self.read(rows=at, lazily=False).sources
        assert len(self.read(rows=at, more=at).sources) == 2

    @pytest.mark.parametrize("row", [None, [], "x", {}, {"task_id": "extract"}, {"task_id": ["extract"]}])
    def test_what_is_no_output_hands_nothing_over(self, put, row):
        hand_over = HandOver.from_record(
            {"dag_id": "reporting", "run_id": "child-1", "keys": {"rows": row}}, trigger=TRIGGER, lazily=True
        )
        assert not hand_over.covers(put())

    def test_a_key_with_percent_signs_is_found(self, put):
        reference = put(key="a%2Fb")
        for key, is_covered in {"a%2Fb": True, "a/b": True, "a%252Fb": False, "a": False}.items():
            at = replace(reference.coordinate, key=key, map_index=None)
            assert self.read(rows=at).covers(reference) is is_covered

    def test_an_invalid_output_hides_no_other(self, put):
        written = {"bad": {"task_id": "extract"}, "good": Source(put().coordinate, is_exclusive=True).to_row()}
        record = {"dag_id": "reporting", "run_id": "child-1", "keys": written}
        assert HandOver.from_record(record, trigger=TRIGGER, lazily=True).covers(put())

    def test_many_map_indexes_read_each_output_once(self, put, producer, mocker):
        at = put().coordinate
        others = {f"other {n}": replace(at, key=f"{n}") for n in range(50)}
        hand_over = self.read(**others, rows=replace(at, map_index=None))
        read = mocker.spy(Source, "from_row")
        assert all(hand_over.covers(put(producer=replace(producer, map_index=index))) for index in range(20))
        assert read.call_count == 51
