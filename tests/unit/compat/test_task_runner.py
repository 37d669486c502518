"""What is asked of Airflow's supervisor, and what its answers and refusals become."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest
from airflow.sdk import exceptions
from airflow.sdk.api.client import ServerResponseError
from airflow.sdk.bases import xcom
from airflow.sdk.exceptions import AirflowRuntimeError, DagRunTriggerException, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, OKResponse

from airflow_provider_exclusive.compat import task_runner as compat
from airflow_provider_exclusive.compat.replace import UnsupportedAirflowError, original_of
from airflow_provider_exclusive.compat.task_runner import find_conf, trigger_run, trigger_task_instance, wrap_recorders

RECORDERS = [
    name
    for name in ("_serialize_rendered_fields", "_render_map_index", "_defer_task", "_await_input_task")
    if hasattr(task_runner, name)
]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def send(mocker):
    """What Airflow's supervisor is sent, and answers."""
    return mocker.patch.object(task_runner, "SUPERVISOR_COMMS", create=True).send


def refused_by_supervisor(detail):
    return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))


def refused_by_server(status):
    response = httpx.Response(status, request=httpx.Request("GET", "http://airflow"))
    return ServerResponseError("refused", request=response.request, response=response)


class TestConf:
    @pytest.mark.parametrize(
        "trouble",
        [*map(refused_by_supervisor, [None, {}, {"status_code": 500}, {"status_code": 403}]), refused_by_server(500)],
    )
    def test_trouble_is_not_taken_for_a_missing_run(self, send, trouble):
        send.side_effect = trouble

        with pytest.raises(type(trouble)) as raised:
            find_conf("child", "run-1")
        assert raised.value is trouble

    @pytest.mark.parametrize("missing", [refused_by_supervisor({"status_code": 404}), refused_by_server(404)])
    def test_a_run_that_does_not_exist_has_none(self, send, missing):
        send.side_effect = missing

        assert find_conf("child", "run-1") is None

    @pytest.mark.parametrize("answer", [SimpleNamespace(conf=None), SimpleNamespace(conf={}), OKResponse(ok=True)])
    def test_a_run_with_an_empty_one_has_an_empty_one(self, send, answer):
        send.return_value = answer

        assert find_conf("child", "run-1") == {}

    def test_the_supervisor_is_asked_for_that_run(self, send):
        send.return_value = SimpleNamespace(conf={"a": 1})

        assert find_conf("child", "run-1") == {"a": 1}
        (message,) = send.call_args.args
        assert (type(message).__name__, message.dag_id, message.run_id) == ("GetDagRun", "child", "run-1")


class TestTriggering:
    REQUEST = DagRunTriggerException(
        trigger_dag_id="child",
        dag_run_id="run-9",
        conf={"a": 1},
        logical_date=NOON,
        reset_dag_run=True,
        skip_when_already_exists=False,
        wait_for_completion=False,
        allowed_states=[],
        failed_states=[],
        poke_interval=1,
        deferrable=False,
    )

    def test_a_run_that_exists_already_was_not_triggered(self, send):
        send.return_value = ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)

        assert trigger_run(self.REQUEST) is False

    def test_trouble_is_raised(self, send):
        send.side_effect = refused_by_supervisor({"status_code": 500})

        with pytest.raises(AirflowRuntimeError):
            trigger_run(self.REQUEST)

    def test_the_supervisor_is_sent_what_was_asked_for(self, send):
        send.return_value = OKResponse(ok=True)

        assert trigger_run(self.REQUEST) is True
        (message,) = send.call_args.args
        assert (message.dag_id, message.run_id, message.conf) == ("child", "run-9", {"a": 1})
        assert (message.logical_date, message.reset_dag_run) == (NOON, True)

    def test_what_a_request_lacks_is_left_out(self, send):
        send.return_value = OKResponse(ok=True)

        trigger_run(SimpleNamespace(trigger_dag_id="child", dag_run_id="run-9", conf=None))

        (message,) = send.call_args.args
        assert message.model_fields_set == {"dag_id", "run_id", "conf"}


class TestTriggers:
    @pytest.fixture
    def acting(self, mocker):
        """Airflow's variable with the task instance for which a trigger acts, which exists since 3.4."""
        acting = ContextVar("acting", default=None)
        mocker.patch.object(xcom, "_current_trigger_ti", acting, create=True)
        return acting

    def test_before_3_4_none_is_known(self, mocker):
        mocker.patch.object(xcom, "_current_trigger_ti", None, create=True)

        assert trigger_task_instance() is None

    def test_where_no_trigger_runs_there_is_none(self, acting):
        assert trigger_task_instance() is None

    def test_where_one_runs_it_is_its_task_instance(self, acting):
        instance = object()
        token = acting.set(instance)

        assert trigger_task_instance() is instance
        acting.reset(token)


class TestRecorders:
    @pytest.fixture(autouse=True)
    def airflows_own(self, mocker):
        """Airflow's functions are its own before each test, and again after it."""
        for name in RECORDERS:
            mocker.patch.object(task_runner, name, original_of(getattr(task_runner, name)))

    def wrap(self):
        wrap_recorders(rendered_fields=self.answer("fields"), map_index=self.answer("label"), wait=self.answer("wait"))

    def answer(self, what):
        return lambda original: lambda *args: what

    @pytest.mark.parametrize("name", RECORDERS)
    def test_a_changed_one_is_named_and_none_is_wrapped(self, mocker, name):
        def changed(parameter): ...

        mocker.patch.object(task_runner, name, changed)
        before = [getattr(task_runner, one) for one in RECORDERS]

        with pytest.raises(UnsupportedAirflowError, match=name):
            self.wrap()
        assert [getattr(task_runner, one) for one in RECORDERS] == before

    def test_each_is_wrapped_by_what_was_given_for_it(self):
        self.wrap()

        assert task_runner._serialize_rendered_fields(None) == "fields"
        assert task_runner._render_map_index(None, None, None) == "label"
        assert {getattr(task_runner, name)(None, None, None) for name in RECORDERS[2:]} == {"wait"}

    @pytest.mark.parametrize("waits_for_a_person", [False, True], ids=["before 3.3", "since 3.3"])
    def test_a_task_can_wait_for_a_person_since_3_3(self, mocker, monkeypatch, waits_for_a_person):
        mocker.patch.object(exceptions, "TaskAwaitingInput", create=True)
        if not waits_for_a_person:
            monkeypatch.delattr(exceptions, "TaskAwaitingInput")

        assert ("_await_input_task" in compat._recorders.__wrapped__(str, str, str)) is waits_for_a_person
