"""How functions of Airflow are replaced: all of them as expected, or none is touched. Tried on modules made here."""

from __future__ import annotations

import copy
import functools
import inspect
import threading
from types import ModuleType

import pytest

from airflow_provider_exclusive.compat.replace import (
    Replacement,
    UnsupportedAirflowError,
    original_of,
    replace_functions,
)

SOURCE = """
def first(a, b=2):
    return ["first", a, b]

def second(a, b):
    return ["second", a, b]

class Group:
    def method(self, *, a=1):
        return ["method", a]

registered = first
"""
WAYS = pytest.mark.parametrize("bodies", [False, True], ids=["attribute", "body"])


@pytest.fixture
def module():
    module = ModuleType("airflow.made_up")
    exec(SOURCE, vars(module))
    return module


def shouting(original):
    """Leave Airflow's own at work, and say so."""
    return lambda **arguments: [*original(**arguments), "replaced"]


def shouting_twice(original):
    return lambda **arguments: [*original(**arguments), "replaced", "again"]


def holding(lock, original):
    """Hold what nobody can copy."""
    return lambda **arguments: (lock, original(**arguments))


def replacement(create=shouting, parameters=("a", "b"), **options):
    return Replacement(create, parameters, **options)


def code_of(module):
    return {name: (getattr(module, name, None), getattr(module, name).__code__) for name in ("first", "second")}


async def a_coroutine(a, b): ...


def closure():
    enclosed = 3

    def function(a, b):
        return enclosed, a, b

    return function


class TestRefused:
    @WAYS
    @pytest.mark.parametrize(
        "changed",
        [None, 3, lambda a: None, lambda b, a: None, lambda a, b, c: None, a_coroutine],
        ids=["missing", "no function", "fewer", "other order", "more", "coroutine"],
    )
    def test_no_function_is_replaced_if_one_differs(self, module, changed, bodies):
        module.third = changed
        before = code_of(module)

        with pytest.raises(UnsupportedAirflowError) as refused:
            replace_functions(module, dict.fromkeys(["first", "third", "second"], replacement()), bodies=bodies)

        assert refused.value.expected == "airflow.made_up.third(a, b)"
        assert refused.value.expected in str(refused.value)
        assert code_of(module) == before
        assert module.third is changed
        assert module.first(a=1) == ["first", 1, 2]

    @WAYS
    def test_a_function_that_is_gone_is_refused(self, module, bodies):
        with pytest.raises(UnsupportedAirflowError, match=r"airflow\.made_up\.third\(\).*found nothing"):
            replace_functions(module, {"third": replacement(parameters=())}, bodies=bodies)

        assert not hasattr(module, "third")

    @WAYS
    def test_an_expected_parameter_must_be_there_among_others(self, module, bodies):
        with pytest.raises(UnsupportedAirflowError, match=r"first\(a, c\).*found \(a, b\)"):
            replace_functions(module, {"first": replacement(parameters=("a", "c"), accepts_others=True)}, bodies=bodies)

    @pytest.mark.parametrize(
        "found",
        [closure(), functools.partial(closure())],
        ids=["closure", "partial"],
    )
    def test_what_has_no_body_of_its_own_gets_no_other(self, module, found):
        module.first = found

        with pytest.raises(UnsupportedAirflowError, match=r"plain function airflow\.made_up\.first\(a, b\)"):
            replace_functions(module, {"second": replacement(), "first": replacement()}, bodies=True)

        assert module.second(1, 2) == ["second", 1, 2]

    def test_a_method_is_named_with_its_class(self, module):
        with pytest.raises(UnsupportedAirflowError, match=r"airflow\.made_up\.Group\.method\(self, b\)"):
            replace_functions(module.Group, {"method": replacement(parameters=("self", "b"))})

    @WAYS
    def test_a_second_call_is_refused_as_the_first_and_leaves_it(self, module, bodies):
        replace_functions(module, {"first": replacement()}, bodies=bodies)

        with pytest.raises(UnsupportedAirflowError):
            replace_functions(module, {"first": replacement(parameters=("a",))}, bodies=bodies)

        assert module.first(a=1, b=3) == ["first", 1, 3, "replaced"]


