from dataclasses import replace

import pytest

from airflow_provider_exclusive.access import decision
from airflow_provider_exclusive.access.hand_over import HandOver, Source, Withdrawn
from airflow_provider_exclusive.exceptions import AccessDeniedError, EnvelopeError, HandOverWithdrawnError
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, ConsumerScope


@pytest.fixture
def reference(producer, scope):
    return Reference(
        producer=producer, key="frame", scope=scope, codec="json", size=3, store="memory", object_id=b"o" * 16
    )


def test_an_unknown_reader_is_denied(reference):
    with pytest.raises(AccessDeniedError, match="this process has no running task instance") as denial:
        decision.decide(None, reference)
    assert "the callback of a Dag" in str(denial.value)
    assert denial.value.reason == "unknown-reader"


def test_a_denied_task_is_told_who_may_read_and_what_to_do(reference):
    intruder = TaskIdentity("etl", "run-1", "intruder", 3)
    with pytest.raises(AccessDeniedError) as denial:
        decision.decide(intruder, reference)
    assert denial.value.reason == "not-in-scope"
    cure = "add 'intruder' to the consumers of 'frame' in 'extract', then clear and re-run 'extract'"
    for part in ("etl.intruder[3] (run run-1)", "'frame'", "etl.load (run run-1)", cure):
        assert part in str(denial.value)


def test_an_empty_scope_denies_everybody_but_the_producer(reference, consumer, producer):
    nobody = replace(reference, scope=ConsumerScope())
    with pytest.raises(AccessDeniedError, match="nobody but its producer"):
        decision.decide(consumer, nobody)
    decision.decide(producer, nobody)


@pytest.mark.parametrize("change", [{"dag_id": "x"}, {"task_id": "x"}, {"map_index": 0}])
def test_the_producer_elsewhere_is_not_the_producer(reference, producer, change):
    with pytest.raises(AccessDeniedError):
        decision.decide(replace(producer, **change), reference)


def test_the_producer_passes_in_another_run(reference, producer):
    decision.decide(replace(producer, run_id="a later run"), reference)


def test_the_producer_passes_in_a_later_try(reference, producer):
    decision.decide(replace(producer, ti_id="another try"), reference)


def test_a_consumer_passes_whatever_its_map_index(reference, consumer):
    for map_index in (-1, 0, 7):
        decision.decide(replace(consumer, map_index=map_index), reference)


def test_an_open_value_needs_no_reader(reference):
    decision.decide(None, replace(reference, scope=OPEN))


# --- what was handed over, and to whom: etl.load (run-1) triggers reporting (child-1), which may trigger on

TRIGGER = TaskIdentity("etl", "run-1", "load")
IN_CHILD = TaskIdentity("reporting", "child-1", "summarise")


class Handed:
    """The hand-overs of a test, by the run that was triggered; counts how often it is asked."""

    def __init__(self, *hand_overs):
        self.by_run = {(one.dag_id, one.run_id): one for one in hand_overs}
        self.asked = []

    def find(self, dag_id, run_id):
        self.asked.append((dag_id, run_id))
        return self.by_run.get((dag_id, run_id))


def hand_over(trigger=TRIGGER, dag="reporting", run="child-1", *, task="extract", key="frame", map_index=-1):
    return HandOver(
        trigger, dag, run, {"rows": Source(Coordinate("etl", "run-1", task, map_index, key), is_exclusive=True)}
    )


def chain(length):
    """Hand the output from the producer's run through as many triggered runs; return these and a reader in the last."""
    at, handed = TRIGGER, []
    for number in range(length):
        handed.append(hand_over(at, "chain", f"run-{number}"))
        at = TaskIdentity("chain", f"run-{number}", "trigger")
    return Handed(*handed), at


