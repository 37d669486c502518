"""What is remembered of opened values, and what is found of them among arguments."""

from __future__ import annotations

import json

import pytest

from airflow_provider_exclusive.exceptions import ScopeError
from airflow_provider_exclusive.execution_time.deferral import refuse_opened_values
from airflow_provider_exclusive.execution_time.running_task import Opened, RunningTask
from airflow_provider_exclusive.scopes.identity import TaskIdentity

MEBIBYTE = 2**20


@pytest.fixture
def running():
    return RunningTask(TaskIdentity("dag", "run", "task", -1), task=None)


def opened(value, size=100, task_id="extract"):
    return Opened(task_id, "return_value", value, size)


class TestWhatIsRemembered:
    def test_the_last_values_up_to_a_mebibyte(self, running):
        for number in range(5):
            running.note(opened(number, size=MEBIBYTE // 2, task_id=f"task_{number}"))

        assert [entry.value for entry in running.opened] == [3, 4]

    def test_a_large_value_is_not_kept_alive_and_evicts_no_other(self, running):
        running.note(opened("small"))
        running.note(opened("large", size=MEBIBYTE + 1))

        assert [entry.value for entry in running.opened] == ["small"]

    def test_the_names_of_all(self, running):
        running.note(opened("large", size=MEBIBYTE + 1, task_id="large"))
        running.note(opened("small", task_id="small"))

        assert list(running.inputs) == [("large", "return_value"), ("small", "return_value")]

    def test_no_repr_shows_a_value(self, running):
        running.note(opened("confidential"))

        assert "confidential" not in repr(running) + repr(running.opened[0])


class TestWhatIsFound:
    @pytest.mark.parametrize(
        "value", [["a list"], {"a": "dict"}, ("a", "tuple"), {"a", "set"}, 1.5, 257, b"bytes", "text", object()]
    )
    def test_the_object_and_parts_of_it(self, value):
        for arguments in ({"one": value}, {"one": [{"two": value}]}):
            for whole in (value, {"part": value}, [1, (value,)]):
                with pytest.raises(ScopeError, match="extract"):
                    refuse_opened_values(arguments, [opened(whole)])

    def test_arguments_that_contain_themselves(self):
        value, arguments = ["secret"], {}
        arguments["self"] = [arguments]
        refuse_opened_values(arguments, [opened(value)])
        arguments["value"] = value

        with pytest.raises(ScopeError):
            refuse_opened_values(arguments, [opened(value)])

    def test_another_object_that_is_equal_passes(self):
        text = '{"one": ["a list"], "two": 1.5, "three": 1234}'

        refuse_opened_values(json.loads(text), [opened(json.loads(text))])

    def test_no_arguments(self):
        refuse_opened_values(None, [opened("value")])
