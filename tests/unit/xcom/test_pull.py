"""What a task gets for the rows that it pulls, and which rows are refused."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver, Source, Withdrawn, to_pointer
from airflow_provider_exclusive.access.hand_over_record import seal_record
from airflow_provider_exclusive.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    EnvelopeError,
    HandOverWithdrawnError,
    StorageUnavailableError,
    UnsupportedReferenceError,
)
from airflow_provider_exclusive.execution_time import dag_runs, redaction
from airflow_provider_exclusive.format.reference import MARKER
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope
from airflow_provider_exclusive.xcom import pull
from tests.fakes import FailingDriver
from tests.rows import forged

LOOK = TaskIdentity("etl", "run-1", "look")


@pytest.fixture(autouse=True)
def prepared(mocker):
    """Airflow's task runner is left alone; how often it would have been wrapped is counted."""
    return mocker.patch.object(redaction, "prepare")


@pytest.fixture(autouse=True)
def audit(mocker):
    return mocker.patch.object(pull, "current_audit", return_value="off")


@pytest.fixture(autouse=True)
def no_hand_over(mocker):
    return mocker.patch.object(dag_runs, "find_conf", return_value={})


@pytest.fixture
def requested(producer):
    """The coordinate of the return value of ``extract``."""
    return Coordinate.of(producer, "return_value")


@pytest.fixture
def row(put):
    return put("a secret").to_row()


@pytest.fixture
def load(run_as, consumer, dag):
    """``load``, which may read, runs."""
    return run_as(consumer, dag.get_task("load"))


@pytest.fixture
def look(run_as, dag):
    """``look``, which may not read, runs."""
    return run_as(LOOK, dag.get_task("look"))


@pytest.fixture
def mapped(put, producer):
    """Return the row of a map index."""
    return lambda index: put(f"row {index}", producer=replace(producer, map_index=index)).to_row()


class TestCures:
    """A reader is told which task to clear."""

    @pytest.mark.parametrize(
        "change", [{"sealed": "AAAA"}, {MARKER: "v99: "}, {MARKER: 1}, {"consumers": "@everybody"}]
    )
    def test_an_altered_row_names_the_task(self, load, row, requested, change):
        with pytest.raises(EnvelopeError, match=r"lear and re-run task 'extract'"):
            pull.pull([row | change], requested)

    @pytest.mark.parametrize("change", [{"codec": "other"}, {"wrapped": b"AAA"}, {"size": 1}, {"object_id": bytes(16)}])
    def test_so_does_a_forged_one(self, load, row, requested, change):
        with pytest.raises(EnvelopeError, match=r"lear and re-run task 'extract'"):
            pull.pull([forged(row, **change)], requested)

    def test_so_does_an_altered_value_in_its_row(self, load, put, requested, make_store):
        row = put(into=make_store(inline_bytes=1_000)).to_row()
        with pytest.raises(EnvelopeError, match=r"lear and re-run task 'extract'"):
            pull.pull([forged(row, wrapped=b"x" * 25)], requested)

    def test_an_altered_payload_names_the_task(self, load, row, requested, driver):
        driver.payloads = {key: b"x" * len(payload) for key, payload in driver.payloads.items()}
        with pytest.raises(EnvelopeError, match=r"Clear and re-run task 'extract' of that run\."):
            pull.pull([row], requested)

    def test_so_does_an_item_of_a_lazy_sequence(self, load, row, driver):
        driver.payloads = {key: b"x" * len(payload) for key, payload in driver.payloads.items()}
        with pytest.raises(EnvelopeError, match=r"Clear and re-run task 'extract' of that run\."):
            pull.pull([row], None)

    def test_a_denied_reader_is_told_what_to_clear(self, look, row, requested):
        with pytest.raises(AccessDeniedError, match=r"then clear and re-run 'extract'"):
            pull.pull([row], requested)


