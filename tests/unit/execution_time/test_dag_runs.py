"""What a task finds out about hand-overs and outputs of other runs, also when its threads ask at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time.context import set_current_context

from airflow_provider_exclusive.access import decision
from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver, Source, Withdrawn, to_pointer
from airflow_provider_exclusive.exceptions import AccessDeniedError, EnvelopeError
from airflow_provider_exclusive.execution_time import dag_runs
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import Clause, ConsumerScope

TRIGGER = TaskIdentity("parent", "run-1", "hand_over")
READER = TaskIdentity("child", "run-1", "read")
SOURCE = TaskIdentity("parent", "run-1", "extract")
SCOPE = ConsumerScope((Clause("parent", "hand_over", "run-1"),))
REFERENCE = Reference(SOURCE, "return_value", SCOPE, "msgpack", 1, None, "2026-01-01T00:00:00Z", None, None)
RECORD = HandOver(
    TRIGGER,
    "child",
    "run-1",
    {"rows": Source(Coordinate("parent", "run-1", "extract", -1, "return_value"), is_exclusive=True)},
)


@pytest.fixture
def asked(mocker):
    """How often the API server was asked for a record; each time takes a while."""
    asked = []

    def pull_record(trigger):
        asked.append(trigger)
        time.sleep(0.05)
        return RECORD

    mocker.patch.object(dag_runs.WorkerHandOverLookup, "conf_of", return_value={"exclusive": to_pointer(TRIGGER)})
    mocker.patch.object(dag_runs, "_pull_record", pull_record)
    return asked


def test_threads_that_read_at_once_all_pass_and_ask_once(asked):
    hand_overs = dag_runs.WorkerHandOverLookup(RunningTask(READER, task=None))

    with ThreadPoolExecutor(4) as threads:
        for _ in threads.map(lambda _: decision.decide(READER, REFERENCE, hand_overs), range(4)):
            pass

    assert asked == [TRIGGER]


def test_a_record_to_be_decided_by_itself_hands_over_nothing(asked, mocker):
    hand_overs = dag_runs.WorkerHandOverLookup(RunningTask(READER, task=None))
    mocker.patch.object(dag_runs, "_pull_record", side_effect=lambda trigger: hand_overs.find("child", "run-1"))

    assert not isinstance(hand_overs.find("child", "run-1"), HandOver)


AT = Coordinate("parent", "run-1", "extract", -1, "return_value")


@pytest.fixture
def xcom(mocker):
    """Airflow's XCom, which has nothing."""
    xcom = mocker.patch("airflow.sdk.execution_time.xcom.XCom")
    xcom.get_one.return_value = xcom.get_all.return_value = None
    return xcom


@pytest.fixture
def hand_overs():
    return dag_runs.WorkerHandOverLookup(RunningTask(READER, task=None))


class TestLookingUpHandOvers:
    @pytest.fixture
    def conf(self, mocker):
        """The conf of every run: it points to the record of the trigger."""
        return mocker.patch.object(dag_runs, "find_conf", return_value={"exclusive": to_pointer(TRIGGER)})

    @pytest.mark.parametrize("pointer", [None, {}, {"exclusive": None}, {"exclusive": {"dag_id": "parent"}}])
    def test_a_run_without_a_valid_pointer_was_handed_nothing(self, hand_overs, conf, xcom, pointer):
        conf.return_value = pointer

        assert hand_overs.find("child", "run-1") is None
        assert xcom.mock_calls == []

    @pytest.mark.parametrize("run", [("child", "run-2"), ("other", "run-1")])
    def test_the_record_of_another_run_hands_over_nothing(self, hand_overs, conf, xcom, run):
        xcom.get_one.return_value = RECORD

        assert hand_overs.find(*run) is None

    def test_a_record_that_is_gone_was_withdrawn_by_its_trigger(self, hand_overs, conf, xcom):
        assert hand_overs.find("child", "run-1") == Withdrawn(TRIGGER)

    def test_an_invalid_record_is_an_error_each_time(self, hand_overs, conf, xcom):
        xcom.get_one.side_effect = EnvelopeError("not a record")

        for _ in range(2):
            with pytest.raises(EnvelopeError, match="not a record"):
                hand_overs.find("child", "run-1")
        assert hand_overs.running.hand_overs == {}

    def test_the_record_is_pulled_from_the_trigger_and_once(self, hand_overs, conf, xcom):
        xcom.get_one.return_value = RECORD

        assert hand_overs.find("child", "run-1") == RECORD
        assert hand_overs.find("child", "run-1") == RECORD
        xcom.get_one.assert_called_once_with(
            dag_id="parent", run_id="run-1", task_id="hand_over", map_index=-1, key=RECORD_KEY
        )

    def test_that_there_is_none_is_asked_once_as_well(self, hand_overs, conf, xcom):
        conf.return_value = None
        hand_overs.find("child", "run-1")
        hand_overs.find("child", "run-1")

        conf.assert_called_once_with("child", "run-1")


