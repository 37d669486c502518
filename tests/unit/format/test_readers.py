"""Who may read, as text: no scope is lost, and none is read out of a text that does not say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_exclusive.format import readers
from airflow_provider_exclusive.format.readers import scope_from_text, scope_to_text
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import MAX_CLAUSES, OPEN, Clause, ConsumerScope

PRODUCER = TaskIdentity("etl", "run-1", "extract")
DAGS = st.sampled_from(["etl", "reporting", "größe", "a.b-c_d"])
TASKS = st.sampled_from(["load", "caller", "everybody", "etl", "*", "?", "group.*", "lo?d", "größe"])
OWN_RUN = st.builds(Clause, st.just("etl"), TASKS, st.just("run-1"))
ANY_RUN = st.builds(Clause, DAGS, TASKS, st.none())
SCOPES = st.just(OPEN) | st.builds(
    ConsumerScope, st.lists(OWN_RUN | ANY_RUN, max_size=4).map(tuple), admits_caller=st.booleans()
)


def read(text):
    return scope_from_text(text, "etl", "run-1")


@given(SCOPES)
def test_a_scope_comes_back(scope):
    assert read(scope_to_text(scope, PRODUCER)) == scope


@given(SCOPES, SCOPES)
def test_other_scopes_are_other_texts(one, other):
    assert (scope_to_text(one, PRODUCER) == scope_to_text(other, PRODUCER)) == (one == other)


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        (OPEN, "@everybody"),
        (ConsumerScope(), "@nobody"),
        (ConsumerScope(admits_caller=True), "@caller"),
        (ConsumerScope((Clause("etl", "load", "run-1"),)), "load"),
        (ConsumerScope((Clause("etl", "*", "run-1"),)), "*"),
        (ConsumerScope((Clause("etl", "load", None), Clause("bi", "r_*", None)), admits_caller=True), "etl:load, bi:r_*, @caller"),
    ],
)  # fmt: skip
def test_it_reads_as_a_dag_author_writes_it(scope, text):
    assert scope_to_text(scope, PRODUCER) == text


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ",", "load,report", "load,  report", "load, ", ", load", "load ", " load", "load\n", "load, @caller, report",
        "@caller, load", "@caller, @caller", "@Caller", "@", "@everybody, load", "load, @everybody", "@nobody, @caller",
        "@nobody, load", "@load", "etl:", ":load", "a:b:c", "etl:load:run-1", "etl: load", "e*l:load", "lo/ad", "lo[a]d",
        "lo\0ad", "\u200bload", "x" * 251, f"{'x' * 251}:load", "@everybody ", "*, @everybody",
    ],
)  # fmt: skip
def test_any_other_text_is_refused(text):
    with pytest.raises(ValueError):
        read(text)


@pytest.mark.parametrize(
    "clause",
    [
        Clause("etl", "load", "run-2"), Clause("reporting", "load", "run-1"), Clause("etl", "", "run-1"),
        Clause("etl", "a, b", "run-1"), Clause("etl", "@caller", "run-1"), Clause("etl", "a:b", "run-1"), Clause("", "load", None),
        Clause("a:b", "load", None), Clause("e*", "load", None), Clause("etl", "x" * 251, None), Clause("etl", "load\n", "run-1"),
    ],
)  # fmt: skip
def test_what_no_declaration_says_cannot_be_written(clause):
    with pytest.raises(ValueError):
        scope_to_text(ConsumerScope((clause,)), PRODUCER)


def test_at_most_256_clauses_are_read():
    assert len(read(", ".join(["load"] * MAX_CLAUSES)).clauses) == MAX_CLAUSES
    for text in (", ".join(["load"] * (MAX_CLAUSES + 1)), ", ".join(["load"] * (MAX_CLAUSES + 1) + ["@caller"])):
        with pytest.raises(ValueError):
            read(text)
    assert read(", ".join(["load"] * MAX_CLAUSES + ["@caller"])).admits_caller


def test_clauses_are_counted_before_they_are_read():
    with pytest.raises(ValueError, match="too many clauses"):
        read(", ".join(["no clause!"] * 300))


def test_no_long_text_stays_in_memory():
    readers._read_cached.cache_clear()
    read(", ".join(["load"] * 100))
    assert readers._read_cached.cache_info().currsize == 0
    read("load")
    assert readers._read_cached.cache_info().currsize == 1
