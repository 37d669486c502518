"""Airflow's own get, set and delete with the backend in between, over a supervisor that knows a few rows."""

from __future__ import annotations

import asyncio
import uuid
from types import SimpleNamespace

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, XComResult, XComSequenceSliceResult
from airflow.sdk.execution_time.context import set_current_context

from airflow_provider_exclusive.exceptions import AccessDeniedError, EnvelopeError, UnknownKeyError
from airflow_provider_exclusive.execution_time import dag_runs, redaction
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.xcom import pull, push
from airflow_provider_exclusive.xcom.backend import ExclusiveXComBackend

EXTRACT = {"dag_id": "etl", "run_id": "run-1", "task_id": "extract", "key": "return_value"}
LOAD = EXTRACT | {"task_id": "load"}


class Supervisor:
    """Answers for ``row`` and ``rows``, or with ``refusal``, and keeps the messages that it was sent."""

    def __init__(self):
        self.row, self.rows, self.refusal, self.sent = None, [], None, []

    def send(self, msg):
        self.sent.append(msg)
        if self.refusal is not None:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=self.refusal))
        if type(msg).__name__ == "GetXCom":
            return XComResult(key=msg.key, value=self.row)
        if type(msg).__name__ == "GetXComSequenceSlice":
            return XComSequenceSliceResult(root=self.rows)
        return None

    async def asend(self, msg):
        return self.send(msg)

    @property
    def asked(self):
        return [type(message).__name__ for message in self.sent]


@pytest.fixture
def supervisor(mocker):
    return mocker.patch.object(task_runner, "SUPERVISOR_COMMS", Supervisor(), create=True)


@pytest.fixture(autouse=True)
def prepared(mocker):
    mocker.patch.object(redaction, "prepare")
    mocker.patch.object(pull, "current_audit", return_value="off")
    mocker.patch.object(push, "offload_threshold", return_value=0)
    mocker.patch.object(dag_runs, "find_conf", return_value={})


@pytest.fixture
def load(run_as, consumer, dag):
    """``load``, which may read, runs."""
    return run_as(consumer, dag.get_task("load"))


@pytest.fixture
def look(run_as, dag):
    """``look``, which may not read, runs."""
    return run_as(TaskIdentity("etl", "run-1", "look"), dag.get_task("look"))


@pytest.fixture
def row(put):
    return put("a secret").to_row()


@pytest.fixture(params=["get", "aget"])
def get(request):
    """Airflow's ``get_one`` or ``get_all``, and their coroutines."""

    def get(which, **query):
        if request.param == "get":
            return getattr(ExclusiveXComBackend, f"get_{which}")(**query)
        return asyncio.run(getattr(ExclusiveXComBackend, f"aget_{which}")(**query))

    return get


