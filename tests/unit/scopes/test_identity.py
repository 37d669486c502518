"""How task instances are told apart, which XComs a coordinate means, and whose it is."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity, is_kept_as

TASK = TaskIdentity("etl", "run-1", "extract", 2, "a try")
XCOM = Coordinate.of(TASK, "rows")
OTHERS = {"dag_id": "other", "run_id": "run-2", "task_id": "load", "map_index": 3, "key": "frame"}


@pytest.mark.parametrize(("field", "value"), OTHERS.items())
def test_it_covers_no_xcom_that_differs_in_one_part(field, value):
    assert not XCOM.covers(replace(XCOM, **{field: value}))


@pytest.mark.parametrize("field", OTHERS)
def test_a_part_that_is_not_known_is_covered_by_no_name(field):
    assert not XCOM.covers(replace(XCOM, **{field: None}))


@pytest.mark.parametrize(("field", "value"), OTHERS.items())
def test_a_missing_part_stands_for_any(field, value):
    wide = replace(XCOM, **{field: None})
    assert wide.covers(XCOM)
    assert wide.covers(replace(XCOM, **{field: value}))


def test_without_any_part_it_covers_every_xcom():
    assert Coordinate().covers(XCOM)


def test_it_covers_itself_in_any_try():
    assert XCOM.covers(Coordinate.of(replace(TASK, ti_id=None), "rows"))


@pytest.mark.parametrize(
    ("pushed", "key", "is_covered"),
    [("a%20b", "a b", True), ("a%20b", "a%20b", True), ("a b", "a%20b", False), ("a%2520b", "a b", False)],
)
def test_a_key_is_stored_with_its_percent_signs_decoded(pushed, key, is_covered):
    assert is_kept_as(pushed, key) is is_covered
    assert replace(XCOM, key=key).covers(replace(XCOM, key=pushed)) is is_covered


@pytest.mark.parametrize("field", ["dag_id", "run_id", "task_id", "map_index"])
def test_it_belongs_to_no_other_task(field):
    assert not replace(XCOM, **{field: OTHERS[field]}).belongs_to(TASK)


@pytest.mark.parametrize("field", ["dag_id", "run_id", "task_id", "map_index"])
def test_what_is_not_known_belongs_to_nobody(field):
    assert not replace(XCOM, **{field: None}).belongs_to(TASK)


def test_it_belongs_to_its_task_in_any_try():
    assert XCOM.belongs_to(replace(TASK, ti_id="another try"))


def test_it_reads_well():
    assert str(XCOM) == "'rows' of etl.extract[2] (run run-1)"
    assert str(replace(XCOM, map_index=-1)) == "'rows' of etl.extract (run run-1)"


def test_its_parts_are_those_of_an_audit_line():
    assert [field.name for field in fields(Coordinate)] == ["dag_id", "run_id", "task_id", "map_index", "key"]


@pytest.mark.parametrize("field", ["dag_id", "run_id", "task_id", "map_index"])
def test_a_task_instance_differs_by_each_part(field):
    assert not replace(TASK, **{field: OTHERS[field]}).is_same_task_instance(TASK)


def test_a_task_instance_is_the_same_in_every_try():
    assert replace(TASK, ti_id="another try").is_same_task_instance(TASK)


def test_a_task_instance_reads_well():
    assert str(TASK) == "etl.extract[2] (run run-1)"
    assert str(replace(TASK, map_index=-1)) == "etl.extract (run run-1)"
