from dataclasses import replace

import pytest

from airflow_provider_exclusive import access
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.reference import Reference
from airflow_provider_exclusive.scopes import OPEN, ConsumerScope, TaskIdentity


@pytest.fixture
def reference(producer, scope):
    return Reference(
        producer=producer,
        key="frame",
        scope=scope,
        codec="json",
        size=3,
        length=None,
        created_at="2026-11-21T10:00:00Z",
        expires_at=None,
        at="memory:x",
    )


def test_an_unknown_reader_is_denied(reference):
    with pytest.raises(AccessDeniedError, match="no running task instance is known") as denial:
        access.decide(None, reference)
    assert denial.value.reason == "unknown-reader"


def test_a_task_outside_the_scope_is_denied_and_told_who_may_and_what_to_do(reference):
    intruder = TaskIdentity("etl", "run-1", "intruder", 3)
    with pytest.raises(AccessDeniedError) as denial:
        access.decide(intruder, reference)
    assert denial.value.reason == "not-in-scope"
    for part in ("etl.intruder[3] (run run-1)", "'frame'", "etl.load (run run-1)", "add 'intruder' to the consumers"):
        assert part in str(denial.value)


def test_an_empty_scope_denies_everybody_but_the_producer(reference, consumer, producer):
    nobody = replace(reference, scope=ConsumerScope())
    with pytest.raises(AccessDeniedError, match="nobody but its producer"):
        access.decide(consumer, nobody)
    access.decide(producer, nobody)


@pytest.mark.parametrize("change", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 0}])
def test_the_producer_elsewhere_is_not_the_producer(reference, producer, change):
    with pytest.raises(AccessDeniedError):
        access.decide(replace(producer, **change), reference)


def test_the_producer_passes_in_a_later_try(reference, producer):
    access.decide(replace(producer, ti_id="another try"), reference)


def test_a_consumer_passes_whatever_its_map_index(reference, consumer):
    for map_index in (-1, 0, 7):
        access.decide(replace(consumer, map_index=map_index), reference)


def test_an_open_value_needs_no_reader(reference):
    access.decide(None, replace(reference, scope=OPEN))