class TestGetOne:
    def test_a_task_outside_the_scope_is_denied(self, look, supervisor, row, get):
        supervisor.row = row

        with pytest.raises(AccessDeniedError) as denied:
            get("one", **EXTRACT)
        assert denied.value.reason == "not-in-scope"

    @pytest.mark.parametrize("index", [0, 5])
    def test_the_reference_of_an_unmapped_task_at_a_map_index(self, load, supervisor, row, get, index):
        supervisor.row = row

        with pytest.raises(EnvelopeError, match="copied there"):
            get("one", **EXTRACT, map_index=index)

    def test_without_a_map_index_an_unmapped_task_is_meant(self, load, supervisor, put, producer, get):
        mapped = TaskIdentity(producer.dag_id, producer.run_id, producer.task_id, 0)
        supervisor.row = put(producer=mapped).to_row()

        with pytest.raises(EnvelopeError, match="copied there"):
            get("one", **EXTRACT)

    def test_a_plain_value_is_refused_where_a_reference_belongs(self, load, supervisor, get):
        supervisor.row = "planted"

        with pytest.raises(EnvelopeError, match="plain value"):
            get("one", **EXTRACT)

    def test_a_null_is_refused_where_a_reference_belongs(self, load, supervisor, get):
        supervisor.row, supervisor.rows = None, [None]

        with pytest.raises(EnvelopeError, match="plain value"):
            get("one", **EXTRACT)

    def test_a_missing_row_is_none(self, load, supervisor, get):
        assert get("one", **EXTRACT, map_index=3, include_prior_dates=True) is None
        assert supervisor.asked == ["GetXCom", "GetXComSequenceSlice"]
        assert supervisor.sent[1].include_prior_dates is True

    def test_a_missing_row_among_others_is_none(self, load, supervisor, row, get):
        supervisor.rows = [row]

        assert get("one", **EXTRACT, map_index=3) is None

    def test_a_null_of_a_plain_task_is_none_at_once(self, look, supervisor, get):
        assert get("one", **LOAD) is None
        assert supervisor.asked == ["GetXCom"]

    def test_an_earlier_run_counts_only_if_asked_for(self, run_as, dag, supervisor, row, get):
        run_as(TaskIdentity("etl", "run-1", "load"), dag.get_task("load"))
        supervisor.row = row
        later = EXTRACT | {"run_id": "run-2"}

        assert get("one", **later, include_prior_dates=True) == "a secret"
        with pytest.raises(EnvelopeError, match="copied there"):
            get("one", **later)

    def test_the_consumer_gets_the_value(self, load, supervisor, row, get):
        supervisor.row = row

        assert get("one", **EXTRACT, map_index=-1) == "a secret"

    def test_a_plain_value_of_a_plain_task(self, look, supervisor, get):
        supervisor.row = [1, 2]

        assert get("one", **LOAD) == [1, 2]


class TestGetAll:
    def test_a_task_outside_the_scope_is_denied(self, look, supervisor, row, get):
        supervisor.rows = [row]

        with pytest.raises(AccessDeniedError):
            get("all", **EXTRACT)

    @pytest.mark.parametrize("planted", [None, "planted"])
    def test_a_plain_value_is_refused_where_a_reference_belongs(self, load, supervisor, row, get, planted):
        supervisor.rows = [row, planted]

        with pytest.raises(EnvelopeError, match="plain value"):
            get("all", **EXTRACT)

    def test_a_row_twice_is_refused(self, load, supervisor, row, get):
        supervisor.rows = [row, row]

        with pytest.raises(EnvelopeError, match="the row of one map index"):
            get("all", **EXTRACT)

    def test_no_rows_are_none(self, load, supervisor, get):
        assert get("all", **EXTRACT) is None

    def test_the_consumer_gets_the_values(self, load, supervisor, row, get):
        supervisor.rows = [row]

        assert get("all", **EXTRACT) == ["a secret"]


class TestRefusalsOfTheServer:
    @pytest.mark.parametrize("which", ["one", "all"])
    def test_a_403_is_a_denial_with_its_reason(self, load, supervisor, get, which):
        answer = {"reason": "not-in-scope", "message": "Not for you."}
        supervisor.refusal = {"status_code": 403, "detail": {"detail": answer}}

        with pytest.raises(AccessDeniedError, match=r"Not for you\.") as denied:
            get(which, **EXTRACT)
        assert denied.value.reason == "not-in-scope"
        assert isinstance(denied.value, AirflowFailException)

    @pytest.mark.parametrize("call", ["set", "aset", "delete", "_send_set", "_asend_set"])
    def test_a_refused_write_says_which_error_it_is(self, load, supervisor, mocker, call):
        answer = {"reason": "unknown-key", "message": "Set public_key.", "key_id": "k-1"}
        supervisor.refusal = {"status_code": 403, "detail": {"detail": answer}}
        # As Airflow 3.4 has them.
        mocker.patch.object(BaseXCom, "_send_set", supervisor.send, create=True)
        mocker.patch.object(BaseXCom, "_asend_set", supervisor.asend, create=True)
        arguments = {"delete": LOAD, "_send_set": {"msg": None}, "_asend_set": {"msg": None}}

        async def write():
            done = getattr(ExclusiveXComBackend, call)(**arguments.get(call, LOAD | {"value": 1}))
            if done is not None:
                await done

        with pytest.raises(UnknownKeyError, match="Set public_key") as refused:
            asyncio.run(write())
        assert refused.value.key_id == "k-1"
        assert isinstance(refused.value, AirflowFailException)

    def test_other_trouble_stays_what_it_is(self, load, supervisor, get):
        supervisor.refusal = {"status_code": 500}

        with pytest.raises(AirflowRuntimeError):
            get("one", **EXTRACT)

    def test_after_a_refusal_rows_are_opened_again(self, load, supervisor, row, get):
        supervisor.refusal = {"status_code": 500}
        with pytest.raises(AirflowRuntimeError):
            get("one", **EXTRACT)

        assert ExclusiveXComBackend.deserialize_value(SimpleNamespace(value=row)) == "a secret"


