"""What Dag authors write: what is refused, and the scope that each of a task's outputs gets from it."""

import copy
import subprocess
import sys
from types import SimpleNamespace

import pytest

from airflow_provider_exclusive.exceptions import InvalidScopeError
from airflow_provider_exclusive.scopes.consumers import DOWNSTREAM, Consumer, ScopeDeclaration
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope

PRODUCER = TaskIdentity("etl", "run-1", "extract")


def reader(task="load", *, dag="etl", run="run-1", map_index=-1):
    return TaskIdentity(dag, run, task, map_index)


def scope_of(spec, key="return_value", *, downstream=("load",), parts=None):
    return ScopeDeclaration.parse(spec).resolve(key, producer=PRODUCER, downstream=downstream, parts=parts)


# --- who is denied


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
        ("l" * 251, "which is not a valid id: ids consist of at most 250 letters"),
        ("e" * 251 + ":load", "which is not a valid id"),
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


def test_too_many_globs_are_refused_when_the_dag_is_parsed():
    ScopeDeclaration.parse(
        [f"etl.*.load_{number}_*" for number in range(32)] + [f"{number}.*" for number in range(200)]
    )
    with pytest.raises(InvalidScopeError, match="33 globs with several wildcards; expected at most 32"):
        ScopeDeclaration.parse({"rows": [f"etl.*.load_{number}_*" for number in range(33)]})


def test_an_elementwise_comparing_object_is_refused():
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


OBJECTS = {
    "an operator": (SimpleNamespace(task_id="load"), "write 'load'"),
    "the output of a decorated task": (SimpleNamespace(operator=SimpleNamespace(task_id="load")), "write 'load'"),
    "a decorated function": (SimpleNamespace(kwargs={"task_id": "load"}), "write 'load'"),
    "a task group": (SimpleNamespace(group_id="etl", task_id=None), r"write 'etl\.\*'"),
    "a group without an id": (SimpleNamespace(group_id=None, kwargs={}), "of type SimpleNamespace"),
}


@pytest.mark.parametrize(("value", "taught"), OBJECTS.values(), ids=OBJECTS)
def test_a_task_itself_is_refused_with_the_id_to_write(value, taught):
    for spec in (value, [value], {"rows": [value]}):
        with pytest.raises(InvalidScopeError, match=taught):
            ScopeDeclaration.parse(spec)


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


def test_a_named_return_value_is_not_intersected_with_its_parts():
    spec = {"frame": ["load"], "return_value": ["audit"]}
    assert scope_of(spec, parts=["frame", "other"]).permits(reader("audit"))


def test_the_whole_of_an_empty_dict_falls_to_the_star():
    assert scope_of({"*": "audit"}, parts=[]).permits(reader("audit"))


def test_an_empty_whole_is_for_readers_of_every_part():
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
def test_the_consumer_a_denial_suggests_lets_the_reader_pass(who, spelled):
    assert who.named_by(PRODUCER) == spelled
    assert scope_of([eval(spelled)]).permits(who)  # what a Dag author would write


def test_parts_matter_to_the_return_value_alone():
    assert scope_of({"frame": "load", "row_count": []}, "frame", parts=["frame", "row_count"]).permits(reader())


# --- the declaration as an object


def test_the_same_set_is_the_same_scope_in_every_process():
    # Strings hash differently in every process; references and messages must not.
    code = "from airflow_provider_exclusive.scopes.consumers import ScopeDeclaration as S; print(S.parse({'a', 'b', 'c', 'd', 'e', 'f'}))"
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


def test_downstream_is_the_same_object_in_a_copied_operator():
    assert copy.deepcopy(DOWNSTREAM) is DOWNSTREAM
    assert repr(DOWNSTREAM) == "DOWNSTREAM"


def test_consumers_read_well():
    assert str(Consumer("load", dag="reporting")) == "reporting:load"
    assert str(Consumer("load", any_run=True)) == "load (any run)"
