"""A task that waits leaves no opened exclusive value in Airflow's database."""

from __future__ import annotations

import datetime
import uuid

import pytest
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator

from airflow_provider_exclusive import exclusive_task
from tests.airflow.running import Run, a_dag, everything_kept

AT_ONCE = TimeDeltaTrigger(datetime.timedelta(seconds=0.1))


class Waiting(BaseOperator):
    """Pulls what ``extract`` made and defers with what ``arguments`` makes of it."""

    def __init__(self, *, arguments, seen, text="", **kwargs):
        super().__init__(**kwargs)
        self.arguments = arguments
        self.seen = seen
        self.text = text

    template_fields = ("text",)

    def execute(self, context):
        pulled = context["ti"].xcom_pull(task_ids="extract")
        self.defer(trigger=AT_ONCE, method_name="resume", kwargs=self.arguments(pulled, self))

    def resume(self, context, event=None, **kwargs):
        self.seen.append((context["ti"].xcom_pull(task_ids="extract"), kwargs))


@pytest.fixture
def canary():
    return f"canary-{uuid.uuid4()}"


@pytest.fixture
def waiting(canary):
    """Run ``extract >> wait`` and return the run, what ``wait`` saw after waiting, and the errors in the output."""

    def run(arguments, made=None, **kwargs):
        seen = []
        with a_dag() as dag:

            @exclusive_task
            def extract():
                return canary if made is None else made

            extract() >> Waiting(task_id="wait", arguments=arguments, seen=seen, **kwargs)

        return Run(dag), seen

    return run


class TestRefused:
    @pytest.fixture
    def refused(self, waiting, canary, capfd):
        def check(*args, **kwargs):
            run, seen = waiting(*args, **kwargs)
            output = "".join(capfd.readouterr())
            assert run.states["wait"] == "failed"
            assert seen == []
            assert "ScopeError" in output
            assert "extract['return_value']" in output
            assert "pull it again" in output
            assert canary not in output
            assert canary.encode() not in everything_kept()

        return check

    def test_the_value_itself(self, refused):
        refused(lambda pulled, _: {"value": pulled})

    def test_the_value_deep_within(self, refused):
        refused(lambda pulled, _: {"work": [{"rows": (1, pulled)}]})

    def test_a_part_of_the_value(self, refused, canary):
        refused(lambda pulled, _: {"one": pulled["rows"][1]}, made={"rows": ["other", canary]})

    def test_a_text_that_contains_it(self, refused):
        refused(lambda pulled, _: {"statement": f"SELECT '{pulled}'"})

    def test_a_template_that_was_rendered_with_it(self, refused):
        refused(lambda _, task: {"text": task.text}, text="got {{ ti.xcom_pull(task_ids='extract') }}")

    def test_there_is_no_second_try(self, refused):
        refused(lambda pulled, _: {"value": pulled}, retries=3)

    def test_a_task_that_waits_for_a_person(self, waiting, canary):
        from airflow.sdk.exceptions import TaskAwaitingInput

        def ask(pulled, _):
            raise TaskAwaitingInput(method_name="resume", kwargs={"value": pulled})

        run, _ = waiting(ask)

        assert run.states["wait"] == "failed"
        assert canary.encode() not in everything_kept()


class TestLetThrough:
    @pytest.mark.parametrize(
        "arguments",
        [
            lambda pulled, _: {},
            lambda pulled, _: {"attempt": 3, "done": False, "nothing": None, "text": "", "letter": "a"},
            lambda pulled, _: {"length": len(pulled)},
            lambda pulled, _: {"text": "canary"},
        ],
        ids=["nothing", "constants", "something about it", "a short text"],
    )
    def test_what_does_not_hold_the_value(self, waiting, canary, arguments):
        run, seen = waiting(arguments)

        assert run.states["wait"] == "success"
        assert [pulled for pulled, _ in seen] == [canary]

    @pytest.mark.parametrize("made", [0, 256, True, False, "", "a", [], {"number": 1, "flag": True, "letter": "a"}])
    def test_constants_that_the_value_shares_with_the_whole_world(self, waiting, made):
        run, seen = waiting(lambda *_: {"attempt": 1, "zero": 0, "flag": True, "letter": "a", "empty": ""}, made=made)

        assert run.states["wait"] == "success"
        assert [pulled for pulled, _ in seen] == [made]

    def test_a_task_that_reads_nothing_exclusive(self):
        seen = []
        with a_dag() as dag:

            class Plain(BaseOperator):
                def execute(self, context):
                    self.defer(trigger=AT_ONCE, method_name="resume", kwargs={"value": "of its own"})

                def resume(self, context, event=None, **kwargs):
                    seen.append("resumed")

            Plain(task_id="plain")

        assert Run(dag).state == "success"
        assert seen == ["resumed"]
