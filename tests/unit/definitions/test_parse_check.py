"""What contradicts the scopes of a Dag, without Airflow: each kind alone, with the message that its author reads."""

from __future__ import annotations

import pytest

from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag, DeclaredTask, Input
from airflow_provider_exclusive.definitions.parse_check import find_contradictions, find_refused_pulls
from airflow_provider_exclusive.definitions.pulls import Pull
from airflow_provider_exclusive.scopes.consumers import OutputDeclaration, ScopeDeclaration
from airflow_provider_exclusive.scopes.source_line import SourceLine

LINE = SourceLine("/dags/etl.py", 7)


def exclusive(task_id, spec, **facts):
    return DeclaredTask(task_id, OutputDeclaration(ScopeDeclaration.parse(spec)), LINE, **facts)


def reader(task_id, producer="extract", key="return_value", **facts):
    return DeclaredTask(task_id, inputs=(Input("etl", producer, key),), **facts)


def contradictions(*tasks):
    return find_contradictions(DeclaredDag("etl", LINE.path, {task.task_id: task for task in tasks}))


class TestForbiddenEdges:
    def test_a_reader_outside_the_scope_is_refused(self):
        (message,) = contradictions(exclusive("extract", ["load"]), DeclaredTask("load"), reader("other"))
        assert message == (
            "Task 'other' takes key 'return_value' of task 'extract' as input, but the consumer scope of that key does "
            "not name it (declared at /dags/etl.py:7). Add 'other' to the consumers of 'return_value' in 'extract', or "
            "remove the input."
        )

    def test_nobody_may_read_under_an_empty_scope(self):
        (message,) = contradictions(exclusive("extract", []), reader("load"))
        assert "Task 'load' takes" in message

    def test_a_key_without_a_scope_is_refused(self):
        (message,) = contradictions(exclusive("extract", {"rows": ["load"]}), reader("load", key="frame"))
        assert "key 'frame'" in message

    def test_handing_over_is_refused_by_its_name(self):
        trigger = reader("trigger", hands_over={("extract", "return_value"): "rows"})
        (message,) = contradictions(exclusive("extract", ["load"]), DeclaredTask("load"), trigger)
        assert "hands over key 'return_value' of task 'extract' as 'rows'" in message
        assert message.endswith("or remove 'rows' from exclusive_keys.")

    def test_a_task_named_caller_is_added_as_a_consumer(self):
        (message,) = contradictions(exclusive("extract", ["load"]), DeclaredTask("load"), reader("caller"))
        assert "Add Consumer(task='caller')" in message

    def test_the_whole_is_for_who_may_read_every_part(self):
        parts = exclusive("extract", {"a": ["both", "one"], "b": ["both"]}, has_parts=True)
        (message,) = contradictions(parts, reader("both"), reader("one"))
        assert "Task 'one' takes" in message

    def test_unknown_parts_forbid_nothing(self):
        parts = exclusive("extract", {"log": ["audit"], "*": ["load"]}, has_parts=True)
        assert contradictions(parts, reader("load"), DeclaredTask("audit")) == []

    @pytest.mark.parametrize("spec", [["load"], "*", {"return_value": ["l*"]}])
    def test_a_reader_in_scope_is_no_contradiction(self, spec):
        assert contradictions(exclusive("extract", spec), reader("load")) == []

    def test_nor_is_a_downstream_task(self):
        from airflow_provider_exclusive import DOWNSTREAM

        producer = exclusive("extract", DOWNSTREAM, downstream=frozenset({"load"}))
        assert contradictions(producer, reader("load")) == []

    def test_plain_own_and_foreign_outputs_contradict_nothing(self):
        elsewhere = DeclaredTask("load", inputs=(Input("other", "extract", "return_value"),))
        own = exclusive("extract", [], inputs=(Input("etl", "extract", "return_value"),))
        assert contradictions(own, elsewhere) == []
        assert contradictions(DeclaredTask("extract"), reader("load")) == []


