"""What is read off operators of ``airflow.sdk``: hooks, arguments, inputs, loops and keys of Airflow itself."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunLink, TriggerDagRunOperator
from airflow.sdk import DAG, BaseOperator, TaskGroup, task

from airflow_provider_exclusive.compat import dag as compat


@pytest.fixture(autouse=True)
def dag():
    """The Dag that each test defines."""
    with DAG("etl", schedule=None) as dag:
        yield dag


def hook(context):
    """A hook of the user's own."""


def function(): ...


def python(task_id="extract", **arguments):
    return PythonOperator(task_id=task_id, python_callable=print, **arguments)


def mapped(task_id="mapped", expanded=None, **arguments):
    partial = PythonOperator.partial(task_id=task_id, python_callable=print, **arguments)
    return partial.expand(op_args=expanded or [[1], [2]])


class Forgetful(BaseOperator):
    """An operator whose ``__init__`` forgets the hook that it is given."""

    def __init__(self, *, pre_execute=None, **kwargs):
        super().__init__(**kwargs)


class TestHooks:
    def test_a_task_without_one_has_none(self):
        assert compat.pre_execute_of(python()) is None
        assert compat.pre_execute_of(mapped()) is None
        assert compat.pre_execute_of(SimpleNamespace()) is None

    def test_that_of_a_task_and_of_a_mapped_one(self):
        assert compat.pre_execute_of(python(pre_execute=hook)) is hook
        assert compat.pre_execute_of(mapped(pre_execute=hook)) is hook

    def test_one_that_was_dropped_was_given_all_the_same(self):
        forgetful = Forgetful(task_id="extract", pre_execute=hook)
        assert compat.pre_execute_of(forgetful) is None
        assert compat.given_pre_execute(forgetful) is hook

    def test_none_was_given_to_a_task_without_one(self):
        assert compat.given_pre_execute(python()) is None
        assert compat.given_pre_execute(SimpleNamespace()) is None


class TestDefaultHooks:
    def test_there_is_none_by_default(self):
        assert compat.default_pre_execute(python()) is None

    def test_that_of_the_dag_holds_for_its_tasks(self):
        with DAG("with_default", schedule=None, default_args={"pre_execute": hook}):
            assert compat.default_pre_execute(python(pre_execute=print)) is hook

    def test_that_of_a_group_comes_first(self):
        with (
            DAG("with_default", schedule=None, default_args={"pre_execute": print}),
            TaskGroup("group", default_args={"pre_execute": hook}),
        ):
            assert compat.default_pre_execute(python()) is hook

    def test_a_task_may_be_in_no_group(self):
        alone = SimpleNamespace(task_group=None, dag=SimpleNamespace(default_args={"pre_execute": hook}))
        assert compat.default_pre_execute(alone) is hook


class TestChainedHooks:
    @pytest.mark.parametrize("one", [None, hook, print, lambda context: None])
    def test_a_hook_of_the_users_chains_none(self, one):
        assert list(compat.chained_hooks(one)) == []

    def test_a_hook_that_closes_over_hooks_chains_none(self):
        hooks = (hook,)
        assert list(compat.chained_hooks(lambda context: hooks)) == []

    @pytest.mark.parametrize("condition", [task.run_if, task.skip_if])
    def test_a_condition_chains_the_hook_below(self, condition):
        decorated = condition(lambda context: True)(task(pre_execute=hook)(function))
        assert hook in list(compat.chained_hooks(decorated.kwargs["pre_execute"]))

    def test_a_condition_over_no_hook_chains_none_of_the_users(self):
        decorated = task.run_if(lambda context: True)(task(function))
        assert hook not in list(compat.chained_hooks(decorated.kwargs["pre_execute"]))

    def test_a_condition_without_a_closure_chains_none(self):
        def condition(context): ...

        condition.__module__ = "airflow.sdk.definitions.decorators.condition"
        assert list(compat.chained_hooks(condition)) == []


class TestArguments:
    def test_an_argument_that_a_task_does_not_have_is_none(self):
        assert compat.argument_of(python(), "exclusive_keys") is None
        assert compat.argument_of(mapped(), "exclusive_keys") is None

    def test_one_of_a_task_and_of_a_mapped_one(self):
        assert compat.argument_of(python(op_args=[1]), "op_args") == [1]
        assert compat.argument_of(mapped(op_kwargs={"a": 1}), "op_kwargs") == {"a": 1}

    def test_one_of_a_mapped_decorated_task(self):
        output = task(task_id="mapped", multiple_outputs=True)(lambda x: x).expand(x=[1])
        assert compat.argument_of(output.operator, "multiple_outputs") is True

    def test_one_that_only_the_class_has(self):
        assert compat.argument_of(mapped(), "template_ext") == PythonOperator.template_ext

    def test_a_field_is_as_the_author_gave_it(self):
        assert compat.field_of(python(op_args=["{{ ds }}"]), "op_args", default=None) == ["{{ ds }}"]
        assert compat.field_of(mapped(op_kwargs={"a": 1}), "op_kwargs", default=None) == {"a": 1}

    def test_a_missing_field_is_the_default(self):
        assert compat.field_of(python(), "no_such_field", default="default") == "default"
        assert compat.field_of(mapped(), "op_args", default="default") == "default"

    def test_which_tasks_are_mapped(self):
        assert not compat.is_mapped(python())
        assert compat.is_mapped(mapped())


