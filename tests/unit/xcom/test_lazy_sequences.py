"""Reads of Airflow's own lazy sequence, over a supervisor that knows the rows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import lazy_sequence, task_runner, xcom
from airflow.sdk.execution_time.comms import (
    ErrorResponse,
    XComCountResponse,
    XComSequenceIndexResult,
    XComSequenceSliceResult,
)
from airflow.sdk.execution_time.lazy_sequence import LazyXComSequence

from airflow_provider_exclusive.compat.replace import original_of
from airflow_provider_exclusive.exceptions import AccessDeniedError, EnvelopeError
from airflow_provider_exclusive.execution_time import redaction
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.xcom import lazy_sequences, pull
from airflow_provider_exclusive.xcom.backend import ExclusiveXComBackend

FOREIGN = {"reason": "not-in-scope", "message": "Not for you."}


class Supervisor:
    """Answers for ``rows``, refuses what contains an index of ``refused``, and keeps how many rows were requested."""

    def __init__(self):
        self.rows, self.refused, self.asked = [], {}, []

    def send(self, msg):
        kind = type(msg).__name__
        if kind == "GetXComCount":
            return XComCountResponse(len=len(self.rows))
        if kind == "GetXComSequenceSlice":
            asked = range(len(self.rows))[msg.start : msg.stop : msg.step]
            self.asked.append(msg.stop - msg.start if msg.stop is not None else None)
            self._refuse(asked)
            return XComSequenceSliceResult(root=[self.rows[index] for index in asked])
        assert kind == "GetXComSequenceItem"
        self.asked.append(1)
        if not -len(self.rows) <= msg.offset < len(self.rows):
            return ErrorResponse(error=ErrorType.XCOM_NOT_FOUND)
        self._refuse([msg.offset % len(self.rows)])
        return XComSequenceIndexResult(root=self.rows[msg.offset])

    def _refuse(self, indexes):
        for index in indexes:
            if index in self.refused:
                detail = self.refused[index]
                raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))


@pytest.fixture
def supervisor(mocker):
    return mocker.patch.object(task_runner, "SUPERVISOR_COMMS", Supervisor(), create=True)


@pytest.fixture(autouse=True)
def configured(mocker):
    """The backend of this package is configured."""
    mocker.patch.object(xcom, "XCom", ExclusiveXComBackend)
    mocker.patch.object(redaction, "prepare")
    mocker.patch.object(pull, "current_audit", return_value="off")


def sequence_of(task_id, key="return_value"):
    output = SimpleNamespace(operator=SimpleNamespace(dag_id="etl", task_id=task_id), key=key)
    return LazyXComSequence(xcom_arg=output, ti=SimpleNamespace(run_id="run-1"))


@pytest.fixture
def looks(supervisor, run_as, dag):
    """The outputs of ``look``, a plain task, for a ``load`` that runs."""
    run_as(TaskIdentity("etl", "run-1", "load"), dag.get_task("load"))
    return sequence_of("look")


@pytest.fixture
def extracts(supervisor, run_as, dag, put):
    """The outputs of ten map indexes of ``extract``, an exclusive task, for a ``load`` that runs and may read them."""
    run_as(TaskIdentity("etl", "run-1", "load"), dag.get_task("load"))
    supervisor.rows = [
        put(number, producer=TaskIdentity("etl", "run-1", "extract", number)).to_row() for number in range(10)
    ]
    return sequence_of("extract")


def refused(status, detail=FOREIGN):
    return {"status_code": status, "message": "refused", "detail": {"detail": detail}}


class TestRefusals:
    @pytest.mark.parametrize("read", [lambda xs: xs[4], lambda xs: xs[2:6], lambda xs: xs.index(8)])
    def test_a_refused_item_or_slice_is_a_denial(self, extracts, supervisor, read):
        supervisor.refused = {4: refused(403)}

        with pytest.raises(AccessDeniedError, match=r"Not for you\."):
            read(extracts)

    @pytest.mark.parametrize("read", [list, lambda xs: xs[3], lambda xs: xs[2:5]], ids=["walk", "item", "slice"])
    @pytest.mark.parametrize(
        "elsewhere",
        [{"key": "other"}, {"producer": TaskIdentity("etl", "run-1", "another", 3)}],
        ids=["key", "task"],
    )
    def test_the_reference_of_another_output(self, extracts, supervisor, put, read, elsewhere):
        supervisor.rows[3] = put("elsewhere", **elsewhere).to_row()

        with pytest.raises(EnvelopeError, match="copied there"):
            read(extracts)

    @pytest.mark.parametrize("read", [list, lambda xs: xs[3], lambda xs: xs[2:5]], ids=["walk", "item", "slice"])
    @pytest.mark.parametrize("planted", [None, "text"])
    def test_a_plain_item_of_an_exclusive_task(self, extracts, supervisor, read, planted):
        supervisor.rows[3] = planted

        with pytest.raises(EnvelopeError, match="plain value"):
            read(extracts)

    def test_an_undecided_read_is_what_it_is_for_other_pulls(self, extracts, supervisor):
        supervisor.refused = {4: refused(503, {"reason": "undecided", "message": "See the log."})}

        with pytest.raises(AirflowRuntimeError) as undecided:
            list(extracts)
        assert undecided.type is AirflowRuntimeError

    def test_a_refusal_fails_the_task_at_once(self, extracts, supervisor):
        supervisor.refused = {4: refused(403)}

        with pytest.raises(AirflowFailException) as denied:
            list(extracts)
        assert denied.value.reason == "not-in-scope"


class TestAsInAirflow:
    def test_the_items_of_an_exclusive_task(self, extracts):
        assert (list(extracts), extracts[-1], extracts[2:4]) == (list(range(10)), 9, [2, 3])

    @pytest.mark.parametrize("key", [5, -6, "text", slice("a", "b"), slice(None, None, 0)])
    def test_every_wrong_key(self, looks, supervisor, mocker, key):
        supervisor.rows = [1, 2, 3]
        with pytest.raises(Exception) as ours:  # whichever Airflow raises
            looks[key]

        mocker.patch.object(LazyXComSequence, "__getitem__", original_of(LazyXComSequence.__getitem__))
        with pytest.raises(ours.type):
            sequence_of("look")[key]

    def test_none_is_an_item(self, looks, supervisor):
        supervisor.rows = [None, 1, None, None]

        assert list(iter(looks)) == [None, 1, None, None]


class WithoutFields:
    def __getitem__(self, key): ...


class WithAnotherParameter:
    _xcom_arg = _ti = None

    def __getitem__(self, index): ...


class TestAnotherAirflow:
    @pytest.mark.parametrize("changed", [WithoutFields, WithAnotherParameter])
    def test_it_is_left_alone_and_logged(self, mocker, caplog, changed):
        mocker.patch.object(lazy_sequence, "LazyXComSequence", changed)
        before = changed.__getitem__

        lazy_sequences.attach()

        assert changed.__getitem__ is before
        assert "only Dag and run are checked" in caplog.text
