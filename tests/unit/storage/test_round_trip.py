"""Trying a store out, and how long it is said to take."""

import itertools

from airflow_provider_exclusive.storage import round_trip
from tests.fakes import CountingDriver, InMemoryDriver


def take(mocker, *seconds):
    """Let the round trips that are timed take so long."""
    ends = itertools.chain.from_iterable((0, taken) for taken in seconds)
    mocker.patch.object(round_trip.time, "perf_counter", side_effect=ends)


def test_the_round_trip_that_connects_is_not_timed(mocker):
    take(mocker, 0.002, 0.002, 0.002)
    driver = CountingDriver()
    assert round_trip.measure_round_trip(driver) == 2
    assert driver.calls == {"store": 4, "read_many": 4, "delete": 4}


def test_one_slow_round_trip_of_three_raises_no_alarm(mocker):
    take(mocker, 0.002, 1.078, 0.003)
    assert round_trip.measure_round_trip(InMemoryDriver()) == 3


def test_nothing_is_left_in_the_store():
    driver = InMemoryDriver()
    round_trip.measure_round_trip(driver)
    assert driver.payloads == {}
