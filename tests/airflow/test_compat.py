"""What is private in Airflow, or differs by version, does what the package takes it to do."""

from __future__ import annotations

import datetime
import socket
import uuid
from http import HTTPStatus
from types import SimpleNamespace

import airflow
import httpx
import msgspec
import pytest
import structlog
from airflow.sdk import task
from airflow.sdk.api.client import DagRunOperations, ServerResponseError
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import supervisor, task_runner
from airflow.sdk.execution_time.comms import CommsDecoder, _RequestFrame
from airflow.utils.session import create_session
from packaging.version import Version

from airflow_provider_exclusive.compat.execution_api import find_stats
from airflow_provider_exclusive.compat.task_runner import find_conf, trigger_task_instance
from airflow_provider_exclusive.execution_time import running_task
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.server import callers, metrics
from tests.airflow.running import Run, a_dag

since_3_4 = pytest.mark.skipif(Version(airflow.__version__).release < (3, 4), reason="since Airflow 3.4")


class Wire:
    """The task's end of its connection to a supervisor, which answers each request at once."""

    def __init__(self, requests, answers: socket.socket) -> None:
        self.requests, self.answers = requests, answers

    def sendall(self, framed: bytes) -> None:
        self.requests.send(msgspec.msgpack.decode(framed[4:], type=_RequestFrame))

    def __getattr__(self, name: str):
        return getattr(self.answers, name)


@pytest.fixture
def supervised(monkeypatch):
    """Airflow's own supervisor of a task, which asks the execution API in this process."""
    ours, theirs = socket.socketpair()
    process = supervisor.ActivitySubprocess(
        process_log=structlog.get_logger(),
        id=uuid.uuid4(),
        pid=0,
        stdin=theirs,
        process=SimpleNamespace(),
        client=supervisor.InProcessTestSupervisor._api_client(),
    )
    requests = process.handle_requests(structlog.get_logger())
    next(requests)
    comms = CommsDecoder(socket=Wire(requests, ours))
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    yield
    ours.close()
    theirs.close()


class TestConf:
    def test_trouble_is_not_taken_for_a_missing_run(self, supervised, monkeypatch):
        def fail(*args):
            response = httpx.Response(
                HTTPStatus.INTERNAL_SERVER_ERROR, json={}, request=httpx.Request("GET", "http://x")
            )
            raise ServerResponseError("trouble", request=response.request, response=response)

        monkeypatch.setattr(DagRunOperations, "get_detail", fail)

        with pytest.raises(AirflowRuntimeError):
            find_conf("no_such_dag", "no_such_run")

    def test_a_run_that_does_not_exist_has_none(self, supervised):
        assert find_conf("no_such_dag", "no_such_run") is None

    @pytest.mark.parametrize("conf", [{}, {"a": [1]}])
    def test_any_task_is_told_that_of_any_run(self, supervised, conf):
        with a_dag() as dag:
            task(task_id="nothing")(lambda: None)()
        run = Run(dag, run_conf=conf)

        assert find_conf(run.dag_id, run.run_id) == conf


class TestTriggers:
    def test_no_trigger_runs_here(self):
        assert trigger_task_instance() is None

    @since_3_4
    def test_a_trigger_acts_for_its_task(self):
        from airflow.jobs import triggerer_job_runner

        ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, id=uuid.uuid4())
        token = triggerer_job_runner._current_trigger_ti.set(ti)
        try:
            running = running_task.current()
        finally:
            triggerer_job_runner._current_trigger_ti.reset(token)

        assert running.identity == TaskIdentity("d", "r", "t", -1, str(ti.id))


def test_each_try_of_a_task_is_found_by_its_own_id():
    ids = []
    with a_dag() as dag:

        @task(retries=1, retry_delay=datetime.timedelta(0))
        def flaky(ti=None):
            ids.append(ti.id)
            if len(ids) == 1:
                raise ValueError

        flaky()
    run = Run(dag)

    with create_session() as session:
        found = [callers.find_caller(ti_id, session.connection()) for ti_id in ids]
    assert run.state == "success"
    assert [caller.identity.task_id for caller in found] == ["flaky", "flaky"]
    assert [caller.try_number for caller in found] == [1, 2]


def test_decisions_are_counted_where_airflow_counts(monkeypatch):
    from airflow.jobs import job

    counted = []
    backend = SimpleNamespace(
        incr=lambda name, **kwargs: counted.append((name, kwargs["tags"])),
        timing=lambda name, duration, **_: counted.append((name, type(duration))),
    )
    assert find_stats() is job.stats
    monkeypatch.setattr(job.stats, "_backend", backend)

    metrics.count("exclusive.denied", "not-in-scope")
    with metrics.timed(metrics.DECISION):
        pass

    assert counted == [("exclusive.denied", {"reason": "not-in-scope"}), (metrics.DECISION, datetime.timedelta)]