class TestReadersWhoAreDenied:
    def test_a_task_outside_the_scope(self, look, row, requested):
        with pytest.raises(AccessDeniedError, match=r"etl.look .* may be read by: etl.load") as denied:
            pull.pull([row], requested)

        assert denied.value.reason == "not-in-scope"
        assert isinstance(denied.value, AirflowFailException)
        assert "a secret" not in str(denied.value)

    def test_they_are_told_where_the_scope_is_declared(self, look, row, requested):
        with pytest.raises(AccessDeniedError, match=r"The scope is declared at .*conftest\.py:\d+\."):
            pull.pull([row], requested)

    def test_code_without_a_task(self, run_as, row, requested):
        run_as(None)

        with pytest.raises(AccessDeniedError, match="no running task instance") as denied:
            pull.pull([row], requested)

        assert denied.value.reason == "unknown-reader"
        assert "declared at" not in str(denied.value)

    @pytest.mark.parametrize("producer", [TaskIdentity("other", "run-1", "extract"), TaskIdentity("etl", "r", "gone")])
    def test_no_line_is_named_of_what_this_dag_does_not_have(self, look, put, producer):
        with pytest.raises(AccessDeniedError) as denied:
            pull.pull([put(producer=producer).to_row()], Coordinate.of(producer, "return_value"))

        assert "declared at" not in str(denied.value)

    def test_a_trigger_outside_the_scope(self, run_as, row, requested):
        run_as(LOOK, None)

        with pytest.raises(AccessDeniedError):
            pull.pull([row], requested)

    def test_one_denied_value_denies_all(self, look, put, row):
        open_to_all = put("plain", scope=OPEN, key="k").to_row()

        with pytest.raises(AccessDeniedError):
            pull.pull([open_to_all, row], None)
        assert list(look.inputs) == []

    def test_nothing_is_noted_of_a_denied_value(self, look, row, requested):
        with pytest.raises(AccessDeniedError):
            pull.pull([row], requested)

        assert list(look.inputs) == []

    def test_a_run_that_was_handed_something_else(self, run_as, row, requested):
        child = TaskIdentity("child", "run-9", "read")
        running = run_as(child, None)
        source = Source(replace(requested, key="other"), is_exclusive=True)
        running.hand_overs["child", "run-9"] = HandOver(
            TaskIdentity("etl", "run-1", "load"), "child", "run-9", {"a": source}
        )

        with pytest.raises(AccessDeniedError):
            pull.pull([row], requested)

    def test_a_run_whose_hand_over_is_withdrawn_may_try_again(self, run_as, row, requested):
        running = run_as(TaskIdentity("child", "run-9", "read"), None)
        running.hand_overs["child", "run-9"] = Withdrawn(TaskIdentity("etl", "run-1", "load"))

        with pytest.raises(HandOverWithdrawnError, match="Access denied for now") as denied:
            pull.pull([row], requested)

        assert denied.value.reason == "hand-over-withdrawn"
        assert not isinstance(denied.value, AirflowFailException)


class TestRowsThatAreRefused:
    @pytest.mark.parametrize(
        "elsewhere", [{"task_id": "load"}, {"run_id": "run-2"}, {"dag_id": "other"}, {"key": "k"}, {"map_index": 3}]
    )
    def test_a_reference_that_was_copied_there(self, load, row, requested, elsewhere):
        with pytest.raises(EnvelopeError, match="holds the reference of another one") as refusal:
            pull.pull([row], replace(requested, **elsewhere))

        assert isinstance(refusal.value, AirflowFailException)

    @pytest.mark.parametrize("elsewhere", [{"run_id": "run-2"}, {"dag_id": "other"}])
    def test_an_item_of_a_lazy_sequence_from_elsewhere(self, load, put, producer, elsewhere):
        copied = put(producer=replace(producer, **elsewhere)).to_row()

        with pytest.raises(EnvelopeError, match="copied there"):
            pull.pull([copied], None)

    @pytest.mark.parametrize("indexes", [(1, 0), (0, 0), (0, 2, 1)])
    def test_map_indexes_out_of_order(self, load, mapped, requested, indexes):
        with pytest.raises(EnvelopeError, match="the row of one map index holds the reference of another one"):
            pull.pull([mapped(index) for index in indexes], replace(requested, map_index=None))

    @pytest.mark.parametrize("planted", ["text", 7, None, [1], {"a": 1}, {MARKER: "plain", "value": {"a": 1}}])
    def test_a_plain_value_at_an_exclusive_coordinate(self, load, requested, planted):
        with pytest.raises(EnvelopeError, match="exclusive output of task 'extract', found a plain value"):
            pull.pull([planted], requested)

    def test_a_plain_value_beside_a_reference(self, load, mapped, requested):
        with pytest.raises(EnvelopeError, match="found a plain value"):
            pull.pull([mapped(0), "planted"], replace(requested, map_index=None))

    def test_a_reference_of_a_later_version(self, load, row, requested):
        with pytest.raises(UnsupportedReferenceError, match="version 2"):
            pull.pull([row | {MARKER: "v2: 9 B json in memory"}], requested)

    def test_a_reference_with_more_readers_than_were_sealed(self, look, row, requested):
        row["consumers"] += ", etl:look"

        with pytest.raises(EnvelopeError):
            pull.pull([row], requested)

    def test_an_escaped_row_with_another_field_is_no_plain_value(self, load, requested):
        with pytest.raises(UnsupportedReferenceError):
            pull.pull([{MARKER: "plain", "value": 1, "more": 2}], replace(requested, task_id="load"))

    def test_an_unreachable_store_may_be_tried_again(self, load, row, requested, used_store, make_store):
        used_store(make_store(driver=FailingDriver()))

        with pytest.raises(StorageUnavailableError) as refusal:
            pull.pull([row], requested)

        assert not isinstance(refusal.value, AirflowFailException)

    def test_nothing_is_opened_where_airflow_would_store_it(self, load, row, requested, prepared):
        prepared.side_effect = ConfigurationError("Unsupported Airflow version")

        with pytest.raises(ConfigurationError, match="Unsupported Airflow version"):
            pull.pull([row], requested)
        assert list(load.inputs) == []