class TestRefusedPulls:
    def pull(self, reader="other", taken=("etl", "extract", "return_value")):
        tasks = (
            exclusive("extract", {"return_value": ["load"], "rows": []}),
            DeclaredTask("load"),
            DeclaredTask("other"),
        )
        dag = DeclaredDag("etl", LINE.path, {task.task_id: task for task in (*tasks, DeclaredTask("plain"))})
        return find_refused_pulls(dag, [Pull(reader, Input(*taken), "its template field 'sql'")])

    def test_one_outside_the_scope_is_named_with_its_place(self):
        (message,) = self.pull()
        assert message == (
            "Task 'other' pulls key 'return_value' of task 'extract' in its template field 'sql', which would be refused: "
            "the consumer scope of that key does not name it (declared at /dags/etl.py:7). Add 'other' to the consumers "
            "of 'return_value' in 'extract', or remove the pull."
        )

    def test_a_key_in_other_case_is_suggested(self):
        (message,) = self.pull("load", ("etl", "extract", "ROWS"))
        assert "it names the key 'rows', did you mean 'ROWS'?" in message

    def test_a_misspelled_key_is_suggested(self):
        (message,) = self.pull("load", ("etl", "extract", "row"))
        assert "it names the key 'rows', did you mean 'row'?" in message

    @pytest.mark.parametrize(
        ("reader", "taken"),
        [
            ("load", ("etl", "extract", "return_value")),
            ("extract", ("etl", "extract", "rows")),
            ("other", ("sales", "extract", "rows")),
            ("other", ("etl", "plain", "rows")),
            ("other", ("etl", "unknown", "rows")),
        ],
    )
    def test_others_say_nothing(self, reader, taken):
        assert self.pull(reader, taken) == []


class TestUnknownConsumers:
    @pytest.mark.parametrize(
        ("named", "hint"),
        [
            ("laod", "; did you mean 'load'?"),
            ("group", "; it is a task group, whose tasks are 'group.*'"),
            ("report", "; did you mean 'group.report'?"),
            ("DOWNSTREAM", "; for the direct downstream tasks write DOWNSTREAM without quotes"),
            ("LAOD", "; did you mean 'load'?"),
            ("sales.load", "; for a task of another Dag write 'sales:load'"),
            ("s.load", "; did you mean 'load', or for a task of another Dag 's:load'?"),
            ("gruop.report", "; did you mean 'group.report'?"),
            ("group.zzz", "; it has 'extract', 'group.report', 'load'"),
            ("groups.zzz", "; for a task of another Dag write 'groups:zzz'"),
            ("zzz", "; it has 'extract', 'group.report', 'load'"),
        ],
    )
    def test_it_is_named_with_what_may_be_meant(self, named, hint):
        tasks = exclusive("extract", [named]), DeclaredTask("load"), DeclaredTask("group.report")
        (message,) = contradictions(*tasks)
        assert f"names consumer {named!r} for every key, but Dag 'etl' has no such task{hint}" in message

    def test_its_key_is_named(self):
        (message,) = contradictions(exclusive("extract", {"rows": ["zzz"]}))
        assert "for key 'rows'" in message

    @pytest.mark.parametrize("spec", ["other:zzz", "caller", "etl:load", "l?ad", "*"])
    def test_another_dag_the_caller_and_globs_are_fine(self, spec):
        assert contradictions(exclusive("extract", [spec]), DeclaredTask("load")) == []


class TestLostScopes:
    def test_a_scope_on_no_task_is_refused(self):
        (message,) = find_contradictions(DeclaredDag("etl", LINE.path, {}, unused_scopes=(LINE,)))
        assert message.startswith("consumers(…) at /dags/etl.py:7 is on no task")

    def test_parentheses_are_missed(self):
        (message,) = contradictions(DeclaredTask("extract", has_uncalled_hook=True))
        assert "lacks its parentheses" in message

    def test_an_override_that_replaces_the_scope_is_refused(self):
        (message,) = contradictions(DeclaredTask("extract", lost_scope=True))
        assert ".override(pre_execute=…) replaced its scope" in message

    def test_a_task_that_drops_the_default_is_refused(self):
        (message,) = contradictions(DeclaredTask("extract", dropped_scope=True))
        assert "drops the scope that default_args gives every task" in message

    def test_a_trigger_that_writes_past_the_backend_is_refused(self):
        (message,) = contradictions(exclusive("extract", ["load"], ends_from_trigger=True), DeclaredTask("load"))
        assert "end_from_trigger=True" in message

    def test_so_is_one_whose_line_is_not_known(self):
        declaration = OutputDeclaration(ScopeDeclaration.parse("*"))
        (message,) = contradictions(DeclaredTask("extract", declaration, ends_from_trigger=True))
        assert "(declared elsewhere)" in message


def test_each_contradiction_is_told():
    tasks = exclusive("extract", ["zzz"], ends_from_trigger=True), reader("load"), reader("other")
    assert len(contradictions(*tasks)) == 4


def test_a_plain_task_has_no_scope_to_ask_for():
    with pytest.raises(ValueError, match="'load' is not exclusive"):
        _ = DeclaredTask("load").scope