class TestItemsOfLazySequences:
    """Airflow hands these to the hooks without a coordinate."""

    OPENS = pytest.mark.parametrize(
        "opening",
        [
            lambda row: ExclusiveXComBackend.deserialize_value(SimpleNamespace(value=row)),
            ExclusiveXComBackend.load_value,
        ],
        ids=["3.3", "3.4"],
    )

    @OPENS
    def test_a_task_outside_the_scope_is_denied(self, look, row, opening):
        with pytest.raises(AccessDeniedError):
            opening(row)

    @OPENS
    def test_the_consumer_gets_the_value(self, load, row, opening):
        assert opening(row) == "a secret"

    def test_a_read_of_3_4_opens_its_row_itself(self, load, row, mocker):
        """``load_value`` must not open what ``get_one`` opens with the coordinate at hand."""
        from airflow.sdk.bases.xcom import BaseXCom

        mocker.patch.object(BaseXCom, "get_one", side_effect=lambda **_: ExclusiveXComBackend.load_value(row))

        with pytest.raises(EnvelopeError, match="copied there"):
            ExclusiveXComBackend.get_one(**(EXTRACT | {"key": "other"}))


class TestPushes:
    @pytest.fixture
    def extract(self, run_as, producer, dag):
        """``extract``, an exclusive task, runs."""
        return run_as(producer, dag.get_task("extract"))

    @pytest.mark.parametrize("map_index", [0, 7])
    def test_another_map_index_is_refused(self, extract, map_index):
        with pytest.raises(AccessDeniedError) as refusal:
            ExclusiveXComBackend.serialize_value("a secret", **EXTRACT, map_index=map_index)

        assert refusal.value.reason == "foreign-coordinate"

    def test_what_is_refused_is_not_sent(self, extract, supervisor):
        with pytest.raises(AccessDeniedError):
            ExclusiveXComBackend.set(**LOAD, value="a secret")

        assert supervisor.sent == []

    def test_airflow_is_sent_a_reference(self, extract, supervisor, producer):
        place = {"dag_id": "etl", "run_id": "run-1", "task_id": "extract", "map_index": -1}
        instance = SimpleNamespace(**place, id=uuid.UUID(producer.ti_id), region_id=None, region_index=None)

        with set_current_context({"ti": instance, "task_instance": instance}):
            ExclusiveXComBackend.set(**EXTRACT, value="a secret")

        assert Reference.from_row(supervisor.sent[0].value).producer == producer

    def test_no_map_index_means_an_unmapped_task(self, extract):
        assert Reference.from_row(ExclusiveXComBackend.serialize_value("a secret", **EXTRACT)).producer.map_index == -1

    def place(self, **other):
        """A coordinate of Airflow 3.4, which names the writer but no map index."""
        return SimpleNamespace(**({"dag_id": "etl", "run_id": "run-1", "task_id": "extract"} | other))

    def test_in_3_4_another_writer_is_refused(self, extract):
        with pytest.raises(AccessDeniedError) as refusal:
            ExclusiveXComBackend.store_value(self.place(ti_id="another"), "return_value", "a secret")

        assert refusal.value.reason == "foreign-coordinate"

    def test_in_3_4_the_map_index_is_that_of_the_writer(self, run_as, producer, dag):
        mapped = TaskIdentity("etl", "run-1", "extract", 4, producer.ti_id)
        run_as(mapped, dag.get_task("extract"))

        row = ExclusiveXComBackend.store_value(self.place(ti_id=producer.ti_id), "return_value", "a secret")

        assert Reference.from_row(row).producer == mapped

    @pytest.fixture(params=["set", "aset"])
    def set_by_coordinates(self, request, mocker):
        """``set`` as Airflow 3.4 has it where there is no context: it names no writer, and tells no map index."""

        def store(key, value, **where):
            place = self.place(ti_id=None) if where["task_id"] == "extract" else self.place(ti_id=None, task_id="load")
            return stored.append(ExclusiveXComBackend.store_value(place, key, value))

        async def astore(*arguments, **where):
            return store(*arguments, **where)

        def set_and_return(**arguments):
            written = getattr(ExclusiveXComBackend, request.param)(value="a secret", **arguments)
            if written is not None:
                asyncio.run(written)
            return stored[0]

        stored = []
        mocker.patch.object(BaseXCom, "set", store)
        mocker.patch.object(BaseXCom, "aset", astore)
        return set_and_return

    @pytest.mark.parametrize("map_index", [{}, {"map_index": -1}, {"map_index": None}])
    def test_in_3_4_a_callback_writes_its_own_xcoms(self, extract, set_by_coordinates, map_index):
        assert Reference.from_row(set_by_coordinates(**EXTRACT, **map_index)).producer.task_id == "extract"

    @pytest.mark.parametrize("elsewhere", [EXTRACT | {"map_index": 3}, LOAD])
    def test_in_3_4_a_callback_writes_no_others(self, extract, set_by_coordinates, elsewhere):
        with pytest.raises(AccessDeniedError) as refusal:
            set_by_coordinates(**elsewhere)

        assert refusal.value.reason == "foreign-coordinate"

    def test_in_3_4_code_without_a_task_writes_plain_values(self, run_as):
        run_as(None)

        assert ExclusiveXComBackend.store_value(self.place(ti_id="another"), "k", [1]) == [1]


