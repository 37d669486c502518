"""The hand-over record as it is stored: what does not open, and what comes back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver, Source
from airflow_provider_exclusive.access.hand_over_record import (
    MAX_RECORD_BYTES,
    check_record_row,
    open_record,
    seal_record,
)
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys, ServerDataKeys
from airflow_provider_exclusive.exceptions import (
    ConfigurationError,
    EnvelopeError,
    HandOverError,
    UnsupportedReferenceError,
)
from airflow_provider_exclusive.format import reference
from airflow_provider_exclusive.format.reference import Reference, ServerAnswer
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope

TRIGGER = TaskIdentity("etl", "run-1", "hand_over", -1, "0193b1a2-0000-7000-8000-000000000003")
ROWS = Source(Coordinate("etl", "run-1", "extract", -1, "rows"), is_exclusive=True)
HAND_OVER = HandOver(TRIGGER, "reporting", "child-1", {"rows": ROWS})


@pytest.fixture
def keys(ring):
    return LocalDataKeys(ring)


@pytest.fixture
def record(keys):
    return seal_record(HAND_OVER, producer=TRIGGER, keys=keys)


def seal(content: bytes, keys: LocalDataKeys, **change) -> Reference:
    """Seal anything as a record is sealed."""
    record = replace(seal_record(HAND_OVER, producer=TRIGGER, keys=keys), size=len(content), **change)
    return keys.protect(content, record)


@pytest.mark.parametrize(
    "change",
    [
        {"key": "return_value"},
        {"codec": "msgpack"},
        {"scope": ConsumerScope((Clause("etl", "load", None),))},
        {"scope": ConsumerScope()},
    ],
    ids=str,
)
def test_what_the_operator_does_not_write_is_refused(keys, change):
    genuine = json.dumps(HAND_OVER.to_record()).encode()
    with pytest.raises(EnvelopeError, match="not a valid hand-over record"):
        open_record(seal(genuine, keys, **change), keys=keys)


@pytest.mark.parametrize("change", [{"producer": replace(TRIGGER, task_id="other")}, {"size": 3}, {"key_id": "0" * 32}])
def test_an_edited_record_does_not_open(record, keys, change):
    with pytest.raises(EnvelopeError):
        open_record(replace(record, **change), keys=keys)


def test_a_record_that_is_stored_elsewhere_is_refused(keys):
    elsewhere = seal(b"d" * 32, keys, store="files", object_id=b"o" * 16)
    with pytest.raises(EnvelopeError, match="not a valid hand-over record"):
        open_record(elsewhere, keys=keys)


def test_an_altered_record_does_not_open(record, keys):
    for position in range(len(record.wrapped)):
        altered = bytearray(record.wrapped)
        altered[position] ^= 1
        with pytest.raises(EnvelopeError):
            open_record(replace(record, wrapped=bytes(altered)), keys=keys)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"null", b"[]", b"{}", b"[" * 100_000], ids=repr)
def test_what_is_no_record_is_refused_and_names_the_cure(keys, content):
    with pytest.raises(EnvelopeError, match="Clear and re-run task 'hand_over' of that run"):
        open_record(seal(content, keys), keys=keys)


def test_a_sealed_key_that_nobody_accepted_is_refused(ring, keys):
    pushed = seal_record(HAND_OVER, producer=TRIGGER, keys=ServerDataKeys(ring.keys[0].public))
    with pytest.raises(EnvelopeError):
        open_record(pushed, keys=keys)


def test_a_worker_without_key_needs_the_server(ring, record):
    with pytest.raises(ConfigurationError, match="holds no private key"):
        open_record(record, keys=ServerDataKeys(ring.keys[0].public))


def test_a_worker_opens_it_with_the_key_that_it_was_given(ring, keys, record):
    answered = replace(record, answer=ServerAnswer(keys.recover(record)))
    assert open_record(answered, keys=ServerDataKeys(ring.keys[0].public)) == HAND_OVER


def test_it_comes_back_and_says_whose_it_is(record, keys):
    opened = open_record(record, keys=keys)
    assert (opened, opened.trigger) == (HAND_OVER, TRIGGER)


def test_it_is_stored_in_its_row_and_open_to_everybody(record):
    row = json.loads(json.dumps(record.to_row()))
    assert Reference.from_row(row) == record
    assert (record.key, record.scope, record.store, record.expires_at) == (RECORD_KEY, OPEN, None, None)


class TestBounds:
    def many(self, count):
        return replace(HAND_OVER, sources={f"output_{number}": ROWS for number in range(count)})

    def test_a_record_of_very_many_outputs_is_not_written(self, keys):
        with pytest.raises(HandOverError, match=r"'hand_over' hands over 2,000 outputs.* at most 131,072.* in a dict"):
            seal_record(self.many(2_000), producer=TRIGGER, keys=keys)

    def test_one_that_somebody_else_sealed_is_not_read(self, keys):
        content = json.dumps(self.many(2_000).to_record()).encode()
        assert len(content) > MAX_RECORD_BYTES
        with pytest.raises(EnvelopeError, match="not a valid hand-over record"):
            open_record(seal(content, keys), keys=keys)

    def test_the_largest_one_passes(self, keys):
        largest = next(self.many(count) for count in range(2_000, 0, -1)
                       if len(json.dumps(self.many(count).to_record())) <= MAX_RECORD_BYTES)  # fmt: skip
        record = seal_record(largest, producer=TRIGGER, keys=keys)
        check_record_row(record.to_row())
        assert open_record(record, keys=keys) == largest

    def test_a_larger_row_is_refused_unread(self, record, mocker):
        decode = mocker.spy(reference, "from_base64")
        with pytest.raises(EnvelopeError, match="is not one"):
            check_record_row(record.to_row() | {"sealed": "A" * 200_000})
        decode.assert_not_called()

    @pytest.mark.parametrize("row", [None, "text", {}, {"sealed": "AAAA"}, [1] * 1000])
    def test_nothing_else_is_stored_under_its_key(self, row):
        with pytest.raises(EnvelopeError, match="is reserved for hand-over records"):
            check_record_row(row)

    def test_a_value_in_a_store_is_no_record(self, keys):
        with pytest.raises(EnvelopeError, match="is reserved for hand-over records"):
            check_record_row(seal(b"d" * 32, keys, store="files", object_id=b"o" * 16).to_row())

    @pytest.mark.parametrize("row", [{"__exclusive__": 1}, {"__exclusive__": "plain", "value": 1}])
    def test_nor_is_what_has_no_version(self, row):
        with pytest.raises(UnsupportedReferenceError, match="an exclusive reference of an invalid version"):
            check_record_row(row)

    @pytest.mark.parametrize("change", [{"sealed": "AAAA"}, {"sealed": None}, {"consumers": "no scope"}, {"more": 1}])
    def test_nor_is_what_only_looks_like_one(self, record, change):
        with pytest.raises(EnvelopeError, match="has the marker of an exclusive reference but is not one"):
            check_record_row(record.to_row() | change)
