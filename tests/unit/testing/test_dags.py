"""What a test of a Dag is told about who may read, without a run."""

from __future__ import annotations

import re

import pytest
from airflow.sdk import DAG, task

from airflow_provider_exclusive import exclusive_task, testing
from airflow_provider_exclusive.testing import assert_may_read, assert_refused


@pytest.fixture(scope="module")
def dag():
    with DAG("sales", schedule=None) as dag:
        extract = exclusive_task(lambda: 1, task_id="extract")()
        exclusive_task(
            lambda: {"a": 1}, task_id="parts", multiple_outputs=True, consumers={"a": ["load"], "b": ["load", "audit"]}
        )()
        exclusive_task(lambda: 1, task_id="shared", consumers=["reporting:*", "caller"])()
        exclusive_task(lambda: 1, task_id="closed", consumers=[])()
        task(lambda: 1, task_id="plain")()
        task(lambda x: 1, task_id="load")(extract)
        task(lambda: 1, task_id="audit")()
    return dag


PERMITTED = [
    ("extract", "return_value", "load"),
    ("extract", "return_value", "extract"),
    ("extract", "return_value", "sales:load"),
    ("parts", "a", "load"),
    ("parts", "b", "audit"),
    ("parts", "return_value", "load"),
    ("shared", "return_value", "reporting:summarise"),
    ("shared", "return_value", "caller"),
    ("closed", "return_value", "closed"),
    ("plain", "return_value", "audit"),
]
REFUSED = [
    ("extract", "return_value", "audit", "it may be read by: load. The scope is declared at"),
    ("extract", "return_value", "reporting:load", "it may be read by: load."),
    ("extract", "return_value", "caller", "it may be read by: load."),
    ("parts", "a", "audit", "it may be read by: load."),
    ("parts", "other", "load", "it may be read by: nobody."),
    ("parts", "return_value", "audit", "it may be read by: load."),
    ("shared", "return_value", "load", "it may be read by: reporting:*, caller (the task that triggered the run)."),
    ("closed", "return_value", "load", "it may be read by: nobody."),
]


@pytest.mark.parametrize(("producer", "key", "reader"), PERMITTED)
def test_a_permitted_reader_may_read(dag, producer, key, reader):
    assert_may_read(dag, producer, key, reader)
    with pytest.raises(AssertionError, match=f"{reader!r} may read {key!r} of {producer!r}"):
        assert_refused(dag, producer, key, reader)


@pytest.mark.parametrize(("producer", "key", "reader", "who_may"), REFUSED)
def test_another_one_is_refused_and_told_who_may(dag, producer, key, reader, who_may):
    assert_refused(dag, producer, key, reader)
    with pytest.raises(AssertionError, match=re.escape(who_may)) as failed:
        assert_may_read(dag, producer, key, reader)
    assert str(failed.value).startswith(f"{reader!r} may not read {key!r} of {producer!r}.")


def test_nobody_is_refused_the_output_of_a_plain_task(dag):
    with pytest.raises(AssertionError, match=r"Task 'plain' is not exclusive, so every task may\. Make it one with"):
        assert_refused(dag, "plain", "return_value", "audit")


@pytest.mark.parametrize("ask", [assert_may_read, assert_refused])
@pytest.mark.parametrize(("producer", "reader"), [("extrct", "load"), ("extract", "laod"), ("extract", "sales:laod")])
def test_a_task_that_does_not_exist_is_never_the_answer(dag, ask, producer, reader):
    with pytest.raises(AssertionError, match=r"Dag 'sales' has no task '.*'; did you mean '(load|extract)'"):
        ask(dag, producer, "return_value", reader)


def test_a_name_like_no_task_is_answered_with_all_of_them(dag):
    with pytest.raises(AssertionError, match=r"has no task 'xyz'; it has .'audit', 'closed', 'extract'"):
        assert_refused(dag, "extract", "return_value", "xyz")


class TestNames:
    def test_an_unknown_name_is_an_attribute_error_that_names_it(self):
        with pytest.raises(AttributeError, match=r"'airflow_provider_exclusive\.testing' has no attribute 'resultof'"):
            _ = testing.resultof

    def test_the_public_names_are_listed(self):
        assert dir(testing) == ["add_dag", "assert_may_read", "assert_refused", "result_of", "triggered_run"]
