"""Decisions are counted and timed in Airflow's metrics, and never depend on them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_exclusive.server import metrics


@pytest.fixture
def stats(mocker):
    stats = mocker.Mock(spec_set=["incr", "timing"])
    mocker.patch.object(metrics, "find_stats", return_value=stats)
    return stats


@pytest.fixture
def without_stats(mocker):
    mocker.patch.object(metrics, "find_stats", return_value=None)


def test_an_airflow_without_these_metrics_is_not_counted(without_stats):
    metrics.count("exclusive.denied", "not-in-scope")
    with metrics.timed(metrics.DECISION):
        pass


def test_an_error_passes_without_these_metrics(without_stats):
    with pytest.raises(LookupError), metrics.timed(metrics.DECISION):
        raise LookupError


def test_an_event_is_counted_under_its_reason(stats):
    metrics.count("exclusive.denied", "not-in-scope")
    stats.incr.assert_called_once_with("exclusive.denied", tags={"reason": "not-in-scope"})


def test_a_block_is_timed_once_it_ends(stats, mocker):
    clock = mocker.patch.object(metrics.time, "perf_counter", return_value=10.0)
    with metrics.timed(metrics.DECISION):
        clock.return_value = 10.25
        assert not stats.timing.called
    stats.timing.assert_called_once_with("exclusive.decision", timedelta(seconds=0.25))


def test_a_block_that_raises_is_timed_as_well(stats):
    with pytest.raises(LookupError), metrics.timed(metrics.DECISION):
        raise LookupError
    assert stats.timing.call_count == 1
