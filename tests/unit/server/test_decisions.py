"""What the API server answers and accepts, decided on rows and coordinates alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_exclusive.access.decision import Permission
from airflow_provider_exclusive.access.hand_over import HandOver, NoHandOverLookup, Source
from airflow_provider_exclusive.crypto.data_keys import ServerDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring, seal_secret
from airflow_provider_exclusive.exceptions import AccessDeniedError, ConfigurationError, EnvelopeError
from airflow_provider_exclusive.format.reference import Reference, escape, is_reference_row
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope
from airflow_provider_exclusive.server.callers import Caller
from airflow_provider_exclusive.server.decisions import Decisions, Readers, check_write
from tests.rows import forged

NOTHING = NoHandOverLookup()
STRANGER = TaskIdentity("etl", "run-1", "stranger")
NOW = "0193b1a2-0000-7000-8000-00000000000f"
"""The present try of the producer, where its output is of an earlier one."""


class Every:
    """Every try stands."""

    def __contains__(self, ti_id):
        return True


def ask(decisions, rows, at, caller, hand_overs, standing=Every()):  # noqa: B008  # it has no state
    return decisions.answer(decisions.open(rows, at), Readers(caller, standing), hand_overs)


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


def secret_of(row):
    return row["opened"]


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
        assert len(Reference.from_answer(answer.rows[0]).answer.secret) == 32
        assert answer.permission == Permission("in-scope")

    def test_an_open_value_is_for_everybody(self, decisions, put, at):
        answer = ask(decisions, [put(scope=OPEN).to_row()], at, None, NOTHING)
        assert secret_of(answer.rows[0]) is not None
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
        assert secret_of(answer.rows[0]) is None

    def test_a_malformed_row_goes_back_without_an_answer(self, decisions, row, at, consumer):
        broken = {name: part for name, part in row.items() if name != "consumers"}
        (answered,) = ask(decisions, [broken | {"opened": "planted"}], at, live(consumer), NOTHING).rows
        assert is_reference_row(answered)
        assert answered == broken

    def test_nor_does_one_that_cannot_be_encoded_break_the_answer(self, decisions, row, at, consumer):
        (answered,) = ask(decisions, [row | {"consumers": "\udc80"}], at, live(consumer), NOTHING).rows
        assert answered == row | {"consumers": "?"}

    def test_a_planted_answer_is_replaced(self, decisions, row, at, consumer):
        (answered,) = ask(decisions, [row | {"opened": "cGxhbnRlZA=="}], at, live(consumer), NOTHING).rows
        assert answered["opened"] not in (None, "cGxhbnRlZA==")


class TestWhatCannotBeOpened:
    """The reason is answered with it, so that a key that is gone is not taken for an attack."""

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({}, None),
            ({"key_id": "0" * 32}, "unknown-key"),
            ({"codec": "x"}, "altered"),
            ({"size": 1}, "altered"),
            ({"wrapped": b"AAA"}, "altered"),
        ],
    )
    @pytest.mark.parametrize("planted", [{}, {"not_opened": "planted"}, {"opened": "cGxhbnRlZA==", "not_opened": 7}])
    def test_says_why(self, decisions, row, at, consumer, change, reason, planted):
        (answered,) = ask(decisions, [forged(row, **change) | planted], at, live(consumer), NOTHING).rows
        assert answered.get("not_opened") == reason
        assert Reference.from_answer(answered).answer.not_opened == reason

    def test_a_row_that_was_moved_says_that_it_is_not_the_one(self, decisions, row, at, consumer):
        (answered,) = ask(decisions, [row], replace(at, key="other"), live(consumer), NOTHING).rows
        assert answered["not_opened"] == "altered"

    def test_a_server_without_a_key_says_so(self, row, at, consumer):
        (answered,) = ask(Decisions(None), [row], at, live(consumer), NOTHING).rows
        assert answered["not_opened"] == "no-private-key"

    def test_a_superseded_output_says_so_to_its_producer(self, decisions, row, at, producer):
        (answered,) = ask(decisions, [row], at, live(replace(producer, ti_id=NOW)), NOTHING, {NOW}).rows
        assert answered["not_opened"] == "superseded-try"


class TestAuthenticationComesFirst:
    """A scope that no key vouches for is never matched."""

    @pytest.fixture
    def never_decided(self, mocker):
        def refuse(*_):
            raise AssertionError("a scope was looked at before a key vouched for it")

        mocker.patch("airflow_provider_exclusive.access.decision.decide", refuse)

    @pytest.mark.parametrize("change", [{"codec": "x"}, {"size": 1}, {"wrapped": b"AAA"}, {"key_id": "0" * 32}])
    def test_an_edited_row_decides_nothing(self, decisions, row, at, consumer, never_decided, change):
        answer = ask(decisions, [forged(row, **change)], at, live(consumer), NOTHING)
        assert secret_of(answer.rows[0]) is None
        assert answer.permission is None

    def test_nor_does_a_wider_scope(self, decisions, row, at, never_decided):
        wider = row | {"consumers": "etl:*"}
        assert secret_of(ask(decisions, [wider], at, live(STRANGER), NOTHING).rows[0]) is None

    def test_nor_a_sealed_key(self, ring, row, at, never_decided):
        pushed = forged(row, sealed=b"AAA")
        assert secret_of(ask(Decisions(ring), [pushed], at, live(STRANGER), NOTHING).rows[0]) is None

    def test_nor_does_one_for_everybody_that_nobody_wrote(self, decisions, row, at, never_decided):
        opened = decisions.open([row | {"consumers": "@everybody"}], at)
        assert (secret_of(opened.rows[0]), opened.secrets, opened.scoped) == (None, {}, [])

    def test_nobody_is_looked_up_for_a_row_that_does_not_open(self, decisions, put, row, at):
        rows = [row, forged(row, size=1), put(scope=OPEN).to_row(), "plain"]
        opened = decisions.open(rows, at)
        assert opened.scoped == [Reference.from_row(row)]
        assert list(opened.secrets) == [0, 2]

    def test_what_is_not_decided_yet_holds_no_secret_in_a_row(self, decisions, row, at):
        opened = decisions.open([row], at)
        assert opened.rows == [row]
        assert repr(opened.secrets[0][1]) not in repr(opened)

    def test_without_a_key_nothing_is_opened(self, row, at, never_decided):
        assert secret_of(ask(Decisions(None), [row], at, live(STRANGER), NOTHING).rows[0]) is None


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
            check_write(live(producer), at, {NOW})
        assert refusal.value.reason == "superseded-try"

    def test_nor_does_a_task_that_ended_long_ago(self, at, producer):
        with pytest.raises(AccessDeniedError, match="has ended") as refusal:
            check_write(Caller(producer, 1, is_live=False), at, {producer.ti_id})
        assert refusal.value.reason == "task-has-ended"

    def test_its_output_is_refused_to_a_consumer(self, decisions, row, at, consumer):
        with pytest.raises(AccessDeniedError, match="written by an earlier try of that task") as refusal:
            ask(decisions, [row], at, live(consumer), NOTHING, {NOW})
        assert refusal.value.reason == "superseded-try"

    def test_who_may_not_read_does_not_learn_of_tries(self, decisions, row, at):
        with pytest.raises(AccessDeniedError) as refusal:
            ask(decisions, [row], at, live(STRANGER), NOTHING, {NOW})
        assert refusal.value.reason == "not-in-scope"

    def test_its_producer_gets_it_unopened_to_clear_it(self, decisions, row, at, producer):
        answer = ask(decisions, [row], at, live(replace(producer, ti_id=NOW)), NOTHING, {NOW})
        assert secret_of(answer.rows[0]) is None

    def test_an_output_without_a_try_is_refused(self, decisions, put, at, producer, consumer):
        row = put(producer=replace(producer, ti_id=None)).to_row()
        with pytest.raises(AccessDeniedError):
            ask(decisions, [row], at, live(consumer), NOTHING, {NOW})

    def test_an_open_value_counts_whoever_wrote_it(self, decisions, put, at):
        answer = ask(decisions, [put(scope=OPEN).to_row()], at, None, NOTHING, set())
        assert secret_of(answer.rows[0]) is not None


class TestWhatIsSealed:
    @pytest.fixture(params=[0, 1_000], ids=["stored", "in the row"])
    def pushed(self, request, ring, make_store, producer, scope):
        store = make_store(keys=ServerDataKeys(ring.keys[0].public), inline_bytes=request.param)
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
            self.accept(decisions, pushed, replace(producer, ti_id=NOW))
        assert refusal.value.reason == "foreign-sealed-key"

    def test_nor_is_one_in_the_name_of_no_try(self, decisions, ring, make_store, producer, scope):
        store = make_store(keys=ServerDataKeys(ring.keys[0].public), inline_bytes=1_000)
        pushed = store.put("value", producer=replace(producer, ti_id=None), key="rows", scope=scope).to_row()
        with pytest.raises(AccessDeniedError) as refusal:
            self.accept(decisions, pushed, producer)
        assert refusal.value.reason == "foreign-sealed-key"

    def test_an_edited_one_does_not_open(self, decisions, pushed, producer):
        with pytest.raises(EnvelopeError):
            self.accept(decisions, forged(pushed, codec="cloudpickle"), producer)

    @pytest.mark.parametrize("secret", [b"", b"d" * 31, b"d" * 33])
    @pytest.mark.parametrize("place", [{"store": "memory", "object_id": b"o" * 16}, {}], ids=["stored", "in the row"])
    def test_one_of_another_length_is_refused(self, decisions, ring, producer, scope, secret, place):
        public_key = ring.keys[0].public
        reference = Reference(producer, "rows", scope, "json", 32, key_id=ring.current_key_id, **place)
        sealed = seal_secret(secret, public_key=public_key, context=reference.context())
        with pytest.raises(EnvelopeError):
            self.accept(decisions, replace(reference, sealed=sealed).to_row(), producer)

    @pytest.mark.parametrize("change", [{"sealed": "AAAA"}, {"consumers": "no scope"}, {"more": 1}])
    def test_what_is_no_reference_is_refused(self, decisions, pushed, producer, change):
        with pytest.raises(EnvelopeError, match="is not one"):
            self.accept(decisions, pushed | change, producer)

    def test_one_to_an_unknown_key_does_not_open(self, raw_key, pushed, producer):
        with pytest.raises(EnvelopeError):
            self.accept(Decisions(Keyring.from_raw_keys([raw_key("another")])), pushed, producer)

    def test_it_becomes_a_wrapped_one_that_opens(self, decisions, pushed, producer):
        stored = self.accept(decisions, pushed, producer)
        assert Reference.from_row(stored).sealed is None
        assert ask(decisions, [stored], Coordinate.of(producer, "rows"), live(producer), NOTHING).permission

    def test_a_server_without_a_key_refuses_it(self, pushed, producer):
        with pytest.raises(ConfigurationError, match="where the API server runs"):
            self.accept(Decisions(None), pushed, producer)

    def test_what_is_wrapped_stays_as_it_is(self, decisions, pushed, producer):
        stored = self.accept(decisions, pushed, producer)
        assert self.accept(decisions, stored, producer) == stored
