import copy
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_exclusive.access import decision
from airflow_provider_exclusive.access.hand_over import HandOver
from airflow_provider_exclusive.exceptions import AccessDeniedError, InvalidScopeError
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.declaration import DOWNSTREAM, Consumer, ScopeDeclaration
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope

PRODUCER = TaskIdentity("etl", "run-1", "extract")


def reader(task="load", *, dag="etl", run="run-1", map_index=-1):
    return TaskIdentity(dag, run, task, map_index)


def scope_of(spec, key="return_value", *, downstream=("load",), parts=None):
    return ScopeDeclaration.parse(spec).resolve(key, producer=PRODUCER, downstream=downstream, parts=parts)


# --- who is denied


def test_an_empty_scope_denies_everybody():
    assert not ConsumerScope().permits(reader())
    assert str(ConsumerScope()) == "nobody but its producer"


def test_a_scope_denies_others_and_names_who_may():
    assert not scope_of("load").permits(reader("intruder"))
    assert str(scope_of("load")) == "etl.load (run run-1)"


@pytest.mark.parametrize(
    ("spec", "denied"),
    [
        ("load", reader("intruder")),
        ("load", reader("loader")),
        ("load", reader("Load")),
        ("load", reader("load\n")),
        ("load", reader(run="run-2")),
        ("load", reader(dag="other")),
        ("etl.*", reader("etl")),
        ("etl.*", reader("etlXload")),
        ("etl.*", reader("sub.etl.load")),
        ("etl.*", reader("etl.load", run="run-2")),
        ("etl.*", reader("etl.load", dag="other")),
        ("loa?", reader("loa")),
        ("loa?", reader("loads")),
        (Consumer("load", any_run=True), reader("intruder", run="run-2")),
        (Consumer("load", any_run=True), reader(dag="other")),
        (Consumer("*", dag="reporting"), reader("load")),
        ("reporting:*", reader(dag="reporting2")),
        ("reporting:load", reader("loads", dag="reporting")),
        (Consumer("load", dag="etl"), reader(run="run-2")),
        ("etl:load", reader(run="run-2")),
        (DOWNSTREAM, reader("intruder")),
        (DOWNSTREAM, reader(run="run-2")),
        (DOWNSTREAM, reader(dag="other")),
        ([], reader()),
        ({"frame": "load"}, reader()),
        ({"frame": "load", "*": "other"}, reader()),
        ({"return_value": []}, reader()),
        ({"*": []}, reader()),
    ],
)
def test_who_is_not_named_is_denied(spec, denied):
    assert not scope_of(spec).permits(denied)


def test_downstream_of_a_task_without_downstream_is_nobody():
    assert scope_of(DOWNSTREAM, downstream=()) == ConsumerScope()


def test_a_key_not_named_and_not_starred_is_the_producers_alone():
    assert scope_of({"frame": ["load"]}, "row_count") == ConsumerScope()


def test_who_may_not_read_every_part_may_not_read_the_whole():
    spec = {"frame": ["load"], "row_count": ["load", "hand_over"]}
    whole = scope_of(spec, parts=["frame", "row_count"])
    assert not whole.permits(reader("hand_over"))
    assert whole.permits(reader("load"))


def test_a_part_that_nobody_may_read_closes_the_whole():
    assert scope_of({"frame": ["load"]}, parts=["frame", "secret"]) == ConsumerScope()


# --- what no scope can be


@pytest.mark.parametrize(
    ("spec", "taught"),
    [
        ("", "is empty"),
        ([""], "is empty"),
        (":", "consumer's task is empty"),
        ("reporting:", "consumer's task is empty"),
        (":load", "consumer's dag is empty"),
        ("a:b:c", "'b:c', which is not a valid id"),
        ("*:load", "consumer's dag is '\\*'"),
        ("re?:load", "consumer's dag is 're\\?'"),
        ("load ", "which is not a valid id"),
        ("load\n", "which is not a valid id"),
        ("etl/load", "which is not a valid id"),
        ("[l]oad", "which is not a valid id"),
        ("[!l]oad", "which is not a valid id"),
        ("lo\x00ad", "which is not a valid id"),
        ("lo\ud800ad", "which is not a valid id"),
        ("load,store", "which is not a valid id"),
        ({}, "consumers={} names no key"),
        ({"": "load"}, "name of an XCom key"),
        ({1: "load"}, "name of an XCom key"),
        ({None: "load"}, "name of an XCom key"),
        ({b"frame": "load"}, "name of an XCom key"),
        ({"frame": {"nested": "load"}}, "scope of key 'frame' is invalid: .* got {'nested': 'load'} of type dict"),
        ({"rows": ["load"], "frame": None}, "scope of key 'frame' is invalid: .*got None"),
        ({"frame": ["load", "lo ad"]}, "scope of key 'frame' is invalid: .*'lo ad'"),
        (None, "got None of type NoneType"),
        (7, "of type int"),
        (True, "of type bool"),
        (b"load", "of type bytes"),
        ([None], "got None of type NoneType"),
        ([7], "of type int"),
        ([["load"]], "of type list"),
        ([b"load"], "of type bytes"),
        ((task for task in ["load"]), "of type generator"),
        (OPEN, "of type ConsumerScope"),
    ],
)
def test_bad_input_is_refused_with_what_was_expected(spec, taught):
    with pytest.raises(InvalidScopeError, match=taught):
        ScopeDeclaration.parse(spec)


