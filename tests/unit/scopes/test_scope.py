"""Who is in a scope, and in what two scopes have in common."""

import fnmatch
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope, matches


def reader(task="load", *, dag="etl", run="run-1", map_index=-1):
    return TaskIdentity(dag, run, task, map_index)


def test_an_empty_scope_denies_everybody():
    assert not ConsumerScope().permits(reader())
    assert str(ConsumerScope()) == "nobody but its producer"


@pytest.mark.parametrize(
    ("clause", "denied"),
    [
        (Clause("etl", "load", "run-1"), reader("loader")),
        (Clause("etl", "load", "run-1"), reader(run="run-2")),
        (Clause("etl", "load", "run-1"), reader(dag="other")),
        (Clause("etl", "load", None), reader(dag="other")),
        (Clause("e*", "load", None), reader()),
        (Clause("etl", "load", "run-*"), reader()),
        (Clause("etl", "Load", None), reader()),
        (Clause("etl", "[l]oad", None), reader()),
        (Clause("etl", "[l]oad*", None), reader("[l]")),
        (Clause("etl", "l?ad", None), reader("lad")),
        (Clause("etl", "*.load", None), reader()),
    ],
    ids=str,
)
def test_a_reader_that_differs_in_one_part_is_denied(clause, denied):
    assert not clause.permits(denied)
    assert not ConsumerScope((clause, clause)).permits(denied)


@pytest.mark.parametrize(
    ("clause", "permitted"),
    [
        (Clause("etl", "load", "run-1"), reader()),
        (Clause("etl", "load", "run-1"), reader(map_index=7)),
        (Clause("etl", "load", None), reader(run="run-2")),
        (Clause("etl", "l?ad*", "run-1"), reader()),
        (Clause("etl", "*", None), reader("any.task")),
    ],
    ids=str,
)
def test_a_reader_that_a_clause_names_is_permitted(clause, permitted):
    assert ConsumerScope((Clause("other", "other", None), clause)).permits(permitted)


def test_a_scope_for_the_caller_names_nobody():
    assert not ConsumerScope(admits_caller=True).permits(reader())


def test_an_open_scope_permits_everybody():
    assert OPEN.permits(reader("anything", dag="any", run="any"))


def test_an_intersection_admits_the_caller_whom_both_admit():
    caller, nobody = ConsumerScope(admits_caller=True), ConsumerScope()
    assert caller.intersection(nobody) == nobody.intersection(caller) == nobody
    assert caller.intersection(caller) == caller.intersection(OPEN) == OPEN.intersection(caller) == caller


# --- intersections

WILD = Clause("etl", "*", "run-1")
GROUP = Clause("etl", "etl.*", "run-1")
TAIL = Clause("etl", "*.load", "run-1")
ONE = Clause("etl", "etl.load", "run-1")
ANY_RUN = Clause("etl", "etl.load", None)


@pytest.mark.parametrize(
    ("one", "other", "met"),
    [
        ([ONE], [], []),
        ([ONE], [replace(ONE, dag_id="x")], []),
        ([ONE], [replace(ONE, run_id="x")], []),
        ([ONE], [replace(ONE, task_id="x")], []),
        ([GROUP], [TAIL], []),
        ([ONE], [ONE], [ONE]),
        ([ONE], [WILD], [ONE]),
        ([ONE], [GROUP], [ONE]),
        ([GROUP], [WILD], [GROUP]),
        ([GROUP], [GROUP], [GROUP]),
        ([ONE], [ANY_RUN], [ONE]),
        ([ANY_RUN], [ANY_RUN], [ANY_RUN]),
        ([ANY_RUN], [WILD], [ONE]),
        ([ONE, GROUP], [WILD, TAIL], [ONE, GROUP]),
    ],
)
def test_an_intersection_holds_whom_both_name(one, other, met):
    one, other = ConsumerScope(tuple(one)), ConsumerScope(tuple(other))
    assert one.intersection(other) == ConsumerScope(tuple(met))
    assert set(other.intersection(one).clauses) == set(met)


def test_an_open_scope_adds_nothing_and_takes_nothing():
    scope = ConsumerScope((ONE,))
    assert scope.intersection(OPEN) == OPEN.intersection(scope) == scope
    assert OPEN.intersection(OPEN) == OPEN


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (OPEN, "every task"),
        (
            ConsumerScope((Clause("etl", "load", "run-1"), Clause("web", "*", None))),
            "etl.load (run run-1), web.* (any run)",
        ),
    ],
)
def test_a_scope_reads_well(scope, said):
    assert str(scope) == said


# --- any clause, even one that no declaration can produce, decides without an error of its own


@settings(max_examples=100, deadline=None)
@given(task=st.text(alphabet="[]!-\\*?a^.|(){}+$\n\ud800é", max_size=12), asked=st.text(max_size=6))
def test_a_clause_of_any_text_decides(task, asked):
    assert Clause("etl", task, None).permits(reader(asked)) in (True, False)


def test_globs_match_as_fnmatch_says():
    draw = random.Random("globs")
    matched = 0
    for _ in range(20_000):
        pattern = "".join(draw.choices("ab*?.", k=draw.randrange(9)))
        task = "".join(draw.choices("ab.", k=draw.randrange(9)))
        expected = fnmatch.fnmatchcase(task, pattern)
        assert matches(task, pattern) == expected, (pattern, task)
        matched += expected
    assert matched > 1_000
