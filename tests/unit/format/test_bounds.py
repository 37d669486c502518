"""How large what somebody sent may be before anything is computed from it."""

from __future__ import annotations

import pytest

from airflow_provider_exclusive.exceptions import EnvelopeError, InvalidScopeError
from airflow_provider_exclusive.format import canonical
from airflow_provider_exclusive.format.reference import MAX_ROW_CHARACTERS, Reference, check_extent
from airflow_provider_exclusive.scopes.scope import MAX_CLAUSES, Clause, ConsumerScope
from tests.rows import with_field

CLAUSE = {"dag_id": "etl", "task_id": "load", "run_id": None}


@pytest.fixture
def row(put):
    return put("x" * 10).to_row()


@pytest.mark.parametrize(
    ("path", "most"),
    [
        (("producer", "dag_id"), 250),
        (("producer", "run_id"), 250),
        (("producer", "task_id"), 250),
        (("producer", "ti_id"), 250),
        (("producer", "key"), 512),
        (("consumers", 0, "dag_id"), 250),
        (("consumers", 0, "task_id"), 250),
        (("consumers", 0, "run_id"), 250),
        (("codec",), 250),
        (("key_id",), 250),
        (("at",), 1024),
    ],
    ids=str,
)
def test_a_name_is_at_most_as_long_as_airflow_stores(row, path, most):
    Reference.from_row(with_field(row, path, "n" * most))
    with pytest.raises(EnvelopeError):
        Reference.from_row(with_field(row, path, "n" * (most + 1)))


@pytest.mark.parametrize("field", ["wrapped_key", "sealed_key"])
def test_a_protected_key_is_short(row, field):
    row = {name: part for name, part in row.items() if name != "wrapped_key"}
    Reference.from_row(row | {field: "AAAA" * 1024})
    with pytest.raises(EnvelopeError):
        Reference.from_row(row | {field: "AAAA" * 1025})


def test_a_reference_has_at_most_256_clauses(row):
    Reference.from_row(row | {"consumers": [CLAUSE] * MAX_CLAUSES})
    with pytest.raises(EnvelopeError):
        Reference.from_row(row | {"consumers": [CLAUSE] * (MAX_CLAUSES + 1)})


def test_clauses_are_counted_before_they_are_read(row):
    with pytest.raises(EnvelopeError) as refusal:
        Reference.from_row(row | {"consumers": ["no clause"] * (MAX_CLAUSES + 2)})
    assert str(refusal.value.__cause__) == "too many clauses"
    with pytest.raises(EnvelopeError, match="names 60,000 consumers; expected at most 256"):
        check_extent(row | {"consumers": [CLAUSE] * 60_000})


def test_a_scope_with_more_consumers_is_refused_at_the_push():
    with pytest.raises(InvalidScopeError, match="257 consumers; expected at most 256"):
        ConsumerScope(tuple(Clause("etl", f"load_{number}", None) for number in range(257)))


@pytest.mark.parametrize("part", ["x" * 70_000, ["x"] * 40_000, {"x": ["y" * 70_000]}, [1] * 10_000], ids=len)
def test_a_row_is_at_most_64_kb_besides_its_payload(row, part):
    with pytest.raises(EnvelopeError, match="expected at most 65,536"):
        check_extent(row | {"codec": part})


def test_nested_lists_do_not_exhaust_the_stack(row):
    nested = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(EnvelopeError, match="characters besides its payload"):
        check_extent(row | {"codec": nested})


def test_a_payload_that_a_row_carries_does_not_count(row):
    row = {name: part for name, part in row.items() if name != "at"}
    check_extent(row | {"inline": "A" * (MAX_ROW_CHARACTERS * 2)})


def test_a_payload_that_is_no_text_counts(row):
    with pytest.raises(EnvelopeError, match="characters besides its payload"):
        check_extent(row | {"inline": [[]] * MAX_ROW_CHARACTERS})


def test_no_long_text_stays_in_memory():
    canonical._short_text.cache_clear()
    canonical.canonical(["n" * 257, "n" * 5_000_000, "short"])
    assert canonical._short_text.cache_info().currsize == 1


def test_a_hostile_glob_is_decided():
    patterns = ["*" + "[" * 249, "*a" * 125, "?*" * 124 + "c", "*" + "a?" * 124 + "c"]
    scope = ConsumerScope(tuple(Clause("etl", pattern, None) for pattern in patterns))
    assert not scope.permits(_reader("a" * 249 + "b"))  # a quadratic or exponential matcher would not end here


def _reader(task_id):
    from airflow_provider_exclusive.scopes.identity import TaskIdentity

    return TaskIdentity("etl", "run-1", task_id)


@pytest.mark.parametrize(
    ("pattern", "task", "is_permitted"),
    [
        ("load[ab]*", "loada", False),
        ("load[ab]*", "load[ab]x", True),
        ("[!a]?", "bb", False),
        ("a.c*", "abc", False),
        ("a*b?c", "aXbYc", True),
        ("a*b?c", "abc", False),
        ("*a*a*", "xaya", True),
        ("*a*a", "a", False),
        ("?", "", False),
        ("*\\d", "1", False),
        ("*", "any\nthing", True),
        ("*", "", True),
        ("a*", "a", True),
        ("a*a", "a", False),
        ("**?**", "é", True),
    ],
)
def test_only_the_star_and_question_mark_are_special(pattern, task, is_permitted):
    assert Clause("etl", pattern, None).permits(_reader(task)) is is_permitted


def test_a_message_names_ten_of_many_consumers():
    scope = ConsumerScope(tuple(Clause("etl", f"t{number}", None) for number in range(MAX_CLAUSES)), admits_caller=True)
    assert str(scope).count("etl.t") == 10
    assert "246 more" in str(scope)
