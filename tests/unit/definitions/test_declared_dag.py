"""What is read off a Dag: scopes, inputs and how a scope was lost; and which scopes its outputs may have."""

from __future__ import annotations

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG, BaseOperator, TaskGroup, task

from airflow_provider_exclusive.decorators.exclusive import exclusive_task
from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag, DeclaredTask, Input
from airflow_provider_exclusive.definitions.hook import consumers
from airflow_provider_exclusive.operators.trigger_dagrun import ExclusiveTriggerDagRunOperator
from airflow_provider_exclusive.scopes.consumers import OutputDeclaration, ScopeDeclaration
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import Clause
from airflow_provider_exclusive.scopes.source_line import SourceLine


@pytest.fixture
def dag():
    with DAG("etl", schedule=None) as dag:
        yield dag


def python(task_id, **arguments):
    return PythonOperator(task_id=task_id, python_callable=print, **arguments)


class Forgetful(BaseOperator):
    """An operator whose ``__init__`` forgets the hook that it is given."""

    def __init__(self, *, pre_execute=None, **kwargs):
        super().__init__(**kwargs)


class TestLostScopes:
    def test_a_hook_that_lacks_its_parentheses(self, dag):
        assert DeclaredTask.of(python("extract", pre_execute=consumers)).has_uncalled_hook

    def test_an_override_of_an_exclusive_task(self, dag):
        decorated = exclusive_task(lambda: 1, task_id="extract").override(pre_execute=print)
        found = DeclaredTask.of(decorated().operator)
        assert (found.lost_scope, found.dropped_scope) == (True, False)

    @pytest.mark.parametrize("task_hook", [print, lambda context: None])
    def test_a_task_that_drops_the_default(self, task_hook):
        with DAG("etl", schedule=None, default_args={"pre_execute": consumers("load")}):
            found = DeclaredTask.of(python("extract", pre_execute=task_hook))
        assert (found.dropped_scope, found.lost_scope, found.outputs) == (True, False, None)

    def test_a_task_that_drops_that_of_its_group(self, dag):
        with TaskGroup("group", default_args={"pre_execute": consumers("load")}):
            assert DeclaredTask.of(python("extract", pre_execute=print)).dropped_scope

    def test_an_operator_that_swallows_it(self, dag):
        found = DeclaredTask.of(Forgetful(task_id="extract", pre_execute=consumers("load")))
        assert found.swallowed_by == "Forgetful"

    def test_a_swallowed_hook_of_the_users_is_none(self, dag):
        assert DeclaredTask.of(Forgetful(task_id="extract", pre_execute=print)).swallowed_by is None

    def test_an_output_that_its_trigger_writes(self, dag):
        sensor = DateTimeSensorAsync(task_id="wait", target_time="2030-01-01", end_from_trigger=True)
        assert DeclaredTask.of(sensor).ends_from_trigger

    def test_none_is_lost_where_it_holds(self):
        with DAG("etl", schedule=None, default_args={"pre_execute": consumers("load")}):
            found = DeclaredTask.of(python("extract"))
        lost = (found.lost_scope, found.dropped_scope, found.swallowed_by, found.has_uncalled_hook)
        assert lost == (False, False, None, False)


class TestATask:
    def test_a_plain_one_declares_nothing(self, dag):
        assert DeclaredTask.of(EmptyOperator(task_id="plain")) == DeclaredTask("plain")

    def test_an_exclusive_one_has_scope_codec_and_line(self, dag):
        hook = consumers("load", codec="arrow")
        found = DeclaredTask.of(python("extract", pre_execute=hook))
        assert (found.outputs, found.declared_at) == (hook.outputs, hook.declared_at)
        assert found.scope == ScopeDeclaration.parse("load")

    def test_its_inputs_count_once(self, dag):
        value = python("extract").output
        found = DeclaredTask.of(python("load", op_args=[value, [value]], op_kwargs={"rows": value}))
        assert found.inputs == (Input("etl", "extract", "return_value"),)
        assert found.lazy_inputs == ()

    def test_an_input_from_a_mapped_task_is_lazy(self, dag):
        mapped = task(task_id="mapped")(lambda x: x).expand(x=[1])
        found = DeclaredTask.of(python("load", op_args=[mapped, python("single").output]))
        assert found.lazy_inputs == ("mapped",)

    def test_it_knows_its_downstream_tasks(self, dag):
        extract = python("extract")
        extract >> [python("load"), python("audit")]
        assert DeclaredTask.of(extract).downstream == {"load", "audit"}

    def test_what_it_hands_over_has_names(self, dag):
        python("extract")
        trigger = ExclusiveTriggerDagRunOperator(
            task_id="hand_over", trigger_dag_id="child", exclusive_keys={"rows": ("extract", "frame")}
        )
        assert DeclaredTask.of(trigger).hands_over == {("extract", "frame"): "rows"}

    @pytest.mark.parametrize("is_asked", [True, False])
    def test_it_has_parts_if_asked_for(self, dag, is_asked):
        output = exclusive_task(print, multiple_outputs=is_asked, task_id="extract")()
        assert DeclaredTask.of(output.operator).has_parts is is_asked


def test_a_dag_knows_its_file_and_tasks(dag):
    python("extract", pre_execute=consumers("load"))
    python("load")
    found = DeclaredDag.of(dag)
    assert (found.dag_id, found.file, list(found.tasks)) == ("etl", __file__, ["extract", "load"])
    assert [task.task_id for task in found.exclusive_tasks] == ["extract"]
    assert found.identity_of("load").is_same_task(TaskIdentity("etl", "any", "load"))


def scopes(spec, key, *, has_parts=False):
    """Return the tasks that each scope which an output may have names."""
    outputs = OutputDeclaration(ScopeDeclaration.parse(spec))
    extract = DeclaredTask("extract", outputs, SourceLine("/dags/etl.py", 7), has_parts=has_parts)
    found = DeclaredDag("etl", "/dags/etl.py", {"extract": extract}).possible_scopes_of(extract, key)
    return [[clause.task_id for clause in scope.clauses] for scope in found]


class TestPossibleScopes:
    def test_a_key_that_is_not_named_is_for_nobody(self):
        assert scopes({"rows": ["load"]}, "frame") == [[]]

    def test_a_key_has_one(self):
        assert scopes({"rows": ["load"], "frame": ["audit"]}, "rows") == [["load"]]

    def test_the_whole_of_one_output_has_one(self):
        assert scopes({"return_value": ["load"], "rows": []}, "return_value") == [["load"]]

    def test_the_whole_of_parts_is_what_they_share(self):
        spec = {"rows": ["load", "audit"], "frame": ["load"]}
        assert scopes(spec, "return_value", has_parts=True) == [["load"]]

    def test_a_part_has_its_own(self):
        assert scopes({"rows": ["load", "audit"], "frame": ["load"]}, "rows", has_parts=True) == [["load", "audit"]]

    def test_the_whole_may_have_its_own(self):
        spec = {"return_value": ["load"], "rows": [], "*": ["audit"]}
        assert scopes(spec, "return_value", has_parts=True) == [["load"]]

    def test_of_unknown_parts_any_may_be_the_whole(self):
        assert scopes({"log": ["audit"], "*": ["load"]}, "return_value", has_parts=True) == [["audit"], ["load"]]


def test_downstream_stands_for_the_tasks_below(dag):
    extract = python("extract", pre_execute=consumers())
    extract >> python("load")
    found = DeclaredDag.of(dag)
    (clause,) = found.scope_of(found.tasks["extract"], "return_value").clauses
    assert isinstance(clause, Clause)
    assert (clause.dag_id, clause.task_id) == ("etl", "load")