def test_an_object_that_compares_elementwise_is_refused_like_any_other():
    class Array:
        def __eq__(self, other):
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = None

    with pytest.raises(InvalidScopeError, match="of type Array"):
        ScopeDeclaration.parse([Array()])


@pytest.mark.parametrize(
    "build",
    [
        lambda: Consumer(""),
        lambda: Consumer(None),
        lambda: Consumer("load", dag=""),
        lambda: Consumer("load", dag="*"),
        lambda: Consumer("load", dag=7),
        lambda: Consumer("load", any_run="yes"),
        lambda: Consumer("load", any_run=1),
        lambda: Consumer("load", any_run=None),
        lambda: Consumer("reporting:load"),
    ],
)
def test_a_consumer_with_a_bad_field_is_refused(build):
    with pytest.raises(InvalidScopeError):
        build()


# --- the caller

CALLERS_ALONE = ["caller", ["caller"], ("caller", "caller"), {"caller"}, {"*": "caller"}, {"return_value": ["caller"]}]


@pytest.mark.parametrize("spec", CALLERS_ALONE)
@pytest.mark.parametrize("who", [reader("caller"), reader("caller", dag="parent"), reader(), PRODUCER], ids=str)
def test_caller_alone_names_no_task(spec, who):
    assert scope_of(spec) == ConsumerScope(admits_caller=True)
    assert not scope_of(spec).permits(who)


@pytest.mark.parametrize("spec", [Consumer("caller"), "etl:caller", "calle?", "*", "Caller", "caller2", DOWNSTREAM, []])
def test_what_merely_looks_like_caller_does_not_admit_it(spec):
    assert not scope_of(spec, downstream=("caller",)).admits_caller


def test_only_the_key_that_says_caller_admits_it():
    spec = {"summary": ["caller"], "rows": ["load"]}
    assert [scope_of(spec, key).admits_caller for key in ("summary", "rows", "other")] == [True, False, False]


def test_the_whole_is_the_callers_only_if_every_part_is():
    spec = {"summary": ["caller", "load"], "rows": ["load"], "*": "caller"}
    assert not scope_of(spec, parts=["summary", "rows"]).admits_caller
    assert scope_of(spec, parts=["summary", "other"]).admits_caller


def test_caller_stands_beside_other_clauses_and_reads_well():
    scope = scope_of(["load", "caller", DOWNSTREAM])
    assert scope == ConsumerScope((Clause("etl", "load", "run-1"),), admits_caller=True)
    assert str(scope) == "etl.load (run run-1), caller (the task that triggered the run)"
    assert "nobody" not in str(scope_of("caller"))


def test_an_intersection_admits_the_caller_whom_both_admit():
    caller, nobody = ConsumerScope(admits_caller=True), ConsumerScope()
    assert caller.intersection(nobody) == nobody.intersection(caller) == nobody
    assert caller.intersection(caller) == caller.intersection(OPEN) == OPEN.intersection(caller) == caller


# --- who passes


@pytest.mark.parametrize(
    ("spec", "permitted"),
    [
        ("load", reader()),
        ("load", reader(map_index=5)),
        (["load"], reader()),
        (("other", "load"), reader()),
        ({"load", "other"}, reader()),
        ("etl.*", reader("etl.load")),
        ("etl.*", reader("etl.sub.load")),
        ("loa?", reader("load")),
        ("*", reader("anything-at.all_7")),
        (Consumer("load", any_run=True), reader(run="run-2")),
        (Consumer("load", any_run=True), reader()),
        (Consumer("*", dag="reporting"), reader("any", dag="reporting", run="of its own")),
        ("reporting:*", reader("any", dag="reporting", run="of its own")),
        ("reporting:load", reader(dag="reporting")),
        ("etl:load", reader()),
        (Consumer("load", dag="etl", any_run=True), reader(run="run-2")),
        (DOWNSTREAM, reader()),
        ([DOWNSTREAM, "audit"], reader("audit")),
        ([DOWNSTREAM, "audit"], reader()),
        ({"return_value": "load"}, reader()),
        ({"frame": "other", "*": "load"}, reader()),
        ("größe_表", reader("größe_表")),
        ("größe*", reader("größe_表")),
    ],
)
def test_who_is_named_passes(spec, permitted):
    scope = scope_of(spec)
    assert scope.permits(permitted)


