"""What Airflow gets to store about a task that has opened exclusive values: its own functions, wrapped."""

from __future__ import annotations

import copy
import uuid
from types import SimpleNamespace

import pytest
import structlog
from airflow.sdk import DAG, BaseOperator, task
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.sdk.execution_time import task_runner

from airflow_provider_exclusive.compat.replace import original_of
from airflow_provider_exclusive.exceptions import ConfigurationError, ScopeError
from airflow_provider_exclusive.execution_time import redaction, running_task
from airflow_provider_exclusive.execution_time.running_task import Opened, RunningTask

RECORDERS = ("_serialize_rendered_fields", "_render_map_index", "_defer_task", "_await_input_task")
LOG = structlog.get_logger("task")
MARKER = "<withheld: this task read the exclusive extract['return_value']>"


@pytest.fixture(autouse=True)
def airflows_own(mocker):
    """Airflow's functions are its own before each test, and again after it."""
    for name in RECORDERS:
        if hasattr(task_runner, name):
            mocker.patch.object(task_runner, name, original_of(getattr(task_runner, name)))


@pytest.fixture
def running(consumer, mocker):
    """A task that has opened a value runs."""
    running = RunningTask(consumer, None)
    running.note(Opened("extract", "return_value", "a long enough secret", 20))
    mocker.patch.object(running_task, "current", return_value=running)
    return running


@pytest.fixture
def unaware(consumer, mocker):
    """A task that has opened nothing runs."""
    running = RunningTask(consumer, None)
    mocker.patch.object(running_task, "current", return_value=running)
    return running


def changed(parameter): ...


class Load(BaseOperator):
    template_fields = ("sql",)

    def __init__(self, *, sql, **kwargs):
        super().__init__(**kwargs)
        self.sql = sql

    def execute(self, context): ...


def shown(authored, rendered):
    """Return what Airflow stores for a field of ``load`` as written, once it is as rendered."""
    redaction.prepare()
    with DAG("etl"):
        load = Load(task_id="load", sql=authored)
    expanded = copy.copy(load)
    expanded.sql = rendered
    return task_runner._serialize_rendered_fields(expanded)["sql"]


class TestAnotherAirflow:
    @pytest.mark.parametrize("name", RECORDERS[:3])
    def test_it_is_refused_by_the_name_of_what_changed(self, mocker, name):
        mocker.patch.object(task_runner, name, changed)
        before = {other: getattr(task_runner, other) for other in RECORDERS[:3]}

        with pytest.raises(ConfigurationError, match=rf"{name}\(.*Refusing to decrypt exclusive values"):
            redaction.prepare()

        assert {other: getattr(task_runner, other) for other in RECORDERS[:3]} == before

    def test_the_expected_one_is_wrapped_once(self):
        redaction.prepare()
        wrapped = task_runner._serialize_rendered_fields
        redaction.prepare()

        assert task_runner._serialize_rendered_fields is wrapped
        assert original_of(wrapped) is not wrapped


class TestRenderedFields:
    @pytest.mark.parametrize(
        ("authored", "rendered"),
        [
            ("{{ secret }}", "a secret"),
            ("1", 1),
            (1, True),
            (None, "a secret"),
            (["a"], ["a", "a secret"]),
            ("a", ["a"]),
            ({"a": 1}, "a secret"),
            (object(), object()),
            (len, print),
        ],
    )
    def test_what_the_author_did_not_write_is_withheld(self, running, authored, rendered):
        assert shown(authored, rendered) == MARKER

    @pytest.mark.parametrize("constant", ["select 1", 1, 1.5, True, None, ["a", 1], {"a": ["b"]}])
    def test_what_the_author_wrote_is_shown(self, running, constant):
        assert shown(constant, copy.deepcopy(constant)) == constant

    def test_a_function_that_the_author_wrote_is_shown(self, running):
        assert "len" in str(shown(len, len))

    def test_of_a_list_only_the_rendered_parts_are_withheld(self, running):
        assert shown(["a", "{{ secret }}"], ["a", "a secret"]) == ["a", MARKER]

    def test_of_a_mapping_only_the_rendered_parts_are_withheld(self, running):
        assert shown({"a": 1, "b": "{{ secret }}"}, {"a": 1, "b": "a secret"}) == {"a": 1, "b": MARKER}

    def test_a_name_that_the_author_did_not_write_is_withheld(self, running):
        assert shown({"a": 1}, {"a": 1, "a secret": 2}) == {"a": 1, "…": MARKER}

    def test_a_name_that_is_gone_is_not_shown(self, running):
        assert shown({"a": 1, "b": 2}, {"a": 1}) == {"a": 1}

    def test_a_task_that_its_dag_does_not_have_shows_nothing(self, running):
        redaction.prepare()
        stray = SimpleNamespace(
            task_id="load", template_fields=("sql",), sql="select 1", dag=SimpleNamespace(task_dict={})
        )

        assert task_runner._serialize_rendered_fields(stray) == {"sql": MARKER}

    def test_an_expanded_task_is_compared_with_what_was_partial(self, running):
        redaction.prepare()
        with DAG("etl") as dag:
            Load.partial(task_id="load", sql="select 1").expand(doc=["a", "b"])
        expanded = SimpleNamespace(task_id="load", template_fields=("sql",), sql="select 1", dag=dag)
        assert task_runner._serialize_rendered_fields(expanded) == {"sql": "select 1"}

        expanded.sql = "a secret"
        assert task_runner._serialize_rendered_fields(expanded) == {"sql": MARKER}

    def test_a_task_that_opened_nothing_shows_all(self, unaware):
        assert shown("{{ plain }}", "plain") == "plain"

    def test_so_does_a_task_that_used_no_xcom(self, mocker):
        mocker.patch.object(running_task, "current", return_value=None)

        assert shown("{{ plain }}", "plain") == "plain"


