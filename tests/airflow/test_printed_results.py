"""An operator whose result is what it prints: the result stays out of its log, or the log says that it is there."""

from __future__ import annotations

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseOperator, task

from airflow_provider_exclusive import consumers
from airflow_provider_exclusive.format.reference import is_reference_row
from tests.airflow.running import Run, a_dag

PRINTS = "echo a-line-before; echo canary-4711"
NOTICE = "the last line that its command prints is its output"


@pytest.fixture
def logged(capfd):
    def logged(dag):
        run = Run(dag)
        return run, "".join(capfd.readouterr())

    return logged


class TestBash:
    @pytest.mark.parametrize("make", ["operator", "decorator", "inner"])
    def test_its_last_line_and_its_command_are_not_logged(self, logged, make):
        class Outer(BaseOperator):
            def execute(self, context):
                return BashOperator(task_id="inner", bash_command=PRINTS).execute(context)

        with a_dag() as dag:
            if make == "operator":
                BashOperator(task_id="extract", bash_command=PRINTS, pre_execute=consumers([]))
            elif make == "decorator":
                task.bash(pre_execute=consumers([]))(lambda: PRINTS).override(task_id="extract")()
            else:
                Outer(task_id="extract", pre_execute=consumers([]))

        run, log = logged(dag)

        assert run.state == "success"
        assert is_reference_row(run.xcom_rows()["extract", -1, "return_value"])
        assert "canary-4711" not in log
        assert log.count("a-line-before") == 1
        assert log.count(NOTICE) == 1

    def test_of_a_command_that_fails_it_is(self, logged):
        with a_dag() as dag:
            BashOperator(task_id="extract", bash_command="echo why; echo it-failed; exit 3", pre_execute=consumers([]))

        run, log = logged(dag)

        assert run.state == "failed"
        assert [log.count(line) for line in ("why", "it-failed")] == [1, 1]

    def test_a_plain_one_logs_as_ever(self, logged):
        with a_dag() as dag:
            BashOperator(task_id="extract", bash_command=PRINTS)

        _, log = logged(dag)

        assert log.count("canary-4711") == 2  # in the command, and as a line
        assert NOTICE not in log


def test_another_one_says_once_that_its_output_is_in_the_log(logged):
    class SSHOperator(BaseOperator):
        """As the one of the SSH provider, which is not installed here."""

        def execute(self, context):
            self.log.info("canary-4711")
            return "canary-4711"

    class Derived(SSHOperator):
        def execute(self, context):
            return super().execute(context)

    with a_dag() as dag:
        Derived(task_id="extract", pre_execute=consumers([]))

    _, log = logged(dag)

    assert log.count("SSHOperator logs every line of that: the output is in this log, in plain text") == 1