class TestConf:
    @pytest.fixture(autouse=True)
    def answer(self, mocker):
        return mocker.patch.object(dag_runs, "find_conf", return_value={"of": "the server"})

    def test_that_of_another_run_comes_from_the_server(self, hand_overs, answer):
        with set_current_context({"dag_run": SimpleNamespace(conf={"of": "the context"})}):
            assert hand_overs.conf_of("child", "run-2") == {"of": "the server"}
            assert hand_overs.conf_of("other", "run-1") == {"of": "the server"}

    def test_its_own_comes_from_the_context(self, hand_overs, answer):
        with set_current_context({"dag_run": SimpleNamespace(conf={"of": "the context"})}):
            assert hand_overs.conf_of("child", "run-1") == {"of": "the context"}
        assert answer.mock_calls == []

    def test_its_own_comes_from_the_server_without_a_context(self, hand_overs):
        assert hand_overs.conf_of("child", "run-1") == {"of": "the server"}


class TestPullingOutputs:
    def test_a_missing_one_is_missing(self, xcom):
        assert dag_runs.pull_output(AT) is dag_runs.MISSING

    def test_one_that_is_refused_is_refused(self, xcom):
        xcom.get_one.side_effect = AccessDeniedError("no")

        with pytest.raises(AccessDeniedError):
            dag_runs.pull_output(AT)

    @pytest.mark.parametrize("value", ["a value", 0, [], False])
    def test_one_with_a_map_index_is_its_value(self, xcom, value):
        xcom.get_one.return_value = value

        assert dag_runs.pull_output(AT) == value
        xcom.get_one.assert_called_once_with(
            dag_id="parent", run_id="run-1", task_id="extract", map_index=-1, key="return_value"
        )

    def test_one_that_holds_none_is_none(self, xcom):
        xcom.get_all.return_value = [None]

        assert dag_runs.pull_output(AT) is None

    def test_without_a_map_index_it_is_the_list_of_all(self, xcom):
        xcom.get_all.return_value = ["a", None]

        assert dag_runs.pull_output(replace(AT, map_index=None)) == ["a", None]
        assert xcom.get_one.mock_calls == []
        xcom.get_all.assert_called_once_with(dag_id="parent", run_id="run-1", task_id="extract", key="return_value")

    def test_without_a_map_index_and_without_any_it_is_missing(self, xcom):
        assert dag_runs.pull_output(replace(AT, map_index=None)) is dag_runs.MISSING


class TestPullingResults:
    ANY = replace(AT, map_index=None)

    def test_a_missing_one_is_missing(self, xcom):
        assert dag_runs.pull_result(self.ANY) is dag_runs.MISSING

    def test_that_of_an_unmapped_task_is_its_value(self, xcom):
        xcom.get_one.return_value = "a value"

        assert dag_runs.pull_result(self.ANY) == "a value"
        assert xcom.get_one.call_args.kwargs["map_index"] == -1

    def test_that_of_a_mapped_task_is_a_list(self, xcom):
        xcom.get_all.return_value = ["a", "b"]

        assert dag_runs.pull_result(self.ANY) == ["a", "b"]

    @pytest.mark.parametrize(("rows", "result"), [([None], None), ([None, None], [None, None]), ([[]], [[]])])
    def test_none_of_an_unmapped_task_is_none(self, xcom, rows, result):
        xcom.get_all.return_value = rows

        assert dag_runs.pull_result(self.ANY) == result


class TestWithdrawing:
    def test_a_record_that_stays_is_logged_and_nothing_raised(self, xcom, caplog):
        xcom.delete.side_effect = RuntimeError("the server is down")

        dag_runs.withdraw_record(TRIGGER)

        assert f"Could not withdraw the hand-over record of {TRIGGER}" in caplog.text
        assert "the server is down" in caplog.text

    def test_the_record_of_the_trigger_is_deleted(self, xcom):
        dag_runs.withdraw_record(TRIGGER)

        xcom.delete.assert_called_once_with(
            dag_id="parent", run_id="run-1", task_id="hand_over", map_index=-1, key=RECORD_KEY
        )
