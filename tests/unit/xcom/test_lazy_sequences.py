"""Walks over Airflow's own lazy sequence, beside Airflow's own iterator, over a supervisor that knows the rows."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import lazy_sequence, task_runner, xcom
from airflow.sdk.execution_time.comms import (
    ErrorResponse,
    XComCountResponse,
    XComSequenceIndexResult,
    XComSequenceSliceResult,
)
from airflow.sdk.execution_time.lazy_sequence import LazyXComIterator, LazyXComSequence

from airflow_provider_exclusive.compat.replace import original_of
from airflow_provider_exclusive.exceptions import AccessDeniedError, EnvelopeError, PayloadNotFoundError
from airflow_provider_exclusive.execution_time import redaction
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.store import object_key_of
from airflow_provider_exclusive.xcom import lazy_sequences, pull
from airflow_provider_exclusive.xcom.backend import ExclusiveXComBackend
from airflow_provider_exclusive.xcom.lazy_sequences import SliceIterator

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


@pytest.fixture
def clock(mocker):
    """The time that the iterator reads; move it by ``clock.now += 1``."""
    clock = SimpleNamespace(now=0.0)
    mocker.patch.object(lazy_sequences, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


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


def delivered(iterator):
    """Return what an iterator delivers, and the error that ends it."""
    values = []
    try:
        for value in iterator:  # an error must not take the values before it with it
            values.append(value)  # noqa: PERF402
    except Exception as error:
        return values, error
    return values, None


class TestRefusals:
    @pytest.mark.parametrize("index", range(10))
    def test_a_refused_item_ends_the_walk_after_those_before(self, extracts, supervisor, index):
        supervisor.refused = {index: refused(403)}

        values, error = delivered(extracts)

        assert values == list(range(index))
        assert isinstance(error, AccessDeniedError)
        assert isinstance(error, AirflowFailException)
        assert error.reason == "not-in-scope"

    def test_after_a_refused_slice_its_items_are_single(self, extracts, supervisor):
        supervisor.refused = {5: refused(403)}
        walk = iter(extracts)

        assert delivered(walk)[0] == [0, 1, 2, 3, 4]
        assert supervisor.asked == [1, 2, 4, 1, 1, 1]
        supervisor.refused = {}
        assert list(walk) == [5, 6, 7, 8, 9]

    def test_an_undecided_read_is_what_it_is_for_other_pulls(self, extracts, supervisor):
        supervisor.refused = {4: refused(503, {"reason": "undecided", "message": "See the log."})}

        values, error = delivered(extracts)

        assert values == [0, 1, 2, 3]
        assert type(error) is AirflowRuntimeError

    @pytest.mark.parametrize("read", [lambda xs: xs[4], lambda xs: xs[2:6], lambda xs: xs.index(8)])
    def test_a_refused_item_or_slice_is_a_denial(self, extracts, supervisor, read):
        supervisor.refused = {4: refused(403)}

        with pytest.raises(AccessDeniedError, match=r"Not for you\."):
            read(extracts)

    def test_a_task_outside_the_scope_gets_nothing(self, extracts, run_as, dag):
        run_as(TaskIdentity("etl", "run-1", "look"), dag.get_task("look"))

        values, error = delivered(extracts)

        assert values == []
        assert isinstance(error, AccessDeniedError)

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

    def test_an_altered_item_ends_the_walk_after_those_before(self, extracts, supervisor):
        supervisor.rows[6] = supervisor.rows[6] | {"codec": "other"}

        values, error = delivered(extracts)

        assert values == [0, 1, 2, 3, 4, 5]
        assert isinstance(error, EnvelopeError)

    def test_a_lost_payload_ends_the_walk_after_those_before(self, extracts, supervisor, driver):
        driver.delete(object_key_of(Reference.from_row(supervisor.rows[6])))
        walk = iter(extracts)

        for _ in range(2):  # another call looks for the same item again
            values, error = delivered(walk)
            assert isinstance(error, PayloadNotFoundError)
        assert values == []
        assert walk.index == 6

    def test_a_walk_where_no_task_runs(self, extracts, monkeypatch):
        monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS")

        with pytest.raises(AccessDeniedError, match="where no task runs"):
            next(iter(extracts))


class TestRequests:
    def test_slices_grow_to_their_limit(self, looks, supervisor):
        supervisor.rows = list(range(200))

        assert list(iter(looks)) == list(range(200))
        assert supervisor.asked == [1, 2, 4, 8, 16, 32, 64, 64, 64, 18]

    def test_the_first_item_alone_costs_one_row(self, looks, supervisor):
        supervisor.rows = [1, 2, 3]

        assert next(iter(looks)) == 1
        assert supervisor.asked == [1]

    def test_large_rows_come_in_short_slices(self, looks, supervisor):
        supervisor.rows = ["x" * 300_000] * 20

        assert list(iter(looks)) == supervisor.rows
        assert max(supervisor.asked) == 3

    def test_values_are_opened_when_they_are_due(self, extracts, supervisor, mocker):
        opening = mocker.spy(pull, "pull")
        walk = iter(extracts)

        assert [next(walk) for _ in range(4)] == [0, 1, 2, 3]
        assert supervisor.asked == [1, 2, 4]
        assert opening.call_count == 4

    def test_rows_that_were_fetched_long_ago_do_not_count(self, looks, supervisor, clock):
        supervisor.rows = [0, 1, 2, 3, 4, 5, 6, 7]
        walk = iter(looks)

        assert [next(walk) for _ in range(4)] == [0, 1, 2, 3]
        supervisor.rows = [10, 11, 12, 13, 14, 15, 16, 17]
        clock.now += 4
        assert next(walk) == 4
        clock.now += 2
        assert next(walk) == 15
        assert supervisor.asked == [1, 2, 4, 1]

    def test_nothing_is_copied_or_pickled_of_the_rows(self, extracts):
        walk = iter(extracts)
        assert [next(walk) for _ in range(4)] == [0, 1, 2, 3]

        twin = copy.copy(walk)

        assert twin.__reduce__() == (SliceIterator, (extracts, 4))
        assert "wrapped_key" not in repr(walk)
        assert list(twin) == list(walk) == [4, 5, 6, 7, 8, 9]


class TestAsInAirflow:
    @pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 100])
    @pytest.mark.parametrize(
        "read",
        [
            list,
            tuple,
            set,
            len,
            repr,
            bool,
            lambda xs: list(reversed(xs)),
            lambda xs: [*enumerate(xs)],
            lambda xs: [*zip(xs, xs, strict=True)],
            lambda xs: [(x, y) for x in xs for y in xs if y < 3],
            lambda xs: (2 in xs, 99 in xs, xs.count(2)),
            lambda xs: (xs[1:3], xs[::-1], xs[-2:]),
            lambda xs: xs == list(range(7)),
            lambda xs: hash(xs) == hash(tuple(xs)),
            lambda xs: xs[0] if len(xs) else None,
            lambda xs: xs.index(2) if 2 in xs else None,
        ],
    )
    def test_every_way_to_read_a_sequence(self, looks, supervisor, mocker, count, read):
        supervisor.rows = list(range(count))
        found = read(looks)

        for name in ("__iter__", "__getitem__"):
            mocker.patch.object(LazyXComSequence, name, original_of(getattr(LazyXComSequence, name)))
        assert found == read(sequence_of("look"))

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

    def test_the_end_is_where_nothing_comes_any_more(self, looks, supervisor):
        walks = [iter(looks), LazyXComIterator(looks)]
        for rows in ([0, 1, 2], [0, 1, 2], [0, 1, 2, 3, 4], [0, 1]):
            supervisor.rows = rows
            ours, airflows = map(list, walks)
            assert ours == airflows

    def test_what_is_pushed_during_the_walk_is_delivered(self, looks, supervisor):
        supervisor.rows = [0, 1, 2, 3]
        seen = []
        for value in looks:
            seen.append(value)
            if len(supervisor.rows) < 12:
                supervisor.rows.append(len(supervisor.rows))

        assert seen == list(range(12))

    def test_two_walks_do_not_disturb_each_other(self, extracts):
        first, second = iter(extracts), iter(extracts)

        assert [next(first), next(first), next(second), next(first), next(second)] == [0, 1, 0, 2, 1]
        assert list(second) == list(range(2, 10))
        assert list(first) == list(range(3, 10))

    def test_under_another_backend_its_own_iterator_walks(self, looks, supervisor, mocker):
        mocker.patch.object(xcom, "XCom", BaseXCom)

        assert isinstance(iter(looks), LazyXComIterator)


class WithoutFields:
    def __iter__(self): ...

    def __getitem__(self, key): ...


class WithAnotherParameter:
    _xcom_arg = _ti = None

    def __iter__(self): ...

    def __getitem__(self, index): ...


class TestAnotherAirflow:
    @pytest.mark.parametrize("changed", [WithoutFields, WithAnotherParameter])
    def test_it_is_left_alone_and_logged(self, mocker, caplog, changed):
        mocker.patch.object(lazy_sequence, "LazyXComSequence", changed)
        before = changed.__iter__, changed.__getitem__

        lazy_sequences.attach(ExclusiveXComBackend)

        assert (changed.__iter__, changed.__getitem__) == before
        assert "only Dag and run are checked" in caplog.text


def test_a_thousand_items_take_some_twenty_requests(looks, supervisor):
    supervisor.rows = list(range(1000))

    assert sum(looks) == sum(range(1000))
    assert len(supervisor.asked) == 22
