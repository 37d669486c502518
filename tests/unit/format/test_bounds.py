"""How large what somebody sent may be before anything is computed from it."""

from __future__ import annotations

import pytest

from airflow_provider_exclusive.exceptions import EnvelopeError, InvalidScopeError
from airflow_provider_exclusive.format import reference
from airflow_provider_exclusive.format.reference import MAX_INLINE_BYTES, Reference
from airflow_provider_exclusive.scopes.scope import MAX_CLAUSES, MAX_GLOBS, OPEN, Clause, ConsumerScope
from tests.rows import forged

NESTED: list = []
for _ in range(100_000):
    NESTED = [NESTED]


@pytest.fixture
def row(put):
    return put("x" * 10).to_row()


def is_refused(row):
    with pytest.raises(EnvelopeError):
        Reference.from_row(row)
    return True


@pytest.mark.parametrize(
    ("name", "most"), [("dag_id", 250), ("run_id", 250), ("task_id", 250), ("key", 512), ("codec", 64)]
)
def test_a_name_is_at_most_as_long_as_airflow_stores(row, name, most):
    Reference.from_row(forged(row, **{name: "n" * most, "scope": OPEN}))
    assert is_refused(forged(row, **{name: "n" * (most + 1), "scope": OPEN}))


def test_a_consumer_is_at_most_as_long_as_a_task_id(row):
    Reference.from_row(row | {"consumers": f"{'d' * 250}:{'t' * 250}"})
    assert is_refused(row | {"consumers": "t" * 251})
    assert is_refused(row | {"consumers": f"{'d' * 251}:t"})


@pytest.mark.parametrize("count", [1, 4096, MAX_INLINE_BYTES])
def test_what_a_row_seals_has_a_size(row, count):
    Reference.from_row(forged(row, wrapped=bytes(count)))
    Reference.from_row(forged(row, sealed=bytes(count)))


@pytest.mark.parametrize("count", [MAX_INLINE_BYTES + 20_000, 5_000_000])
def test_what_is_larger_is_refused_unread(row, mocker, count):
    larger = row | {"sealed": "A" * (4 * count // 3 // 4 * 4)}
    decode = mocker.spy(reference, "from_base64")
    assert is_refused(larger)
    decode.assert_not_called()


@pytest.mark.parametrize("field", ["__exclusive__", "consumers", "sealed"])
@pytest.mark.parametrize(
    "part", ["x" * 70_000 + "!", ["x"], {"x": 1}, NESTED, None, 7, True, b"x"], ids=lambda part: type(part).__name__
)
def test_a_field_is_a_text_of_bounded_length(row, field, part):
    assert is_refused(row | {field: part})


def test_a_reference_has_at_most_256_clauses(row):
    Reference.from_row(row | {"consumers": ", ".join(["etl:load"] * MAX_CLAUSES)})
    assert is_refused(row | {"consumers": ", ".join(["etl:load"] * (MAX_CLAUSES + 1))})


def test_a_scope_with_more_consumers_is_refused_at_the_push():
    with pytest.raises(InvalidScopeError, match="257 consumers; expected at most 256"):
        ConsumerScope(tuple(Clause("etl", f"load_{number}", None) for number in range(257)))


def test_a_row_has_at_most_32_globs_with_several_wildcards(row):
    globs = [f"*load_{number}*" for number in range(MAX_GLOBS + 1)]
    Reference.from_row(row | {"consumers": ", ".join(globs[1:])})
    Reference.from_row(row | {"consumers": ", ".join([*globs[1:], "@caller"])})
    with pytest.raises(EnvelopeError, match="has 33 globs with several wildcards; expected at most 32"):
        Reference.from_row(row | {"consumers": ", ".join(globs)})


def test_a_scope_has_at_most_32_globs_with_several_wildcards():
    with pytest.raises(InvalidScopeError, match="33 globs with several wildcards; expected at most 32"):
        ConsumerScope(tuple(Clause("etl", f"load_{number}.??", None) for number in range(33)))


def test_globs_with_one_wildcard_are_not_limited(row):
    Reference.from_row(row | {"consumers": ", ".join([f"load_{number}.*" for number in range(MAX_CLAUSES)])})


def test_no_long_text_stays_in_memory(row):
    reference._read_texts_cached.cache_clear()
    Reference.from_row(row | {"consumers": ", ".join(["etl:load"] * 200)})
    assert reference._read_texts_cached.cache_info().currsize == 0
    Reference.from_row(row)
    assert reference._read_texts_cached.cache_info().currsize == 1


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