class TestReplaced:
    @WAYS
    def test_the_other_function_runs_and_can_call_the_original(self, module, bodies):
        replace_functions(module, dict.fromkeys(["first", "second"], replacement()), bodies=bodies)

        assert module.first(a=1, b=3) == ["first", 1, 3, "replaced"]
        assert module.second(a=1, b=3) == ["second", 1, 3, "replaced"]
        assert original_of(module.first)(1) == ["first", 1, 2]

    @WAYS
    def test_name_and_signature_stay(self, module, bodies):
        signature = inspect.signature(module.first)

        replace_functions(module, {"first": replacement()}, bodies=bodies)

        assert inspect.signature(module.first) == signature
        assert module.first.__name__ == "first"

    @WAYS
    def test_other_parameters_are_passed_on_if_accepted(self, module, bodies):
        replace_functions(module, {"first": replacement(parameters=("b",), accepts_others=True)}, bodies=bodies)

        assert module.first(a=1, b=3) == ["first", 1, 3, "replaced"]

    @WAYS
    def test_a_second_call_replaces_the_first(self, module, bodies):
        replace_functions(module, {"first": replacement()}, bodies=bodies)
        original = original_of(module.first)

        replace_functions(module, {"first": replacement(shouting_twice)}, bodies=bodies)

        assert module.first(a=1, b=3) == ["first", 1, 3, "replaced", "again"]
        assert original_of(module.first) is original

    @WAYS
    def test_the_same_call_again_changes_nothing(self, module, bodies):
        replace_functions(module, {"first": replacement()}, bodies=bodies)
        before = code_of(module)

        replace_functions(module, {"first": replacement()}, bodies=bodies)

        assert code_of(module) == before

    def test_a_body_is_replaced_for_those_who_hold_the_function(self, module):
        replace_functions(module, {"first": replacement()}, bodies=True)

        assert module.registered(1) == ["first", 1, 2, "replaced"]

    def test_an_attribute_is_replaced_for_no_others(self, module):
        replace_functions(module, {"first": replacement()})

        assert module.registered(1) == ["first", 1, 2]

    def test_a_closure_can_be_wrapped(self, module):
        module.first = closure()

        replace_functions(module, {"first": replacement(lambda original: lambda a, b: original(a, b)[::-1])})

        assert module.first(1, 2) == (2, 1, 3)

    def test_a_method_is_wrapped(self, module):
        replace_functions(
            module.Group,
            {"method": replacement(lambda original: lambda self, **named: original(self, **named)[1], ("self", "a"))},
        )

        assert module.Group().method(a=3) == 3

    def test_what_was_not_replaced_is_its_own_original(self, module):
        assert original_of(module.first) is module.first
        assert original_of(None) is None

    @WAYS
    def test_a_function_put_there_since_is_replaced_again(self, module, bodies):
        replace_functions(module, {"second": replacement()}, bodies=bodies)
        module.second = vars(module)["registered"]

        replace_functions(module, {"second": replacement()}, bodies=bodies)

        assert module.second(a=1, b=3) == ["first", 1, 3, "replaced"]

    def test_a_wrapper_that_is_put_back_is_not_wrapped_again(self, module):
        replace_functions(module, {"first": replacement()})
        wrapper, module.first = module.first, original_of(module.first)
        replace_functions(module, {"first": replacement()})
        module.first = wrapper

        replace_functions(module, {"first": replacement()})

        assert module.first is wrapper

    def test_nor_is_one_that_somebody_else_wrapped(self, module):
        replace_functions(module, {"first": replacement()})
        module.first = theirs = functools.wraps(module.first)(lambda *args: "theirs")

        replace_functions(module, {"first": replacement()})

        assert module.first is theirs

    def test_a_function_with_another_body_can_be_copied(self, module):
        lock = threading.Lock()
        replace_functions(module, {"first": replacement(functools.partial(holding, lock))}, bodies=True)

        assert copy.deepcopy(vars(module.first)) == vars(module.first)
