"""What ``airflow exclusive scopes`` says of a Dag: each exclusive task, its keys, and who may read them."""

from __future__ import annotations

import pytest

from airflow_provider_exclusive.cli.scope_report import CALLER, DagScopes, KeyScope, describe
from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag, DeclaredTask, Input
from airflow_provider_exclusive.scopes.consumers import (
    DOWNSTREAM,
    Consumer,
    OutputDeclaration,
    ScopeDeclaration,
)
from airflow_provider_exclusive.scopes.source_line import SourceLine

LINE = SourceLine("/dags/etl.py", 7)


def exclusive(spec, task_id="extract", *, codec=None, declared_at=LINE, **facts):
    outputs = OutputDeclaration(ScopeDeclaration.parse(spec), codec)
    return DeclaredTask(task_id, outputs, declared_at, **facts)


def reader(task_id, key="return_value", dag_id="etl"):
    return DeclaredTask(task_id, inputs=(Input(dag_id, "extract", key),))


def report(*tasks) -> DagScopes:
    return describe(DeclaredDag("etl", LINE.path, {task.task_id: task for task in tasks}))


def keys(*tasks) -> dict[str, KeyScope]:
    return {key.key: key for key in report(*tasks).tasks[0].keys}


class TestADag:
    def test_contradictions_are_told(self):
        (message,) = report(exclusive(["laod"]), DeclaredTask("load")).contradictions
        assert "did you mean 'load'?" in message

    def test_a_dag_without_scopes_has_no_tasks(self):
        assert report(DeclaredTask("plain")) == DagScopes("etl", "/dags/etl.py", (), ())

    def test_exclusive_tasks_are_sorted_and_plain_ones_left_out(self):
        found = report(exclusive([], "b"), DeclaredTask("plain"), exclusive([], "a"))
        assert [task.task_id for task in found.tasks] == ["a", "b"]


class TestATask:
    @pytest.mark.parametrize(("line", "shown"), [(LINE, "/dags/etl.py:7"), (None, None)])
    def test_its_line_is_shown_where_known(self, line, shown):
        assert report(exclusive([], declared_at=line)).tasks[0].declared_at == shown

    @pytest.mark.parametrize("codec", [None, "cloudpickle"])
    def test_its_codec_is_shown_if_asked_for(self, codec):
        assert report(exclusive([], codec=codec)).tasks[0].codec == codec


class TestKeys:
    def test_what_stands_for_the_rest_comes_last(self):
        found = keys(exclusive({"*": "load", "rows": "load"}), DeclaredTask("load"))
        assert list(found) == ["rows", "*"]

    def test_a_key_that_is_only_read_is_shown(self):
        found = keys(exclusive({"rows": "load"}), reader("load", "frame"))
        assert list(found) == ["rows", "frame"]
        assert (found["frame"].may_read, found["frame"].consumers, found["frame"].input_of) == ((), (), ("load",))

    def test_readers_of_a_key_are_sorted(self):
        found = keys(exclusive("*"), reader("load"), reader("audit"), reader("other", "rows"))
        assert found["return_value"].input_of == ("audit", "load")
        assert found["rows"].input_of == ("other",)
        assert found["*"].input_of == ()

    def test_an_input_from_another_dag_is_none_of_it(self):
        assert list(keys(exclusive("load"), reader("load", dag_id="other"))) == ["*"]

    def test_the_whole_of_parts_is_shown(self):
        parts = exclusive({"a": ["both", "one"], "b": ["both"]}, has_parts=True)
        found = keys(parts, DeclaredTask("both"), DeclaredTask("one"))
        assert {key: scope.may_read for key, scope in found.items()} == {
            "a": ("both", "one"),
            "b": ("both",),
            "return_value": ("both",),
        }

    def test_but_not_where_one_scope_is_for_all(self):
        assert list(keys(exclusive("load", has_parts=True), DeclaredTask("load"))) == ["*"]


class TestWhoMayRead:
    def test_an_empty_scope_admits_nobody(self):
        assert keys(exclusive([]), DeclaredTask("load"))["*"].readers == ()

    def test_globs_admit_the_tasks_that_match(self):
        found = keys(exclusive("l*"), DeclaredTask("log"), DeclaredTask("load"), DeclaredTask("audit"))["*"]
        assert (found.consumers, found.may_read) == (("l*",), ("load", "log"))

    def test_the_producer_itself_is_not_named(self):
        assert keys(exclusive("*"), DeclaredTask("load"))["*"].may_read == ("load",)

    def test_downstream_means_the_tasks_below(self):
        found = keys(exclusive(DOWNSTREAM, downstream=frozenset({"load"})), DeclaredTask("load"), DeclaredTask("x"))
        assert (found["*"].consumers, found["*"].may_read) == (("DOWNSTREAM",), ("load",))

    def test_another_dag_is_named_with_its_task(self):
        found = keys(exclusive(["reporting:*", "load"]), DeclaredTask("load"))["*"]
        assert (found.may_read, found.other_dags) == (("load",), ("reporting:*",))

    def test_any_run_is_shown_as_such(self):
        found = keys(exclusive(Consumer("load", any_run=True)), DeclaredTask("load"))["*"]
        assert found.consumers == ("load (any run)",)

    def test_the_caller_is_no_task_of_the_dag(self):
        found = keys(exclusive("caller"), DeclaredTask("caller"))["*"]
        assert (found.admits_caller, found.may_read, found.consumers) == (True, (), ("caller",))

    def test_all_readers_stand_in_order(self):
        found = keys(exclusive(["caller", "other:read", "load"]), DeclaredTask("load"))["*"]
        assert found.readers == ("load", "other:read", CALLER)