def test_an_open_scope_permits_everybody():
    assert OPEN.permits(reader("anything", dag="any", run="any"))


def test_a_named_return_value_of_a_multiple_outputs_task_is_not_intersected():
    spec = {"frame": ["load"], "return_value": ["audit"]}
    assert scope_of(spec, parts=["frame", "other"]).permits(reader("audit"))


def test_the_whole_of_an_empty_dict_falls_to_the_star():
    assert scope_of({"*": "audit"}, parts=[]).permits(reader("audit"))


def test_a_whole_that_is_made_of_nothing_is_for_those_who_may_read_every_part():
    spec = {"frame": ["load", "audit"], "row_count": ["load"]}

    assert scope_of(spec, parts=[]).permits(reader("load"))
    assert not scope_of(spec, parts=[]).permits(reader("audit"))


@pytest.mark.parametrize(
    ("who", "spelled"),
    [
        (reader("load"), "'load'"),
        (reader("caller"), "Consumer(task='caller')"),
        (reader("load", run="run-2"), "Consumer(task='load', any_run=True)"),
        (reader("load", dag="web"), "'web:load'"),
    ],
)
def test_the_consumer_that_a_denial_advises_lets_the_reader_pass(who, spelled):
    assert who.named_by(PRODUCER) == spelled
    assert scope_of([eval(spelled)]).permits(who)  # what a Dag author would write


def test_parts_matter_to_the_return_value_alone():
    assert scope_of({"frame": "load", "row_count": []}, "frame", parts=["frame", "row_count"]).permits(reader())


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


# --- the declaration as an object


def test_the_same_set_is_the_same_scope_in_every_process():
    # Strings hash differently in every process; references and messages must not.
    code = "from airflow_provider_exclusive.scopes.declaration import ScopeDeclaration as S; print(S.parse({'a', 'b', 'c', 'd', 'e', 'f'}))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_clauses_come_back_with_their_keys():
    declared = ScopeDeclaration.parse({"frame": ["load", DOWNSTREAM], "*": "reporting:x"})
    assert list(declared.consumers()) == [
        ("frame", Consumer("load")),
        ("frame", DOWNSTREAM),
        ("*", Consumer("x", dag="reporting")),
    ]


def test_repeated_clauses_count_once():
    assert scope_of(["load", "load", DOWNSTREAM]).clauses == (Clause("etl", "load", "run-1"),)


def test_downstream_stays_itself_when_airflow_copies_an_operator():
    assert copy.deepcopy(DOWNSTREAM) is DOWNSTREAM
    assert repr(DOWNSTREAM) == "DOWNSTREAM"


def test_identities_and_consumers_read_well():
    assert str(reader(map_index=3)) == "etl.load[3] (run run-1)"
    assert str(Consumer("load", dag="reporting")) == "reporting:load"
    assert str(Consumer("load", any_run=True)) == "load (any run)"


# --- any clause, even one that no declaration can produce, decides without an error of its own


@settings(max_examples=100, deadline=None)
@given(task=st.text(alphabet="[]!-\\*?a^.|(){}+$\n\ud800é", max_size=12), asked=st.text(max_size=6))
def test_a_clause_of_any_text_decides(task, asked):
    assert Clause("etl", task, None).permits(reader(asked)) in (True, False)


# --- ten thousand decisions against an oracle

TASKS = ("load", "etl.load", "etl.x", "extract", "caller")
READERS = [
    TaskIdentity(dag, run, task, map_index)
    for dag, run in (("etl", "run-1"), ("etl", "run-1"), ("etl", "run-2"), ("reporting", "run-1"))
    for task in TASKS
    for map_index in (-1, 2)
]
WRITTEN = [
    "load", "etl.*", "*", "*.load", "etl.?", "?oad", "etl.load", "missing", "reporting:*", "reporting:load", "etl:load",
    DOWNSTREAM, DOWNSTREAM, "caller", "caller", Consumer("caller"), Consumer("load", any_run=True), Consumer("*", any_run=True),
    Consumer("etl.*", any_run=True), Consumer("extract", dag="reporting"), Consumer("*", dag="etl"),
]  # fmt: skip
KEYS = {"return_value": (True, False, False, False), "frame": (True,), "row_count": (True,), "*": (True, False)}
PUSHED = ("return_value", "return_value", "return_value", "frame", "not named")
DOWNSTREAMS = ((), ("load",), ("etl.x", "load"))
PARTS = ((), (), ("frame",), ("frame", "row_count"), ("row_count", "not named"), ("frame", "row_count", "frame"))


