"""What is stored for a pushed value, and which pushes are refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_exclusive import consumers
from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver, Source
from airflow_provider_exclusive.access.hand_over_record import open_record
from airflow_provider_exclusive.codecs.base import CodecRegistry
from airflow_provider_exclusive.codecs.serde import SerdeCodec
from airflow_provider_exclusive.crypto.data_keys import ServerDataKeys
from airflow_provider_exclusive.exceptions import (
    AccessDeniedError,
    CodecError,
    ConfigurationError,
    InvalidScopeError,
    StorageUnavailableError,
)
from airflow_provider_exclusive.execution_time import key_holder
from airflow_provider_exclusive.format.reference import MARKER, SUPERSEDED, Reference, ServerAnswer, escape, to_answer
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.scopes.scope import OPEN, Clause
from airflow_provider_exclusive.storage.object_keys import object_prefix
from airflow_provider_exclusive.xcom import push
from tests.fakes import FailingDriver, InMemoryDriver
from tests.rows import forged

LARGE = ["row"] * 1_000


@pytest.fixture(autouse=True)
def threshold(mocker):
    """Plain values stay in their rows, unless a test says from which size they move."""
    return mocker.patch.object(push, "offload_threshold", return_value=0)


@pytest.fixture
def own(producer):
    """The coordinate of the return value of ``extract``."""
    return Coordinate.of(producer, "return_value")


@pytest.fixture
def exclusive(run_as, producer, dag):
    """``extract``, an exclusive task, runs."""
    return run_as(producer, dag.get_task("extract"))


@pytest.fixture
def plain(run_as, consumer, dag):
    """``load``, a plain task, runs."""
    return run_as(consumer, dag.get_task("load"))


@pytest.fixture
def hand_over(consumer):
    source = Source(Coordinate("etl", "run-1", "extract", -1, "return_value"), is_exclusive=True)
    return HandOver(consumer, "child", "run-9", {"rows": source})


class TestWithoutThePrivateKey:
    @pytest.fixture(autouse=True)
    def sealing(self, used_store, store, ring):
        used_store(replace(store, keys=ServerDataKeys(ring.keys[0].public)))
        key_holder._held_key_ids.cache_clear()
        yield
        key_holder._held_key_ids.cache_clear()

    @pytest.fixture(params=["exclusive output", "large plain value", "hand-over record"])
    def pushed(self, request, own, consumer, threshold, hand_over):
        """What a task seals, and where."""
        if request.param == "exclusive output":
            request.getfixturevalue("exclusive")
            return "a secret", own
        request.getfixturevalue("plain")
        if request.param == "hand-over record":
            return hand_over, Coordinate.of(consumer, RECORD_KEY)
        threshold.return_value = 100
        return LARGE, Coordinate.of(consumer, "return_value")

    def test_nothing_is_stored_that_nobody_could_open(self, pushed, driver, mocker):
        mocker.patch.object(key_holder, "find_xcom", return_value=None)

        with pytest.raises(ConfigurationError, match="plugin 'exclusive' is not loaded") as refused:
            push.push(*pushed)
        assert isinstance(refused.value, AirflowFailException)
        assert list(driver.scan()) == []

    def test_it_is_stored_once_the_server_holds_the_key(self, pushed, ring, mocker):
        mocker.patch.object(key_holder, "find_xcom", return_value=ring.key_ids)

        assert Reference.from_row(push.push(*pushed)).sealed


class TestRefused:
    @pytest.mark.parametrize(
        "elsewhere",
        [{"task_id": "load"}, {"dag_id": "other"}, {"run_id": "run-2"}, {"map_index": 0}, {"map_index": None}],
        ids=["task", "Dag", "run", "map index", "map index unknown"],
    )
    def test_an_exclusive_task_writing_elsewhere(self, exclusive, own, driver, elsewhere):
        with pytest.raises(AccessDeniedError, match="may write only its own XComs") as refusal:
            push.push("a secret", replace(own, **elsewhere))

        assert refusal.value.reason == "foreign-coordinate"
        assert isinstance(refusal.value, AirflowFailException)
        assert "a secret" not in str(refusal.value)
        assert driver.payloads == {}

    def test_an_exclusive_task_writing_without_a_key(self, exclusive, own, driver):
        with pytest.raises(AccessDeniedError) as refusal:
            push.push("a secret", replace(own, key=None))

        assert refusal.value.reason == "foreign-coordinate"
        assert driver.payloads == {}

    def test_a_value_without_a_codec(self, exclusive, own, driver):
        with pytest.raises(CodecError) as refusal:
            push.push(object(), own)

        assert isinstance(refusal.value, AirflowFailException)
        assert driver.payloads == {}

    def test_an_unreachable_store_may_be_tried_again(self, exclusive, own, used_store, make_store):
        used_store(make_store(driver=FailingDriver()))

        with pytest.raises(StorageUnavailableError) as refusal:
            push.push("a secret", own)

        assert not isinstance(refusal.value, AirflowFailException)

    @pytest.mark.parametrize("forged", ["text", {"dag_id": "child", "run_id": "run-9", "keys": {}}])
    def test_a_value_under_the_key_of_records(self, plain, consumer, forged):
        with pytest.raises(InvalidScopeError, match="reserved for the hand-over record"):
            push.push(forged, Coordinate.of(consumer, RECORD_KEY))

    def test_a_record_of_another_task(self, plain, producer, hand_over):
        with pytest.raises(InvalidScopeError, match="reserved"):
            push.push(hand_over, Coordinate.of(producer, RECORD_KEY))

    def test_a_record_without_a_task(self, run_as, consumer, hand_over):
        run_as(None)

        with pytest.raises(InvalidScopeError, match="reserved"):
            push.push(hand_over, Coordinate.of(consumer, RECORD_KEY))


class TestExclusive:
    def test_the_row_says_who_wrote_it_and_who_may_read(self, exclusive, own, producer):
        reference = Reference.from_row(push.push("a secret", own))

        assert (reference.producer, reference.key) == (producer, "return_value")
        assert reference.scope.clauses == (Clause("etl", "load", "run-1"),)

    def test_neither_row_nor_payload_holds_the_value(self, exclusive, own, driver):
        row = push.push("a secret", own)

        assert "a secret" not in str(row)
        assert b"a secret" not in b"".join(driver.payloads.values())
        assert len(driver.payloads) == 1

    def test_the_consumer_gets_the_value(self, exclusive, own, store, consumer):
        row = push.push(["a", "secret"], own)

        assert store.get(Reference.from_row(row), reader=consumer) == ["a", "secret"]

    def test_its_texts_are_masked_if_the_scope_asks_for_it(self, run_as, producer, own, dag, mocker):
        mask = mocker.patch.object(push.masking, "mask")
        run_as(producer, dag.get_task("load"), outputs=consumers("audit", mask=True).outputs)

        assert Reference.from_row(push.push("a secret", own)).is_masked
        mask.assert_called_once_with("a secret")

    def test_without_asking_they_are_not(self, exclusive, own, mocker):
        mask = mocker.patch.object(push.masking, "mask")

        assert not Reference.from_row(push.push("a secret", own)).is_masked
        mask.assert_not_called()

    def test_they_are_masked_even_if_the_push_fails(self, run_as, producer, own, dag, mocker, used_store, make_store):
        mask = mocker.patch.object(push.masking, "mask")
        used_store(make_store(driver=FailingDriver()))
        run_as(producer, dag.get_task("load"), outputs=consumers("audit", mask=True).outputs)

        with pytest.raises(StorageUnavailableError):
            push.push("a secret", own)

        mask.assert_called_once_with("a secret")

    def test_what_the_hook_told_counts_more_than_the_operator(self, run_as, producer, own, dag):
        run_as(producer, dag.get_task("load"), outputs=consumers("audit").outputs)

        reference = Reference.from_row(push.push("a secret", own))

        assert [clause.task_id for clause in reference.scope.clauses] == ["audit"]

    def test_an_expanded_operator_that_lost_its_hook(self, run_as, producer, own, dag):
        run_as(producer, SimpleNamespace(dag=dag, task_group=None, downstream_task_ids={"load"}))

        reference = Reference.from_row(push.push("a secret", own))

        assert [clause.task_id for clause in reference.scope.clauses] == ["load"]

    def test_downstream_tasks_are_those_at_the_push(self, run_as, producer, own, work):
        with DAG("etl"):
            extract = work(task_id="extract", pre_execute=consumers())
            extract >> [work(task_id="b"), work(task_id="a")]
        run_as(producer, extract)

        reference = Reference.from_row(push.push("a secret", own))

        assert [clause.task_id for clause in reference.scope.clauses] == ["a", "b"]

    @pytest.mark.parametrize(
        ("multiple_outputs", "value", "readers"),
        [(True, {"a": 1, "b": 2}, ["both"]), (True, ["a", "b"], []), (False, {"a": 1, "b": 2}, [])],
        ids=["several outputs", "no mapping", "one output"],
    )
    def test_who_reads_the_whole(self, run_as, producer, own, work, multiple_outputs, value, readers):
        scope = consumers({"a": ["both", "one"], "b": ["both"]})
        run_as(producer, work(task_id="extract", pre_execute=scope, multiple_outputs=multiple_outputs, dag=DAG("etl")))

        reference = Reference.from_row(push.push(value, own))

        assert [clause.task_id for clause in reference.scope.clauses] == readers

    def test_a_part_has_the_scope_of_its_own(self, run_as, producer, own, work):
        scope = consumers({"a": ["both", "one"], "b": ["both"]})
        run_as(producer, work(task_id="extract", pre_execute=scope, multiple_outputs=True, dag=DAG("etl")))

        reference = Reference.from_row(push.push(1, replace(own, key="a")))

        assert [clause.task_id for clause in reference.scope.clauses] == ["both", "one"]

    def test_a_codec_that_is_not_there_is_refused(self, run_as, producer, own, dag):
        run_as(producer, dag.get_task("extract"), outputs=consumers("load", codec="cloudpickle").outputs)

        with pytest.raises(CodecError, match="cloudpickle"):
            push.push("a secret", own)


class TestRecords:
    def test_a_record_is_sealed_into_the_row(self, plain, consumer, hand_over, store, driver):
        row = push.push(hand_over, Coordinate.of(consumer, RECORD_KEY))

        assert open_record(Reference.from_row(row), keys=store.keys) == hand_over
        assert Reference.from_row(row).store is None
        assert driver.payloads == {}


class TestPlain:
    @pytest.mark.parametrize("value", ["text", 7, None, [1, {"a": (1, 2)}], {"a": {1, 2}}])
    def test_the_row_is_airflows_own(self, plain, consumer, value):
        row = push.push(value, Coordinate.of(consumer, "return_value"))

        assert row == BaseXCom.serialize_value(value)

    @pytest.mark.parametrize("value", [{MARKER: 1}, {MARKER: "plain", "value": 3}])
    def test_what_looks_like_a_reference_is_wrapped(self, plain, consumer, value):
        assert push.push(value, Coordinate.of(consumer, "k")) == {MARKER: "plain", "value": value}

    def test_it_may_write_elsewhere(self, plain, own):
        assert push.push([1], own) == [1]

    def test_code_without_a_task_writes_plain_values(self, run_as, own):
        run_as(None)

        assert push.push([1], own) == [1]

    @pytest.mark.parametrize(
        "dag", [None, SimpleNamespace(dag_id="etl", task_dict={})], ids=["no Dag", "a Dag without it"]
    )
    def test_a_task_that_no_dag_file_scopes(self, run_as, producer, own, dag):
        run_as(producer, SimpleNamespace(dag=dag))

        assert push.push([1], own) == [1]

    def test_a_trigger_writes_plain_values(self, run_as, producer, own):
        run_as(producer, None)

        assert push.push([1], own) == [1]

    def test_airflows_own_keys_are_not_sealed(self, exclusive, own, driver):
        assert push.push({"skipped": ["a"]}, replace(own, key="skipmixin_key")) == {"skipped": ["a"]}
        assert driver.payloads == {}


class TestLargePlainValues:
    @pytest.fixture
    def place(self, consumer):
        return Coordinate.of(consumer, "return_value")

    @pytest.fixture(autouse=True)
    def from_a_kilobyte(self, threshold):
        threshold.return_value = 1_000

    def test_they_move_and_every_task_may_read_them(self, plain, place, driver, used_store, make_store):
        store = make_store(codecs=CodecRegistry([SerdeCodec()]))
        used_store(store)

        reference = Reference.from_row(push.push(LARGE, place))

        assert reference.scope == OPEN
        assert len(driver.payloads) == 1
        assert store.get(reference, reader=None) == LARGE

    @pytest.mark.parametrize("value", [{MARKER: "v1: ", "rows": LARGE}, escape({"rows": LARGE})])
    def test_one_that_looks_like_a_reference_comes_back(self, plain, place, used_store, make_store, value):
        store = make_store(codecs=CodecRegistry([SerdeCodec()]))
        used_store(store)

        assert store.get(Reference.from_row(push.push(value, place)), reader=None) == value

    def test_small_ones_stay(self, plain, place, driver):
        assert push.push(["row"], place) == ["row"]
        assert driver.payloads == {}

    def test_a_value_of_exactly_the_size_moves(self, plain, place, driver):
        assert push.push("x" * 997, place) == "x" * 997  # two quotes more in JSON
        assert Reference.from_row(push.push("x" * 998, place)).size == 1_000

    def test_a_number_stays_however_long(self, plain, place, driver):
        assert push.push(10**2_000, place) == 10**2_000

    @pytest.mark.parametrize("elsewhere", [{"task_id": "extract"}, {"map_index": None}, {"key": None}])
    def test_one_written_elsewhere_stays(self, plain, place, driver, elsewhere):
        assert push.push(LARGE, replace(place, **elsewhere)) == LARGE
        assert driver.payloads == {}

    def test_one_of_no_task_stays(self, run_as, place, driver):
        run_as(None)

        assert push.push(LARGE, place) == LARGE
        assert driver.payloads == {}

    def test_zero_keeps_all_in_their_rows(self, plain, place, driver, threshold):
        threshold.return_value = 0

        assert push.push(LARGE, place) == LARGE
        assert driver.payloads == {}


class TestPurge:
    @pytest.fixture
    def row(self, put):
        return put("a secret").to_row()

    @pytest.fixture
    def deleted(self, driver, mocker):
        """The keys of the objects that a store removed."""
        return mocker.spy(driver, "delete")

    ELSEWHERE = ({"dag_id": "x"}, {"run_id": "x"}, {"task_id": "load"}, {"map_index": 0}, {"key": "other"})

    @pytest.mark.parametrize("elsewhere", ELSEWHERE)
    def test_the_payload_of_another_xcom_stays(self, row, own, driver, caplog, elsewhere):
        push.purge(row, replace(own, **elsewhere))

        assert len(driver.payloads) == 1
        assert "Not purging" in caplog.text

    @pytest.mark.parametrize("elsewhere", ELSEWHERE)
    def test_a_copy_that_names_its_place_takes_nothing_of_another(self, row, own, driver, elsewhere):
        push.purge(forged(row, **elsewhere), replace(own, **elsewhere))

        assert len(driver.payloads) == 1

    @pytest.mark.parametrize("claimed", ["other", "", "return_value"])
    def test_a_row_cannot_claim_the_key_of_another(self, put, own, driver, claimed):
        foreign = put("a secret", key="other").to_row()

        push.purge(forged(foreign, key=claimed), own)

        assert len(driver.payloads) == 1

    @pytest.mark.parametrize("object_id", [bytes(16), b"/../../../../x\n/"])
    def test_whatever_a_row_names_is_an_object_of_its_xcom(self, row, own, deleted, object_id):
        push.purge(forged(row, object_id=object_id), own)

        deleted.assert_called_once_with(object_prefix(own) + object_id.hex())

    @pytest.mark.parametrize("change", [{"store": "other"}, {"store": "MEMORY"}, {"store": None, "object_id": b""}])
    def test_what_is_not_in_this_store_is_not_removed_there(self, row, own, deleted, change):
        push.purge(forged(row, **change), own)

        deleted.assert_not_called()

    @pytest.mark.parametrize("change", [{"sealed": "AAAA"}, {"consumers": None}, {MARKER: "v2: 9 B json in memory"}])
    def test_a_row_that_is_no_reference_removes_nothing(self, row, own, deleted, change):
        push.purge(row | change, own)

        deleted.assert_not_called()

    def test_the_payload_of_the_own_row_goes(self, row, own, driver):
        for _ in range(2):
            push.purge(row, own)

            assert driver.payloads == {}

    @pytest.mark.parametrize("answer", [ServerAnswer(b"k" * 32), ServerAnswer(None, SUPERSEDED)])
    def test_a_row_as_the_api_server_answers_it_purges_too(self, row, own, driver, answer):
        push.purge(to_answer(row, answer), own)

        assert driver.payloads == {}

    def test_a_later_try_purges_what_an_earlier_one_wrote(self, put, producer, own, driver):
        push.purge(put(producer=replace(producer, ti_id=None)).to_row(), own)

        assert driver.payloads == {}

    def test_a_key_that_airflow_decoded_is_still_its_own(self, put, own, driver):
        row = put("a secret", key="r%2Fx").to_row()

        push.purge(row, replace(own, key="r/x"))

        assert driver.payloads == {}

    @pytest.mark.parametrize("row", ["text", None, {"sealed": "AAAA"}, {MARKER: 1}, {MARKER: 1, "sealed": 7}])
    def test_a_row_without_a_payload_needs_no_store(self, mocker, own, row):
        needed = mocker.patch.object(push, "current_driver")

        push.purge(row, own)

        assert needed.mock_calls == []

    def test_nor_does_one_that_holds_its_value(self, mocker, own, put, make_store):
        needed = mocker.patch.object(push, "current_driver")

        push.purge(put(into=make_store(inline_bytes=1_000)).to_row(), own)
        push.purge(escape(put().to_row()), own)

        assert needed.mock_calls == []

    def test_a_broken_store_is_logged_and_never_raised(self, row, own, mocker, caplog):
        mocker.patch.object(push, "current_driver", return_value=FailingDriver(InMemoryDriver()))

        push.purge(row, own)

        assert f"Could not purge the payload of {own}" in caplog.text

    def test_broken_settings_are_logged_and_never_raised(self, row, own, mocker, caplog):
        mocker.patch.object(push, "current_driver", side_effect=ConfigurationError("no such store"))

        push.purge(row, own)

        assert "no such store" in caplog.text
