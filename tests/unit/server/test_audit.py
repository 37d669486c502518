"""What the audit log is asked to hold: one line for a refusal however often it repeats, and never an error."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.server import audit
from airflow_provider_exclusive.server.audit import DENIED, READ, WRITE_DENIED, AuditTrail
from airflow_provider_exclusive.server.callers import Caller

INTRUDER = Caller(TaskIdentity("etl", "run-1", "intruder"), 1, is_live=True)
XCOM = Coordinate("etl", "run-1", "extract", -1, "rows")


class Log:
    """Airflow's audit log as a dict from the id of a line to its event, caller and JSON."""

    def __init__(self):
        self.lines, self.updates, self.on_insert = {}, 0, lambda: None

    def insert(self, event, caller, extra):
        self.on_insert()
        log_id = len(self.lines) + 1
        self.lines[log_id] = (event, caller, json.loads(extra))
        return log_id

    def update(self, log_id, extra):
        if log_id not in self.lines:
            return False
        self.updates += 1
        self.lines[log_id] = (*self.lines[log_id][:2], json.loads(extra))
        return True

    @property
    def counts(self):
        return [extra["count"] for _, _, extra in self.lines.values()]


@pytest.fixture
def log(mocker):
    log = Log()
    mocker.patch.object(audit, "_insert", side_effect=log.insert)
    mocker.patch.object(audit, "_update", side_effect=log.update)
    return log


@pytest.fixture(autouse=True)
def counted(mocker):
    return mocker.patch.object(audit.metrics, "count")


def record(trail, event=DENIED, caller=INTRUDER, *, times=1, requested=XCOM, reason="not-in-scope", method="GET"):
    for _ in range(times):
        trail.record(event, caller, requested=requested, reason=reason, method=method)


# --- which events


@pytest.mark.parametrize(
    ("mode", "event", "is_recorded"),
    [
        ("off", READ, False),
        ("off", DENIED, False),
        ("off", WRITE_DENIED, False),
        ("denied", READ, False),
        ("denied", DENIED, True),
        ("denied", WRITE_DENIED, True),
        ("all", READ, True),
        ("all", DENIED, True),
        ("all", WRITE_DENIED, True),
    ],
)
def test_the_mode_says_which_events_get_a_line(log, counted, mode, event, is_recorded):
    record(AuditTrail(mode), event)
    assert len(log.lines) == is_recorded
    counted.assert_called_once_with(event, "not-in-scope")


def test_a_refusal_is_logged_with_who_what_and_why(log):
    record(AuditTrail("denied"))
    ((event, caller, extra),) = log.lines.values()
    assert (event, caller) == (DENIED, INTRUDER)
    where = {"dag_id": "etl", "run_id": "run-1", "task_id": "extract", "map_index": -1, "key": "rows"}
    assert extra == where | {"reason": "not-in-scope", "method": "GET", "count": 1}


def test_an_unknown_caller_is_logged(log):
    record(AuditTrail("denied"), caller=None)
    assert [caller for _, caller, _ in log.lines.values()] == [None]


def test_a_key_longer_than_airflow_stores_is_cut(log):
    record(AuditTrail("denied"), requested=replace(XCOM, key="k" * 100_000))
    record(AuditTrail("denied"), requested=replace(XCOM, key=None))
    assert [extra["key"] for _, _, extra in log.lines.values()] == ["k" * 512, None]


def test_every_read_has_a_line(log):
    record(AuditTrail("all"), READ, times=3)
    assert log.counts == [1, 1, 1]


def test_a_read_of_what_was_handed_over_names_the_hand_over(log):
    AuditTrail("all").record(
        READ,
        INTRUDER,
        requested=XCOM,
        reason="handed-over",
        method="GET",
        trigger=TaskIdentity("web", "run-9", "go", 2),
    )
    ((_, _, extra),) = log.lines.values()
    by = {"dag_id": "web", "run_id": "run-9", "task_id": "go", "map_index": 2}
    assert (extra["reason"], extra["handed_over_by"]) == ("handed-over", by)


# --- refusals that repeat


@pytest.mark.parametrize(("times", "count", "updates"), [(1, 1, 0), (2, 2, 1), (3, 2, 1), (4, 4, 2), (1000, 512, 9)])
def test_a_repeated_refusal_has_one_line_updated_more_rarely(log, times, count, updates):
    record(AuditTrail("denied"), times=times)
    assert log.counts == [count]
    assert log.updates == updates