class TestTheMarker:
    def test_it_names_the_inputs_and_not_their_values(self, running):
        running.note(Opened("count", "rows", "a secret", 8))

        assert redaction.describe_inputs(running) == (
            "<withheld: this task read the exclusive extract['return_value'], count['rows']>"
        )

    @pytest.mark.parametrize(("inputs", "end"), [(10, "t9['k']>"), (11, "t9['k'] and 1 more>"), (30, " and 20 more>")])
    def test_of_many_it_names_ten(self, unaware, inputs, end):
        for number in range(inputs):
            unaware.note(Opened(f"t{number}", "k", None, 1))

        assert redaction.describe_inputs(unaware).endswith(end)
        assert redaction.describe_inputs(unaware).count("['k']") == 10


class TestLabelsOfMapIndexes:
    def label(self, instance):
        redaction.prepare()
        context = {"map_index_template": "{{ secret }}", "secret": "a secret"}
        return task_runner._render_map_index(context, ti=instance, log=LOG)

    @pytest.fixture
    def instance(self):
        with DAG("etl"):
            return SimpleNamespace(task=Load(task_id="load", sql=""), rendered_map_index="rendered before")

    def test_once_a_value_was_opened_the_earlier_one_stays(self, running, instance):
        assert self.label(instance) == "rendered before"

    def test_so_it_does_if_rendering_it_opens_the_value(self, unaware, instance, mocker):
        def render(context, ti, log):
            unaware.note(Opened("extract", "return_value", "a secret", 8))
            return "a secret"

        mocker.patch.object(task_runner, "_render_map_index", render)
        instance.rendered_map_index = None

        assert self.label(instance) is None

    def test_before_that_it_is_what_airflow_renders(self, unaware, instance):
        assert self.label(instance) == "a secret"


class TestTasksThatWait:
    @pytest.fixture
    def instance(self, consumer):
        place = {"dag_id": "etl", "run_id": "run-1", "task_id": "load", "map_index": -1}
        return SimpleNamespace(**place, id=uuid.UUID(int=1), task=SimpleNamespace(queue=None))

    @pytest.fixture
    def known(self, instance, mocker):
        """What is known of the task that waits."""
        known = RunningTask(running_task._identify(instance), None)
        known.note(Opened("extract", "return_value", "a long enough secret", 20))
        mocker.patch.object(running_task, "_last_seen", known)

    def wait(self, instance, kwargs):
        redaction.prepare()
        trigger = SimpleNamespace(serialize=lambda: ("a.Trigger", {}))
        wish = TaskDeferred(trigger=trigger, method_name="resume", kwargs=kwargs)
        message, _ = task_runner._defer_task(wish, instance, LOG)
        return message.next_kwargs

    def test_they_may_not_leave_an_opened_value(self, known, instance):
        with pytest.raises(ScopeError, match=r"extract\['return_value'\].*pull it again") as refusal:
            self.wait(instance, {"sql": "select 'a long enough secret'"})

        assert isinstance(refusal.value, AirflowFailException)
        assert "enough" not in str(refusal.value)

    def test_what_else_they_leave_is_stored(self, known, instance):
        assert self.wait(instance, {"attempt": 3}) == {"attempt": 3}

    def test_what_an_earlier_task_opened_does_not_concern_it(self, known, instance):
        instance.task_id = "another"

        assert self.wait(instance, {"text": "a long enough secret"}) == {"text": "a long enough secret"}

    def test_a_task_that_used_no_xcom_may_leave_anything(self, instance, mocker):
        mocker.patch.object(running_task, "_last_seen", None)

        assert self.wait(instance, {"text": "a long enough secret"}) == {"text": "a long enough secret"}


class Recorder:
    """A logger that keeps its lines."""

    level = 20

    def __init__(self):
        self.lines = []

    def info(self, event, *args, **fields):
        self.lines.append((event, args, fields))


class TestResults:
    @pytest.fixture
    def check(self):
        from airflow.providers.standard.operators.python import ShortCircuitOperator

        check = ShortCircuitOperator(task_id="check", python_callable=lambda: "a secret")
        check._cached_logger = Recorder()
        return check

    def test_a_python_operator_does_not_log_its_result(self, check):
        redaction.redact_results(check)

        assert check.show_return_value_in_logs is False

    def test_nor_a_short_circuit_its_condition(self, check):
        recorder = check.log
        redaction.redact_results(check)

        check.log.info("Condition result is %s", "a secret")

        assert recorder.lines == [("Condition result not shown", (), {})]

    def test_its_other_lines_stay_as_they_are(self, check):
        recorder = check.log
        redaction.redact_results(check)

        check.log.info("Skipping %s", "load", extra={"a": 1})

        assert recorder.lines == [("Skipping %s", ("load",), {"extra": {"a": 1}})]
        assert check.log.level == 20

    def test_its_logger_can_be_copied(self, check):
        redaction.redact_results(check)

        assert copy.copy(check.log).level == 20

    def test_a_decorated_short_circuit_is_one_too(self):
        with DAG("etl") as dag:
            task.short_circuit(lambda: True).override(task_id="check")()
        check = dag.get_task("check")
        recorder = check._cached_logger = Recorder()
        redaction.redact_results(check)

        check.log.info("Condition result is %s", True)

        assert recorder.lines == [("Condition result not shown", (), {})]

    def test_an_operator_of_another_kind_keeps_its_logger(self):
        load = Load(task_id="load", sql="")
        log = load.log

        redaction.redact_results(load)

        assert load.log is log
        assert not hasattr(load, "show_return_value_in_logs")