class TestWhatIsOpened:
    def test_the_value_for_a_task_in_the_scope(self, load, row, requested):
        assert pull.pull([row], requested) == ["a secret"]

    def test_its_own_value_for_the_producer(self, run_as, producer, dag, row, requested):
        run_as(producer, dag.get_task("extract"))

        assert pull.pull([row], requested) == ["a secret"]

    def test_it_is_masked_if_its_reference_says_so(self, load, put, requested, mocker):
        mask = mocker.patch.object(pull.masking, "mask")

        assert pull.pull([put("a secret").to_row()], requested) == ["a secret"]
        mask.assert_not_called()
        assert pull.pull([put("a secret", mask=True).to_row()], requested) == ["a secret"]
        mask.assert_called_once_with("a secret")

    def test_a_row_that_no_longer_says_so_does_not_open(self, load, put, requested):
        row = forged(put("a secret", mask=True).to_row(), is_masked=False)

        with pytest.raises(EnvelopeError):
            pull.pull([row], requested)

    def test_map_indexes_in_order(self, load, mapped, requested):
        rows = [mapped(index) for index in range(3)]

        assert pull.pull(rows, replace(requested, map_index=None)) == ["row 0", "row 1", "row 2"]

    def test_the_same_map_index_of_several_runs(self, load, put, producer, consumer, requested):
        scope = ConsumerScope((Clause("etl", "load", None),))
        rows = [put(run, producer=replace(producer, run_id=run), scope=scope).to_row() for run in ("run-0", "run-1")]

        assert pull.pull(rows, replace(requested, run_id=None, map_index=None)) == ["run-0", "run-1"]

    def test_an_item_of_a_lazy_sequence(self, load, mapped):
        assert pull.pull([mapped(1)], None) == ["row 1"]

    def test_it_is_noted_with_its_value(self, load, row, requested):
        pull.pull([row], requested)

        assert list(load.inputs) == [("extract", "return_value")]
        assert [opened.value for opened in load.opened] == ["a secret"]

    def test_airflow_is_prepared_before_the_store_is_asked(self, load, row, requested, prepared, mocker):
        order = mocker.Mock()
        order.attach_mock(prepared, "prepare")
        mocker.patch.object(pull, "current_store", side_effect=order.store)
        order.store.return_value.get_many.return_value = ["a secret"]

        pull.pull([row], requested)

        assert [name for name, *_ in order.mock_calls][:2] == ["prepare", "store"]

    def test_what_every_task_may_read_is_not_noted(self, load, put, requested, prepared):
        row = put("offloaded", scope=OPEN).to_row()

        assert pull.pull([row], requested) == ["offloaded"]
        assert list(load.inputs) == []
        assert prepared.mock_calls == []

    @pytest.mark.parametrize("place", [Coordinate("etl", "run-1", "extract"), None], ids=["named", "lazy"])
    def test_what_every_task_may_read_needs_no_task(self, run_as, put, place):
        run_as(None)

        assert pull.pull([put("offloaded", scope=OPEN).to_row()], place) == ["offloaded"]

    def test_what_was_handed_to_the_run_of_the_reader(self, run_as, row, requested, no_hand_over, mocker, consumer):
        record = HandOver(consumer, "child", "run-9", {"rows": Source(requested, is_exclusive=True)})
        no_hand_over.return_value = {"exclusive": to_pointer(consumer)}
        mocker.patch.object(dag_runs, "_pull_record", return_value=record)
        run_as(TaskIdentity("child", "run-9", "read"), None)

        assert pull.pull([row], requested) == ["a secret"]