@pytest.mark.parametrize(
    "handed",
    [
        [],
        [hand_over(run="child-2")],
        [hand_over(dag="etl")],
        [hand_over(task="other")],
        [hand_over(key="row_count")],
        [hand_over(map_index=0)],
        [hand_over(TaskIdentity("etl", "run-1", "intruder"))],
        [hand_over(TaskIdentity("etl", "run-2", "load"))],
        [hand_over(TaskIdentity("other", "run-1", "load"))],
        [HandOver(TRIGGER, "reporting", "child-1", {})],
    ],
    ids=["nothing", "to another run", "to another Dag", "another task's", "another key", "another map index",
         "by a task outside the scope", "by a task of another run", "by a task of another Dag", "an empty record"],
)  # fmt: skip
def test_a_run_reads_only_what_a_permitted_task_handed_over(reference, handed):
    with pytest.raises(
        AccessDeniedError, match="hand the output to the reader's run with ExclusiveTriggerDagRunOperator"
    ):
        decision.decide(IN_CHILD, reference, Handed(*handed))


def test_a_run_is_not_handed_its_own_outputs(reference):
    by_child = hand_over(TaskIdentity("reporting", "child-1", "back"), "etl", "run-1")
    with pytest.raises(AccessDeniedError):
        decision.decide(TaskIdentity("etl", "run-1", "intruder"), reference, Handed(hand_over(), by_child))


def test_runs_that_trigger_each_other_end_in_a_denial(reference):
    one = hand_over(TaskIdentity("b", "run-b", "trigger"), "a", "run-a")
    other = hand_over(TaskIdentity("a", "run-a", "trigger"), "b", "run-b")
    with pytest.raises(AccessDeniedError):
        decision.decide(TaskIdentity("a", "run-a", "reader"), reference, Handed(one, other))


def test_a_chain_of_33_runs_is_too_long(reference):
    handed, last = chain(9)
    with pytest.raises(AccessDeniedError):
        decision.decide(last, reference, handed)


def test_trouble_with_a_record_is_no_permission(reference):
    class Broken:
        def find(self, dag_id, run_id):
            raise EnvelopeError("cannot be opened")

    with pytest.raises(EnvelopeError):
        decision.decide(IN_CHILD, reference, Broken())


def test_whose_scope_lets_it_read_needs_no_record(reference, consumer, producer):
    handed = Handed()
    decision.decide(consumer, reference, handed)
    decision.decide(producer, reference, handed)
    assert handed.asked == []


@pytest.mark.parametrize("map_index", [-1, None])
@pytest.mark.parametrize("reader", [IN_CHILD, replace(IN_CHILD, task_id="any"), replace(IN_CHILD, map_index=4)])
def test_every_task_of_a_run_reads_what_the_run_was_handed(reference, reader, map_index):
    decision.decide(reader, reference, Handed(hand_over(map_index=map_index)))


def test_one_entry_hands_over_every_map_index(reference, producer):
    mapped = replace(reference, producer=replace(producer, map_index=5))
    decision.decide(IN_CHILD, mapped, Handed(hand_over(map_index=None)))


def test_a_producer_hands_over_what_nobody_else_reads(reference, producer):
    nobody = replace(reference, scope=ConsumerScope())
    decision.decide(IN_CHILD, nobody, Handed(hand_over(producer)))


@pytest.mark.parametrize("length", [2, 5, 8])
def test_a_triggered_run_hands_on_what_it_was_handed(reference, length):
    handed, last = chain(length)
    decision.decide(last, reference, handed)
    assert len(handed.asked) == length


# --- what was handed over and is withdrawn


class Lost(Handed):
    """The hand-overs of a test, and runs whose trigger has no record now."""

    def __init__(self, *hand_overs, **withdrawn):
        super().__init__(*hand_overs)
        self.by_run |= {("reporting", run.replace("_", "-")): Withdrawn(trigger) for run, trigger in withdrawn.items()}


def test_a_withdrawn_hand_over_is_worth_a_retry(reference):
    with pytest.raises(HandOverWithdrawnError) as denial:
        decision.decide(IN_CHILD, reference, Lost(child_1=TRIGGER))
    assert denial.value.reason == "hand-over-withdrawn"
    for part in ("reporting.summarise (run child-1)", "'frame'", "task 'load' of etl, which has withdrawn it"):
        assert part in str(denial.value)
    assert "consumers" not in str(denial.value)


