"""What the API server answers and accepts, decided on rows and coordinates alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_exclusive.access.decision import Permission
from airflow_provider_exclusive.access.hand_over import HandOver, NoHandOverLookup, Source
from airflow_provider_exclusive.crypto.data_keys import ServerDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.exceptions import AccessDeniedError, ConfigurationError, EnvelopeError
from airflow_provider_exclusive.format.reference import Reference, escape, is_reference_row
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope
from airflow_provider_exclusive.server.callers import Caller
from airflow_provider_exclusive.server.decisions import Decisions, ReadRequest, check_write

NOTHING = NoHandOverLookup()
STRANGER = TaskIdentity("etl", "run-1", "stranger")


class Every:
    """Every try stands."""

    def __contains__(self, ti_id):
        return True


def ask(decisions, rows, at, caller, hand_overs, standing=Every()):  # noqa: B008  # it has no state
    return decisions.answer(rows, ReadRequest(at, caller, hand_overs, standing))


class Handed:
    """A run that was handed one output by ``trigger``."""

    def __init__(self, trigger, at):
        self.hand_over = HandOver(trigger, "reporting", "child-1", {"rows": Source(at, is_exclusive=True)})

    def find(self, dag_id, run_id):
        return self.hand_over if self.hand_over.is_for(dag_id, run_id) else None


def live(task: TaskIdentity) -> Caller:
    return Caller(task, 1, is_live=True)


@pytest.fixture
def decisions(ring):
    return Decisions(ring)


@pytest.fixture
def row(put):
    return put().to_row()


@pytest.fixture
def at(producer):
    return Coordinate.of(producer, "return_value")


def data_key_of(row):
    return row["data_key"]


class TestReads:
    def test_a_stranger_is_refused(self, decisions, row, at):
        with pytest.raises(AccessDeniedError, match="may be read by"):
            ask(decisions, [row], at, live(STRANGER), NOTHING)

    def test_one_foreign_row_among_many_refuses_them_all(self, decisions, put, row, at):
        theirs = put(scope=ConsumerScope((Clause("etl", "somebody", None),))).to_row()
        consumer = live(TaskIdentity("etl", "run-1", "load"))
        ask(decisions, [row, row], at, consumer, NOTHING)
        with pytest.raises(AccessDeniedError):
            ask(decisions, [row, theirs, row], at, consumer, NOTHING)

    @pytest.mark.parametrize(
        ("caller", "reason"),
        [(None, "unknown-task"), (Caller(TaskIdentity("etl", "run-1", "load"), 1, is_live=False), "task-has-ended")],
    )
    def test_a_caller_that_does_not_run_is_refused(self, decisions, row, at, caller, reason):
        with pytest.raises(AccessDeniedError) as refusal:
            ask(decisions, [row], at, caller, NOTHING)
        assert refusal.value.reason == reason

    def test_the_consumer_gets_the_data_key(self, decisions, row, at, consumer):
        answer = ask(decisions, [row], at, live(consumer), NOTHING)
        assert len(Reference.from_answer(answer.rows[0]).answer.data_key) == 32
        assert answer.permission == Permission("in-scope")

    def test_an_open_value_is_for_everybody(self, decisions, put, at):
        answer = ask(decisions, [put(scope=OPEN).to_row()], at, None, NOTHING)
        assert data_key_of(answer.rows[0]) is not None
        assert answer.permission is None

    def test_what_was_handed_over_is_for_the_run(self, decisions, row, at):
        reader = live(TaskIdentity("reporting", "child-1", "summarise"))
        with pytest.raises(AccessDeniedError):
            ask(decisions, [row], at, reader, Handed(STRANGER, at))
        trigger = TaskIdentity("etl", "run-1", "load")
        assert ask(decisions, [row], at, reader, Handed(trigger, at)).permission == Permission("handed-over", trigger)

    def test_a_plain_row_is_answered_untouched(self, decisions, at):
        rows = [None, 3, "text", {"a": 1}, escape({"__exclusive__": 1})]
        assert ask(decisions, rows, at, None, NOTHING).rows == rows

    def test_a_row_that_was_moved_is_not_opened(self, decisions, row, at, consumer):
        answer = ask(decisions, [row], replace(at, key="other"), live(consumer), NOTHING)
        assert data_key_of(answer.rows[0]) is None

    def test_a_malformed_row_goes_back_without_an_answer(self, decisions, row, at, consumer):
        broken = {name: part for name, part in row.items() if name != "size"} | {"data_key": "planted"}
        (answered,) = ask(decisions, [broken], at, live(consumer), NOTHING).rows
        assert is_reference_row(answered)
        assert "data_key" not in answered

    def test_a_planted_answer_is_replaced(self, decisions, row, at, consumer):
        (answered,) = ask(decisions, [row | {"data_key": "cGxhbnRlZA=="}], at, live(consumer), NOTHING).rows
        assert answered["data_key"] not in (None, "cGxhbnRlZA==")


class TestWhatCannotBeOpened:
    """The reason is answered with it, so that a key that is gone is not taken for an attack."""

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({}, None),
            ({"key_id": "0" * 32}, "unknown-key"),
            ({"codec": "x"}, "altered"),
            ({"wrapped_key": "AAAA"}, "altered"),
            ({"not_opened": "planted"}, None),
        ],
    )
    def test_says_why(self, decisions, row, at, consumer, change, reason):
        (answered,) = ask(decisions, [row | change], at, live(consumer), NOTHING).rows
        assert answered.get("not_opened") == reason
        assert Reference.from_answer(answered).answer.not_opened == reason

    def test_a_row_that_was_moved_says_that_it_is_not_the_one(self, decisions, row, at, consumer):
        (answered,) = ask(decisions, [row], replace(at, key="other"), live(consumer), NOTHING).rows
        assert answered["not_opened"] == "altered"

    def test_a_server_without_a_key_says_so(self, row, at, consumer):
        (answered,) = ask(Decisions(None), [row], at, live(consumer), NOTHING).rows
        assert answered["not_opened"] == "no-private-key"

    def test_a_superseded_output_says_so_to_its_producer(self, decisions, row, at, producer):
        (answered,) = ask(decisions, [row], at, live(replace(producer, ti_id="now")), NOTHING, {"now"}).rows
        assert answered["not_opened"] == "superseded-try"


class TestAuthenticationComesFirst:
    """A scope that no key vouches for is never matched."""

    @pytest.fixture
    def never_decided(self, mocker):
        def refuse(*_):
            raise AssertionError("a scope was looked at before a key vouched for it")

        mocker.patch("airflow_provider_exclusive.access.decision.decide", refuse)

    @pytest.mark.parametrize("change", [{"codec": "x"}, {"size": 1}, {"wrapped_key": "AAAA"}, {"key_id": "0" * 32}])
    def test_an_edited_row_decides_nothing(self, decisions, row, at, consumer, never_decided, change):
        answer = ask(decisions, [row | change], at, live(consumer), NOTHING)
        assert data_key_of(answer.rows[0]) is None
        assert answer.permission is None

    def test_nor_does_a_wider_scope(self, decisions, row, at, never_decided):
        wider = row | {"consumers": [{"dag_id": "etl", "task_id": "*", "run_id": None}]}
        assert data_key_of(ask(decisions, [wider], at, live(STRANGER), NOTHING).rows[0]) is None

    def test_nor_a_sealed_key(self, ring, row, at, never_decided):
        pushed = {name: part for name, part in row.items() if name != "wrapped_key"} | {"sealed_key": "AAAA"}
        assert data_key_of(ask(Decisions(ring), [pushed], at, live(STRANGER), NOTHING).rows[0]) is None

    def test_without_a_key_nothing_is_opened(self, row, at, never_decided):
        assert data_key_of(ask(Decisions(None), [row], at, live(STRANGER), NOTHING).rows[0]) is None


class TestWrites:
    @pytest.mark.parametrize("field", ["dag_id", "run_id", "task_id", "map_index"])
    def test_nobody_writes_elsewhere(self, at, producer, field):
        with pytest.raises(AccessDeniedError, match="may write and delete only its own") as refusal:
            check_write(live(producer), replace(at, **{field: 7 if field == "map_index" else "other"}), Every())
        assert refusal.value.reason == "foreign-coordinate"

    def test_a_token_of_nobody_writes_nothing(self, at):
        with pytest.raises(AccessDeniedError) as refusal:
            check_write(None, at, Every())
        assert refusal.value.reason == "unknown-task"

    def test_a_task_writes_at_its_coordinates(self, at, producer):
        check_write(live(producer), at, Every())


class TestTries:
    """What an earlier try wrote does not count, and its process writes no more."""

    def test_an_earlier_try_writes_nothing(self, at, producer):
        with pytest.raises(AccessDeniedError, match="process of an earlier try") as refusal:
            check_write(live(producer), at, {"the present try"})
        assert refusal.value.reason == "superseded-try"

    def test_nor_does_a_task_that_ended_long_ago(self, at, producer):
        with pytest.raises(AccessDeniedError, match="has ended") as refusal:
            check_write(Caller(producer, 1, is_live=False), at, {producer.ti_id})
        assert refusal.value.reason == "task-has-ended"

    def test_its_output_is_refused_to_a_consumer(self, decisions, row, at, consumer):
        with pytest.raises(AccessDeniedError, match="written by an earlier try of that task") as refusal:
            ask(decisions, [row], at, live(consumer), NOTHING, {"the present try"})
        assert refusal.value.reason == "superseded-try"

    def test_who_may_not_read_does_not_learn_of_tries(self, decisions, row, at):
        with pytest.raises(AccessDeniedError) as refusal:
            ask(decisions, [row], at, live(STRANGER), NOTHING, {"the present try"})
        assert refusal.value.reason == "not-in-scope"

    def test_its_producer_gets_it_unopened_to_clear_it(self, decisions, row, at, producer):
        answer = ask(decisions, [row], at, live(replace(producer, ti_id="now")), NOTHING, {"now"})
        assert data_key_of(answer.rows[0]) is None

    def test_an_output_without_a_try_is_refused(self, decisions, put, at, producer, consumer):
        row = put(producer=replace(producer, ti_id=None)).to_row()
        with pytest.raises(AccessDeniedError):
            ask(decisions, [row], at, live(consumer), NOTHING, {"the present try"})

    def test_an_open_value_counts_whoever_wrote_it(self, decisions, put, at):
        answer = ask(decisions, [put(scope=OPEN).to_row()], at, None, NOTHING, set())
        assert data_key_of(answer.rows[0]) is not None


class TestSealedKeys:
    @pytest.fixture
    def pushed(self, ring, make_store, producer, scope):
        store = make_store(keys=ServerDataKeys(ring.keys[0].public))
        return store.put("value", producer=producer, key="rows", scope=scope).to_row()

    def accept(self, decisions, row, producer, **change):
        target = replace(Coordinate.of(producer, "rows"), **change)
        return decisions.accept(row, writer=producer, target=target)

    @pytest.mark.parametrize("change", [{"key": "other"}, {"task_id": "other"}, {"map_index": 0}])
    def test_one_about_another_output_is_refused(self, decisions, pushed, producer, change):
        with pytest.raises(AccessDeniedError) as refusal:
            self.accept(decisions, pushed, producer, **change)
        assert refusal.value.reason == "foreign-sealed-key"

    def test_one_in_the_name_of_another_try_is_refused(self, decisions, pushed, producer):
        with pytest.raises(AccessDeniedError) as refusal:
            self.accept(decisions, pushed, replace(producer, ti_id="another"))
        assert refusal.value.reason == "foreign-sealed-key"

    def test_an_edited_one_does_not_open(self, decisions, pushed, producer):
        with pytest.raises(EnvelopeError):
            self.accept(decisions, pushed | {"codec": "cloudpickle"}, producer)

    def test_one_to_an_unknown_key_does_not_open(self, raw_key, pushed, producer):
        with pytest.raises(EnvelopeError):
            self.accept(Decisions(Keyring.from_raw_keys([raw_key("another")])), pushed, producer)

    def test_it_becomes_a_wrapped_key_that_opens(self, decisions, pushed, producer):
        stored = self.accept(decisions, pushed, producer)
        assert "sealed_key" not in stored
        assert ask(decisions, [stored], Coordinate.of(producer, "rows"), live(producer), NOTHING).permission

    def test_a_server_without_a_key_refuses_it(self, pushed, producer):
        with pytest.raises(ConfigurationError, match="where the API server runs"):
            self.accept(Decisions(None), pushed, producer)

    def test_a_wrapped_key_stays_as_it_is(self, decisions, pushed, producer):
        stored = self.accept(decisions, pushed, producer)
        assert self.accept(decisions, stored, producer) == stored
