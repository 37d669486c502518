"""``{{ exclusive_input("rows") }}`` in the templates of every Dag."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG

from airflow_provider_exclusive.compat.replace import UnsupportedAirflowError, original_of
from airflow_provider_exclusive.definitions import templates
from airflow_provider_exclusive.definitions.inputs import exclusive_input
from airflow_provider_exclusive.exceptions import HandOverError
from airflow_provider_exclusive.execution_time import running_task


@pytest.fixture(autouse=True)
def airflows_own(mocker):
    """Airflow's method is its own before each test, and again after it; no task runs."""
    mocker.patch.object(DAG, "get_template_env", original_of(DAG.get_template_env))
    mocker.patch.object(running_task, "_last_seen", None)


def render(template, **dag):
    return DAG("child", **dag).get_template_env().from_string(template).render()


def test_a_dag_that_makes_no_environment_is_refused(mocker):
    mocker.patch.object(DAG, "get_template_env", None)

    with pytest.raises(UnsupportedAirflowError, match="get_template_env"):
        templates.prepare()


def test_outside_a_task_there_is_no_input():
    templates.prepare()

    with pytest.raises(HandOverError, match="'rows' was requested outside a running task"):
        render("{{ exclusive_input('rows') }}")


def test_a_template_gets_the_value():
    templates.prepare()

    with exclusive_input.overriding({"rows": 3}):
        assert render("{{ exclusive_input('rows') + 1 }}") == "4"


@pytest.mark.parametrize("call", ["exclusive_input('rows', 7)", "exclusive_input('rows', default=7)"])
def test_it_may_have_a_default(mocker, call):
    get = mocker.patch("airflow_provider_exclusive.definitions.inputs.get_exclusive_input", return_value=7)
    templates.prepare()

    assert render("{{ " + call + " }}") == "7"
    assert get.call_args in (mocker.call("rows", 7), mocker.call("rows", default=7))


def test_a_macro_of_the_dag_comes_first():
    templates.prepare()

    assert render("{{ exclusive_input('rows') }}", user_defined_macros={"exclusive_input": str.upper}) == "ROWS"


def test_the_environment_is_otherwise_airflows_own():
    templates.prepare()

    assert DAG("child").get_template_env(force_sandboxed=True).sandboxed
    assert render("{{ x }}", user_defined_macros={"x": 1}) == "1"


def test_preparing_twice_wraps_once():
    templates.prepare()
    wrapped = DAG.get_template_env
    templates.prepare()

    assert DAG.get_template_env is wrapped