@pytest.mark.parametrize(
    "other",
    [
        {"event": WRITE_DENIED},
        {"caller": None},
        {"caller": replace(INTRUDER, identity=replace(INTRUDER.identity, map_index=3))},
        {"requested": replace(XCOM, key="frame")},
        {"reason": "unknown-task"},
        {"method": "HEAD"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_refusal_that_differs_has_another_line(log, other):
    trail = AuditTrail("denied")
    record(trail)
    record(trail, **other)
    assert log.counts == [1, 1]


def test_names_that_cannot_be_encoded_are_told_apart(log):
    trail = AuditTrail("denied")
    for key in ("\ud800", "\ud801", "\ud800"):
        record(trail, requested=replace(XCOM, key=key))
    assert log.counts == [2, 1]


def test_a_line_that_was_deleted_is_inserted_again(log):
    trail = AuditTrail("denied")
    record(trail)
    log.lines.clear()
    record(trail)
    assert log.counts == [2]


def test_the_oldest_refusal_is_forgotten_first(log, mocker):
    mocker.patch.object(audit, "_REMEMBERED_LINES", 2)
    trail = AuditTrail("denied")
    for key in ("a", "b", "a", "c", "a", "a", "b"):
        record(trail, requested=replace(XCOM, key=key))
    assert [(extra["key"], extra["count"]) for _, _, extra in log.lines.values()] == [
        ("a", 4),
        ("b", 1),
        ("c", 1),
        ("b", 1),
    ]


def test_refusals_during_the_first_insert_are_counted(log):
    trail = AuditTrail("denied")

    def repeat():
        log.on_insert = lambda: None
        record(trail, times=2)

    log.on_insert = repeat
    record(trail)
    assert log.counts == [3]


# --- trouble with the database


def test_a_line_that_cannot_be_written_raises_nothing(log, caplog):
    log.on_insert = lambda: 1 / 0
    record(AuditTrail("all"))
    record(AuditTrail("all"), READ)
    assert log.lines == {}
    assert caplog.text.count("Could not write exclusive.") == 2


def test_a_refusal_is_logged_once_the_trouble_is_over(log):
    trail = AuditTrail("denied")
    log.on_insert = lambda: 1 / 0
    record(trail, times=5)
    log.on_insert = lambda: None
    record(trail)
    assert log.counts == [1]


def test_a_failed_insert_does_not_forget_a_newer_line(log, mocker):
    mocker.patch.object(audit, "_REMEMBERED_LINES", 1)
    trail = AuditTrail("denied")

    def be_forgotten_and_logged_again_then_fail():
        log.on_insert = lambda: None
        record(trail, requested=replace(XCOM, key="another"))
        record(trail)
        raise ConnectionError

    log.on_insert = be_forgotten_and_logged_again_then_fail
    record(trail)
    record(trail)
    assert [extra["count"] for _, _, extra in log.lines.values() if extra["key"] == "rows"] == [2]


# --- floods


def test_one_task_does_not_flood_the_log(log):
    now = [0.0]
    trail = AuditTrail("denied", clock=lambda: now[0])
    for number in range(10_000):
        record(trail, requested=replace(XCOM, key=f"made up {number}"))

    *named, more = log.lines.values()
    assert len(named) == 30
    assert more[2]["reason"] == audit.MORE
    assert more[2]["key"] is None
    assert more[2]["count"] >= 5_000

    now[0] = 60
    record(trail, requested=replace(XCOM, key="a minute later"))
    assert len(log.lines) == 32


def test_another_task_still_gets_its_line(log):
    trail = AuditTrail("denied", clock=lambda: 0.0)
    for number in range(100):
        record(trail, requested=replace(XCOM, key=f"made up {number}"))
    record(trail, caller=replace(INTRUDER, identity=replace(INTRUDER.identity, task_id="other")))
    assert list(log.lines.values())[-1][2]["key"] == "rows"


def test_names_longer_than_airflow_stores_are_cut(log):
    record(AuditTrail("denied"), requested=Coordinate("d" * 21_000, "r" * 21_000, "t" * 21_000, -1, "k"))
    ((_, _, extra),) = log.lines.values()
    assert len(json.dumps(extra)) < 2_000
