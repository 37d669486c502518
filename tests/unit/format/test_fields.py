"""The fields of a row are taken by type and range, never by what they could be made into."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_exclusive.format.fields import (
    MAX_INTEGER,
    database_text,
    integer,
    optional,
    require_fields,
    string,
    to_timestamp,
    typed,
)

NAMES = frozenset({"a", "b"})


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "row", [None, [], "ab", ["a", "b"], {}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "B": 2}, {"a": 1, None: 2}]
)
def test_missing_or_unexpected_fields_are_refused(row):
    with pytest.raises(ValueError, match="missing or unexpected"):
        require_fields(row, NAMES)


def test_exactly_the_fields_are_returned_as_they_are():
    row = {"b": None, "a": [1]}
    assert require_fields(row, NAMES) is row


@pytest.mark.parametrize(
    ("value", "kind"), [(True, int), (1, bool), (1.0, int), ("1", int), (Text("a"), str), ((), list)]
)
def test_another_type_is_refused_even_if_it_is_equal(value, kind):
    with pytest.raises(TypeError):
        typed(value, kind)


@pytest.mark.parametrize("value", [None, 1, b"a", Text("a"), ["a"]])
def test_what_is_not_a_string_is_refused(value):
    with pytest.raises(TypeError):
        string(value)


@pytest.mark.parametrize("value", ["", "a\x00b", "\ud800", "a\udfff"])
def test_text_that_no_database_can_hold_is_refused(value):
    with pytest.raises(ValueError):
        database_text(value)


@pytest.mark.parametrize("value", ["etl", "größe", "a b", "\U0001f600"])
def test_text_that_a_database_can_hold_is_returned(value):
    assert database_text(value) == value


@pytest.mark.parametrize("value", [-1, MAX_INTEGER + 1, -(2**63), pytest.param(10**5000, id="huge")])
def test_an_integer_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match="out of range"):
        integer(value)


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_what_is_not_an_integer_is_refused(value):
    with pytest.raises(TypeError):
        integer(value)


@pytest.mark.parametrize(("value", "least"), [(0, 0), (-1, -1), (MAX_INTEGER, 0)])
def test_the_ends_of_the_range_belong_to_it(value, least):
    assert integer(value, least=least) == value


def test_none_is_kept_only_where_a_field_is_optional():
    assert optional(None, integer) is None
    assert optional(3, integer) == 3
    with pytest.raises(TypeError):
        optional("3", integer)


def test_a_time_is_written_in_utc_to_the_second():
    moment = datetime(2026, 11, 21, 12, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert to_timestamp(moment) == "2026-11-21T10:00:00Z"