class TestHandOverRecords:
    @pytest.fixture
    def record(self, consumer, requested):
        return HandOver(consumer, "child", "run-9", {"rows": Source(requested, is_exclusive=True)})

    @pytest.fixture
    def sealed(self, record, consumer, store):
        return seal_record(record, producer=consumer, keys=store.keys).to_row()

    @pytest.fixture
    def place(self, consumer):
        return Coordinate.of(consumer, RECORD_KEY)

    def test_an_edited_one_is_refused(self, look, sealed, place):
        with pytest.raises(EnvelopeError):
            pull.pull([forged(sealed, size=1)], place)

    def test_a_value_under_its_key_is_refused(self, look, put, consumer, place):
        forged = put("a value", producer=consumer, key=RECORD_KEY, scope=OPEN).to_row()

        with pytest.raises(EnvelopeError, match="not a valid hand-over record"):
            pull.pull([forged], place)

    @pytest.mark.parametrize("planted", [None, {"dag_id": "child"}])
    def test_a_plain_value_under_its_key_is_refused(self, look, place, planted):
        with pytest.raises(EnvelopeError, match="'load', found a plain value"):
            pull.pull([planted], place)

    def test_every_task_may_read_one(self, look, sealed, place, record):
        assert pull.pull([sealed], place) == [record]

    def test_values_beside_one_keep_their_places(self, load, row, sealed, record):
        assert pull.pull([row, sealed, row], None) == ["a secret", record, "a secret"]


class TestPlainValues:
    @pytest.fixture
    def plain(self, consumer):
        """The coordinate of the return value of ``load``, a plain task."""
        return Coordinate.of(consumer, "return_value")

    @pytest.mark.parametrize("value", ["text", 7, None, (1, 2), {"a": {1, 2}}])
    def test_they_are_what_they_were(self, look, plain, value):
        assert pull.pull([BaseXCom.serialize_value(value)], plain) == [value]

    @pytest.mark.parametrize("value", [{MARKER: 1}, {MARKER: "plain", "value": 3}])
    def test_what_was_wrapped_is_unwrapped(self, look, plain, value):
        assert pull.pull([{MARKER: "plain", "value": value}], plain) == [value]

    def test_they_need_no_store(self, look, plain, mocker):
        store = mocker.patch.object(pull, "current_store")

        pull.pull([1, 2], plain)

        assert store.mock_calls == []

    def test_no_rows_are_no_values(self, look, requested):
        assert pull.pull([], requested) == []


class TestAudit:
    @pytest.fixture
    def logged(self, caplog):
        """Return what was logged about who read what."""
        caplog.set_level(logging.INFO, logger=pull.log.name)
        return lambda: [
            record.getMessage() for record in caplog.records if record.getMessage().startswith("exclusive.")
        ]

    DENIED = "exclusive.denied: etl.look (run run-1) requested 'return_value' of etl.extract (run run-1)"
    READ = "exclusive.read: etl.load (run run-1) requested 'return_value' of etl.extract (run run-1)"

    @pytest.mark.parametrize(("option", "lines"), [("off", []), ("denied", [DENIED]), ("all", [DENIED])])
    def test_denials(self, look, row, requested, audit, logged, option, lines):
        audit.return_value = option

        with pytest.raises(AccessDeniedError):
            pull.pull([row], requested)

        assert logged() == lines

    @pytest.mark.parametrize(("option", "lines"), [("off", []), ("denied", []), ("all", [READ])])
    def test_reads(self, load, row, requested, audit, logged, option, lines):
        audit.return_value = option

        pull.pull([row], requested)

        assert logged() == lines

    def test_what_every_task_may_read_is_no_matter_of_the_audit(self, load, put, requested, audit, logged):
        audit.return_value = "all"

        pull.pull([put("offloaded", scope=OPEN).to_row()], requested)

        assert logged() == []
