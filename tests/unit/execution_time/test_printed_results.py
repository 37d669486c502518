"""What an operator that prints its result logs once its task is exclusive."""

from __future__ import annotations

import copy
import sys

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseOperator

from airflow_provider_exclusive.execution_time import printed_results


class Recorder:
    """A logger that keeps its lines, as they read."""

    level = 20

    def __init__(self):
        self.lines = []

    def info(self, event, *args, **fields):
        self.lines.append(event % args)

    warning = info


def with_recorder(operator):
    operator._cached_logger = Recorder()
    return operator


class TestBash:
    @pytest.fixture
    def recorder(self):
        return Recorder()

    @pytest.fixture
    def hook(self, recorder):
        bash = with_recorder(BashOperator(task_id="extract", bash_command=""))
        bash.subprocess_hook._log = recorder
        printed_results.redact(bash)
        assert ["the last line that its command prints is its output" in line for line in bash.log.lines] == [True]
        return bash.subprocess_hook

    def run(self, hook, program):
        return hook.run_command([sys.executable, "-c", program]).output

    def test_the_last_line_is_returned_and_not_logged(self, hook, recorder):
        assert self.run(hook, "print('one'); print('two'); print('three')") == "three"
        assert recorder.lines[1:] == [
            "Running command: not shown", "Output:", "one", "two", "Command exited with return code 0",
        ]  # fmt: skip

    def test_a_command_that_prints_nothing_logs_nothing(self, hook, recorder):
        self.run(hook, "")
        assert recorder.lines[2:] == ["Output:", "Command exited with return code 0"]

    def test_of_one_that_fails_all_is_logged(self, hook, recorder):
        self.run(hook, "print('one'); print('why'); raise SystemExit(3)")
        assert recorder.lines[3:] == ["one", "why", "Command exited with return code 3"]

    def test_nothing_is_kept_for_the_next_command(self, hook, recorder):
        self.run(hook, "print('one')")
        self.run(hook, "print('two'); raise SystemExit(1)")
        assert "one" not in recorder.lines
        assert "two" in recorder.lines

    def test_its_logger_can_be_copied(self, hook):
        assert copy.copy(hook.log).level == 20


class SSHOperator(BaseOperator):
    """As the one of the SSH provider."""


class Derived(SSHOperator):
    """One of a Dag's author."""


@pytest.mark.parametrize("kind", [SSHOperator, Derived])
def test_another_one_says_that_its_output_is_in_the_log(kind):
    operator = with_recorder(kind(task_id="extract"))
    printed_results.redact(operator)
    (line,) = operator.log.lines
    assert "SSHOperator logs every line of that: the output is in this log" in line


def test_one_that_prints_no_result_says_nothing():
    operator = with_recorder(BaseOperator(task_id="extract"))
    printed_results.redact(operator)
    assert operator.log.lines == []