class Dice:
    """Turns the bytes that Hypothesis draws into choices: one draw for each example is what makes 10,000 cheap."""

    def __init__(self, drawn):
        self._drawn = iter(drawn)

    def roll(self, sides):
        return next(self._drawn) % sides

    def pick(self, options):
        return options[self.roll(len(options))]

    def clauses(self):
        return [self.pick(WRITTEN) for _ in range(self.pick((0, 1, 2, 3, 4, 4)))]


def case_from(drawn):
    dice = Dice(drawn)
    producer = TaskIdentity("etl", "run-1", "extract", dice.pick((-1, 2)), "a try")
    spec = dice.clauses() if dice.roll(4) == 0 else {key: dice.clauses() for key in KEYS if dice.pick(KEYS[key])}
    pushed, downstream, parts, who = (dice.pick(options) for options in (PUSHED, DOWNSTREAMS, PARTS, READERS))
    caller = dice.pick((None, who, replace(who, map_index=7), replace(who, run_id="run-3")))
    return spec, pushed, producer, downstream, parts, who, caller


def oracle_patterns(clauses, who, producer, downstream):
    """Return the task patterns among ``clauses`` that match ``who``: section 2 of the design, row by row."""
    matching = set()
    for clause in clauses:
        for written in downstream if clause is DOWNSTREAM else [] if clause == "caller" else [clause]:
            dag, task, any_run = producer.dag_id, written, False
            if isinstance(written, Consumer):
                dag, task, any_run = written.dag or dag, written.task, written.any_run
            elif ":" in written:
                dag, task = written.split(":")
            free = any_run or dag != producer.dag_id
            glob = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in task)
            if who.dag_id == dag and (free or who.run_id == producer.run_id) and re.fullmatch(glob, who.task_id):
                matching.add(task)
    return matching


def oracle_meets(one, other):
    """Return what is left of two patterns that match the same task; two different globs meet only in ``*``."""
    if "*" in (one, other):
        return other if one == "*" else one
    plain = [pattern for pattern in (one, other) if not set(pattern) & set("*?")]
    return plain[0] if plain else one if one == other else None


def oracle(spec, key, producer, downstream, parts, who, caller):
    """Return whether the design lets ``who`` pass, whether every single part does, and by what."""
    by_key = spec if isinstance(spec, dict) else {"*": spec}
    is_whole = key == "return_value" and parts is not None and key not in by_key
    keys = (parts or list(by_key)) if is_whole else [key]
    declared = [by_key.get(k, by_key.get("*", [])) for k in keys]
    matching = [oracle_patterns(clauses, who, producer, downstream) for clauses in declared]
    admitted = [who == caller and "caller" in clauses for clauses in declared]
    left = {"*"}
    for patterns in matching:
        left = {oracle_meets(one, other) for one in left for other in patterns} - {None}
    every_part = all(patterns or is_caller for patterns, is_caller in zip(matching, admitted, strict=True))
    is_producer = replace(who, ti_id=None, run_id=producer.run_id) == replace(producer, ti_id=None)
    return is_producer or bool(left) or all(admitted), is_producer or every_part, matching, admitted


class CalledBy:
    """Says which task triggered the producer's run, if one did."""

    def __init__(self, caller):
        self.caller = caller

    def find(self, dag_id, run_id):
        is_known = self.caller is not None and (dag_id, run_id) == ("etl", "run-1")
        return HandOver(self.caller, dag_id, run_id, {}) if is_known else None


def decided(spec, key, producer, downstream, parts, who, caller):
    scope = ScopeDeclaration.parse(spec).resolve(key, producer=producer, downstream=downstream, parts=parts)
    reference = Reference(producer, key, scope, "json", 1, None, "2026-11-21T10:00:00Z", None, "memory:x")
    try:
        decision.decide(who, reference, CalledBy(caller))
    except AccessDeniedError:
        return False
    return True


CASES_AN_EXAMPLE = 10
BYTES_A_CASE = 32


# Ten cases an example, 10,000 in all: drawing an example costs more than http_errors it.
@settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(min_size=CASES_AN_EXAMPLE * BYTES_A_CASE, max_size=CASES_AN_EXAMPLE * BYTES_A_CASE))
def test_decisions_are_those_of_the_design(drawn):
    for start in range(0, len(drawn), BYTES_A_CASE):
        check_decision(*case_from(drawn[start : start + BYTES_A_CASE]))


def check_decision(*case):
    expected, every_part, matching, admitted = oracle(*case)
    assert decided(*case) == expected
    assert every_part or not expected
    globs = {pattern for patterns in matching for pattern in patterns if set(pattern) & set("*?")} - {"*"}
    if len(globs) < 2 and len(set(admitted)) < 2:
        # Only where different globs meet, or a clause and the caller, may a reader of every part be denied the whole.
        assert expected == every_part