class TestDecorators:
    def test_a_classic_operator_has_none(self):
        assert compat.decorator_of(python()) is None
        assert compat.decorator_of(mapped()) is None

    def test_a_task_tells_its_own_also_if_mapped(self):
        assert compat.decorator_of(task.bash(task_id="one")(lambda: "true")().operator) == "@task.bash"
        assert compat.decorator_of(task(task_id="two")(lambda x: x).expand(x=[1]).operator) == "@task"


def test_a_logger_can_be_replaced():
    log = logging.getLogger("another")
    operator = python()
    compat.set_log(operator, log)
    assert operator.log is log


class TestInputs:
    def inputs_of(self, reader):
        return [(producer.task_id, key) for producer, key in compat.inputs_of(reader)]

    def test_a_task_without_outputs_as_arguments_has_none(self):
        assert self.inputs_of(python(op_args=[1, "extract"])) == []
        assert self.inputs_of(mapped()) == []

    def test_those_nested_in_template_fields(self):
        value = python().output
        reader = BashOperator(task_id="read", bash_command="true", env={"A": value})
        assert self.inputs_of(reader) == [("extract", "return_value")]

    def test_those_of_partial_and_expand(self):
        one, two = python("one").output["key"], python("two").output
        reader = mapped(expanded=two, op_kwargs={"a": [one]})
        assert sorted(self.inputs_of(reader)) == [("one", "key"), ("two", "return_value")]

    def test_those_of_combined_outputs(self):
        value = python().output
        found = compat.references_in([value.map(str), {"a": value.zip(python("other").output)}])
        assert [producer.task_id for producer, _ in found] == ["extract", "extract", "other"]

    def test_what_is_handed_over_is_known_by_name(self):
        value = python().output
        found = compat.names_of({"rows": value, "again": value, "part": value["frame"]})
        assert found == {("extract", "return_value"): "rows", ("extract", "frame"): "part"}

    @pytest.mark.parametrize("outputs", [None, [], "rows"])
    def test_what_is_no_mapping_has_no_names(self, outputs):
        assert compat.names_of(outputs) == {}


class TestDownstream:
    def test_tasks_further_down_are_not_direct(self):
        first, second, third = python("first"), python("second"), python("third")
        first >> second >> third
        assert compat.downstream_of(first) == {"second"}
        assert compat.downstream_of(third) == set()

    def test_in_a_loop_readers_count_as_well(self, dag):
        with TaskGroup("loop") as loop, TaskGroup("inner"):
            looped = python("looped")
        loop.gate_task_id = "loop.gate"
        looped >> python("below")
        reader, other = python("reader", op_args=[looped.output]), python("other")
        # As in Airflow 3.4, where a reader outside depends on the gate.
        looped.downstream_task_ids.discard(reader.task_id)
        assert compat.downstream_of(looped) == {"below", "reader"}
        assert compat.downstream_of(other) == set()

    def test_which_tasks_are_in_a_loop(self):
        with TaskGroup("plain"), TaskGroup("loop") as loop, TaskGroup("inner"):
            looped = python("looped")
        assert not compat.is_in_loop(looped)
        loop.gate_task_id = "loop.gate"
        assert compat.is_in_loop(looped)
        assert not compat.is_in_loop(SimpleNamespace(task_group=None))


def trigger():
    return TriggerDagRunOperator(task_id="trigger", trigger_dag_id="child")


class TestKeysOfAirflow:
    @pytest.mark.parametrize("key", ["return_value", "rows", "trigger_run_id", None])
    def test_those_of_a_plain_task_are_its_own(self, key):
        assert not compat.is_airflows_own(key, EmptyOperator(task_id="plain"))

    def test_what_skips_tasks_is_airflows_in_any_task(self):
        assert compat.is_airflows_own("skipmixin_key", python())
        assert compat.is_airflows_own("skipmixin_key", mapped())

    @pytest.mark.parametrize("key", ["trigger_run_id", TriggerDagRunLink().xcom_key])
    def test_a_trigger_has_a_run_id_and_a_link(self, key):
        assert compat.is_airflows_own(key, trigger())

    def test_so_has_a_mapped_trigger(self):
        partial = TriggerDagRunOperator.partial(task_id="trigger", trigger_dag_id="child")
        assert compat.is_airflows_own("trigger_run_id", partial.expand(trigger_run_id=["one"]))

    def test_its_own_output_is_not_airflows(self):
        assert not compat.is_airflows_own("return_value", trigger())