def test_so_is_one_further_up_the_chain(reference):
    on = HandOver(IN_CHILD, "reporting", "child-2", hand_over().sources)
    with pytest.raises(HandOverWithdrawnError, match="'load' of etl, which has withdrawn it"):
        decision.decide(replace(IN_CHILD, run_id="child-2"), reference, Lost(on, child_1=TRIGGER))


def test_whoever_may_read_by_itself_does_not_notice(reference, consumer, producer):
    lost = Lost(child_1=TRIGGER)
    decision.decide(consumer, reference, lost)
    decision.decide(producer, reference, lost)


# --- "caller"

CHILD_RESULT = TaskIdentity("reporting", "child-1", "summarise", -1, "a try")


@pytest.fixture
def result(reference):
    return replace(reference, producer=CHILD_RESULT, key="return_value", scope=ConsumerScope(admits_caller=True))


@pytest.mark.parametrize(
    "reader",
    [
        TaskIdentity("etl", "run-1", "other"),
        TaskIdentity("etl", "run-2", "load"),
        TaskIdentity("other", "run-1", "load"),
        TaskIdentity("etl", "run-1", "load", 0),
        TaskIdentity("reporting", "child-1", "other"),
        TaskIdentity("reporting", "child-1", "caller"),
    ],
    ids=str,
)
def test_only_the_triggering_task_instance_is_the_caller(result, reader):
    with pytest.raises(AccessDeniedError, match=r"caller \(the task that triggered the run\)"):
        decision.decide(reader, result, Handed(hand_over()))


def test_a_run_that_nobody_triggered_has_no_caller(result):
    with pytest.raises(AccessDeniedError, match="'caller' means only the task that triggered this run"):
        decision.decide(TRIGGER, result, Handed(hand_over(run="child-2")))


def test_the_caller_whose_record_is_withdrawn_hears_so(result):
    with pytest.raises(HandOverWithdrawnError):
        decision.decide(TRIGGER, result, Lost(child_1=TRIGGER))


@pytest.mark.parametrize("reader", [TaskIdentity("etl", "run-1", "other"), replace(IN_CHILD, task_id="other")])
def test_nobody_else_hears_of_it(result, reader):
    with pytest.raises(AccessDeniedError) as denial:
        decision.decide(reader, result, Lost(child_1=TRIGGER))
    assert denial.value.reason == "not-in-scope"


def test_the_triggering_task_is_denied_without_a_caller_clause(result):
    with pytest.raises(AccessDeniedError):
        decision.decide(TRIGGER, replace(result, scope=ConsumerScope()), Handed(hand_over()))


@pytest.mark.parametrize("map_index", [-1, 3])
def test_the_caller_reads_in_any_try_whatever_it_handed_over(result, map_index):
    trigger = replace(TRIGGER, map_index=map_index)
    decision.decide(replace(trigger, ti_id="later"), result, Handed(HandOver(trigger, "reporting", "child-1", {})))


def test_a_caller_may_hand_its_result_to_another_run(result):
    collected = {
        "summary": Source(Coordinate("reporting", "child-1", "summarise", -1, "return_value"), is_exclusive=True)
    }
    handed = Handed(hand_over(), HandOver(TRIGGER, "archive", "run-9", collected))
    decision.decide(TaskIdentity("archive", "run-9", "keep"), result, handed)


# --- why a reader may read, which the audit log keeps


def test_a_permission_says_why(reference, consumer, producer, result):
    handed = Handed(hand_over())
    assert decision.decide(None, replace(reference, scope=OPEN)).reason == "open"
    assert decision.decide(producer, reference).reason == "producer"
    assert decision.decide(consumer, reference).reason == "in-scope"
    assert decision.decide(TRIGGER, result, handed).reason == "caller"
    assert decision.decide(IN_CHILD, reference, handed) == decision.Permission("handed-over", TRIGGER)


def test_of_a_chain_the_last_hand_over_is_named(reference):
    handed, last = chain(3)
    assert decision.decide(last, reference, handed).trigger == TaskIdentity("chain", "run-1", "trigger")
