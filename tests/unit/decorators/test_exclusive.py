"""What ``@exclusive_task`` accepts as a scope, what it makes of a function, and which functions it refuses."""

from __future__ import annotations

import functools

import pytest
from airflow.sdk import DAG, setup, task, task_group, teardown

from airflow_provider_exclusive.decorators.exclusive import exclusive_task
from airflow_provider_exclusive.definitions.hook import consumers, find_hook
from airflow_provider_exclusive.exceptions import InvalidScopeError
from airflow_provider_exclusive.scopes.consumers import DOWNSTREAM, Consumer


def extract():
    """Return something; stands for a function of a Dag's author."""


def my_hook(context):
    """A hook of the author's own."""


def operator_of(decorated):
    with DAG("etl", schedule=None):
        return decorated().operator


class TestScopesThatAreRefused:
    def test_two_scopes(self):
        with pytest.raises(InvalidScopeError, match=r"^/.*py:\d+: @exclusive_task got two scopes: 'load' and 'other'"):
            exclusive_task("load", consumers="other")

    def test_a_second_one_as_pre_execute(self):
        with pytest.raises(InvalidScopeError, match="A task has one scope"):
            exclusive_task(consumers=["load"], pre_execute=consumers("*"))

    @pytest.mark.parametrize("spec", ["", [3], {}, {"rows": [""]}, 7])
    def test_an_impossible_clause_with_its_line(self, spec):
        with pytest.raises(InvalidScopeError) as refusal:
            exclusive_task(consumers=spec)
        assert str(refusal.value).startswith(f"{__file__}:")

    def test_an_unknown_codec(self):
        with pytest.raises(InvalidScopeError, match="codec='json' is not the name of a codec"):
            exclusive_task(codec="json")

    @pytest.mark.parametrize("argument", ["consumers", "codec", "mask", "then"])
    def test_an_override_of_the_scope_itself(self, argument):
        wrong = exclusive_task(extract).override(**{argument: "load"})
        with pytest.raises(InvalidScopeError, match=rf"\.override\({argument}=…\) is not supported. Write \.override"):
            operator_of(wrong)


class TestFunctionsThatAreRefused:
    """A task already: Airflow would copy what the inner decorator set over what the outer one set."""

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (lambda: task(extract), "by @task. The scope"),
            (lambda: task.bash(extract), "by @task.bash. The scope"),
            (lambda: task.run_if(lambda _: True)(task(extract)), "by @task. The scope"),
            (lambda: functools.partial(task(extract)), "by @task. The scope"),
            (lambda: functools.partial(functools.partial(task.bash(extract))), "by @task.bash. The scope"),
        ],
    )
    def test_another_task_is_to_take_the_scope_itself(self, make, said):
        with pytest.raises(InvalidScopeError) as refusal:
            exclusive_task(make())
        kind = said.removeprefix("by ").partition(". The")[0]
        assert said in str(refusal.value)
        assert str(refusal.value).endswith(f"would be lost. Write {kind}(pre_execute=consumers(…)) alone.")

    @pytest.mark.parametrize(("kind", "decorate"), [("setup", setup), ("teardown", teardown)])
    def test_setup_and_teardown_are_to_be_swapped(self, kind, decorate):
        with pytest.raises(InvalidScopeError, match=f"already, by @{kind}") as refusal:
            exclusive_task(decorate(extract))
        assert str(refusal.value).endswith(f"Swap the two decorators: @{kind} above @exclusive_task.")

    def test_an_exclusive_task_has_one_scope(self):
        with pytest.raises(InvalidScopeError, match=r"by @task\.exclusive.*Write one scope\.$"):
            exclusive_task(consumers=[])(exclusive_task(extract))

    @pytest.mark.parametrize("decorate", [exclusive_task, exclusive_task("load"), exclusive_task()])
    def test_each_way_to_decorate_names_task_and_line(self, decorate):
        with pytest.raises(InvalidScopeError, match="'extract' is a task already") as refusal:
            decorate(task(extract))
        assert str(refusal.value).startswith(f"{__file__}:")

    def test_one_without_a_name_is_refused_too(self):
        class Decorator:
            _airflow_is_task_decorator = True

            def __call__(self): ...

        with pytest.raises(InvalidScopeError, match="'the function' is a task already, by @task"):
            exclusive_task(Decorator())

    def test_a_task_group_is_no_function(self):
        with pytest.raises(InvalidScopeError, match=r"expected a function, or a scope such as 'load'"):
            exclusive_task(task_group(extract))


