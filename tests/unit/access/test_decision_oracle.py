"""Ten thousand decisions, each compared with an oracle that knows only the rules."""

import re
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_exclusive.access import decision
from airflow_provider_exclusive.access.hand_over import HandOver
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.consumers import DOWNSTREAM, Consumer, ScopeDeclaration
from airflow_provider_exclusive.scopes.identity import TaskIdentity

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
    reference = Reference(producer, key, scope, "json", 1)
    try:
        decision.decide(who, reference, CalledBy(caller))
    except AccessDeniedError:
        return False
    return True


CASES_AN_EXAMPLE = 10
BYTES_A_CASE = 32


# Ten cases an example, 10,000 in all: drawing an example costs more than deciding it.
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