class TestDelete:
    def test_the_payload_of_another_row_stays(self, load, supervisor, row, driver):
        supervisor.row = row

        ExclusiveXComBackend.delete(**LOAD)

        assert len(driver.payloads) == 1
        assert "DeleteXCom" in supervisor.asked

    def test_another_map_index_is_another_row(self, load, supervisor, row, driver):
        supervisor.row = row

        ExclusiveXComBackend.delete(**EXTRACT, map_index=0)

        assert len(driver.payloads) == 1

    def test_the_payload_goes_with_its_row(self, load, supervisor, row, driver):
        supervisor.row = row

        ExclusiveXComBackend.delete(**EXTRACT)

        assert driver.payloads == {}
        assert "DeleteXCom" in supervisor.asked

    def test_a_purge_that_nobody_can_check_removes_nothing(self, row, driver):
        ExclusiveXComBackend.purge(XComResult(key="return_value", value=row))

        assert len(driver.payloads) == 1

    def test_after_a_failed_delete_nothing_is_being_deleted(self, load, supervisor, row, driver):
        supervisor.refusal = {"status_code": 500}
        with pytest.raises(AirflowRuntimeError):
            ExclusiveXComBackend.delete(**EXTRACT)

        ExclusiveXComBackend.purge(XComResult(key="return_value", value=row))

        assert len(driver.payloads) == 1


@pytest.mark.parametrize("read", [ExclusiveXComBackend.get_one, ExclusiveXComBackend.get_all])
def test_reading_where_no_task_runs_is_refused_with_the_way_out(read):
    with pytest.raises(AccessDeniedError, match=r"where no task runs.*testing\.result_of") as refused:
        read(**EXTRACT)
    assert refused.value.reason == "unknown-reader"


def test_what_a_task_lacks_is_not_taken_for_that(supervisor, mocker):
    mocker.patch.object(supervisor, "send", side_effect=ImportError("no such library"))
    with pytest.raises(ImportError, match="no such library"):
        ExclusiveXComBackend.get_one(**EXTRACT)