def scope_of(decorated):
    return find_hook(operator_of(decorated)).declaration.by_key


class TestScopes:
    @pytest.mark.parametrize("decorate", [exclusive_task, exclusive_task(), exclusive_task(consumers=None)])
    def test_without_one_downstream_tasks_read(self, decorate):
        assert scope_of(decorate(extract)) == {"*": (DOWNSTREAM,)}

    @pytest.mark.parametrize("decorate", [exclusive_task("load"), exclusive_task(consumers="load")])
    def test_it_may_stand_first(self, decorate):
        assert scope_of(decorate(extract)) == {"*": (Consumer("load"),)}

    @pytest.mark.parametrize("clauses", [("load", "report"), (["load", "report"],)])
    def test_it_takes_what_consumers_takes(self, clauses):
        assert scope_of(exclusive_task(*clauses)(extract)) == consumers(*clauses).declaration.by_key

    def test_the_function_may_be_named_or_stand_before_multiple_outputs(self):
        assert scope_of(exclusive_task(python_callable=extract, consumers="load")) == {"*": (Consumer("load"),)}
        assert operator_of(exclusive_task(extract, True)).multiple_outputs is True

    def test_an_empty_one_is_no_missing_one(self):
        assert scope_of(exclusive_task([])(extract)) == {"*": ()}

    def test_an_override_may_replace_it(self):
        decorated = exclusive_task("load")(extract).override(pre_execute=consumers("other"))
        assert scope_of(decorated) == {"*": (Consumer("other"),)}

    @pytest.mark.parametrize("above", [setup, teardown, task.run_if(lambda _: True)])
    def test_it_holds_below_another_decorator(self, above):
        assert scope_of(above(exclusive_task("load")(extract))) == {"*": (Consumer("load"),)}

    def test_it_holds_for_a_mapped_task(self):
        with DAG("etl", schedule=None):
            mapped = exclusive_task("load")(lambda x: x).expand(x=[1, 2]).operator
        assert find_hook(mapped).declaration.by_key == {"*": (Consumer("load"),)}


class TestTheTask:
    def test_it_is_named_after_the_function(self):
        operator = operator_of(exclusive_task(extract))
        assert (operator.task_id, operator.custom_operator_name) == ("extract", "@task.exclusive")

    def test_hook_and_codec_of_the_author_are_kept(self):
        hook = find_hook(operator_of(exclusive_task(codec="arrow", pre_execute=my_hook)(extract)))
        assert (hook.codec, hook.then) == ("arrow", my_hook)

    def test_a_hook_may_be_given_as_consumers_takes_it(self):
        assert find_hook(operator_of(exclusive_task("load", then=my_hook)(extract))).then is my_hook
        with pytest.raises(InvalidScopeError, match="got two hooks"):
            exclusive_task("load", then=my_hook, pre_execute=my_hook)

    def test_a_hook_of_default_args_is_still_run(self):
        assert find_hook(operator_of(exclusive_task(extract))).inherits

    def test_multiple_outputs_may_be_asked_for(self):
        assert operator_of(exclusive_task(multiple_outputs=True)(extract)).multiple_outputs is True

    def test_other_arguments_reach_the_task(self):
        assert operator_of(exclusive_task(task_id="mine", retries=3)(extract)).retries == 3

    def test_the_function_stays_callable(self):
        assert exclusive_task("load")(lambda x: x + 1).function(1) == 2
