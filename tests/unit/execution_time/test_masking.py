"""Which texts of a value are masked, and when a task is told that some are not."""

from __future__ import annotations

import logging

import pytest
from airflow.sdk import log as airflow_log

from airflow_provider_exclusive.execution_time import masking


@pytest.fixture
def masked(mocker):
    """Return what Airflow is asked to mask for a value, request by request."""

    def masked(value):
        requests = []
        mocker.patch.object(airflow_log, "mask_secret", side_effect=requests.append)
        masking.mask(value)
        return requests

    return masked


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("a secret", ["a secret"]),
        ({"user": "admin", "keys": ["one", ("two", {"x": "three"})]}, ["admin", "one", "two", "three"]),
        (["same", "same"], ["same"]),
        ({"text"}, ["text"]),
        ([b"bytes", 7, None, "text"], ["text"]),
    ],
)
def test_texts_are_masked_in_one_request(masked, value, texts):
    assert masked(value) == [texts]


@pytest.mark.parametrize("value", [None, 7, b"bytes", [], {"key": 1}])
def test_a_value_without_texts_asks_for_nothing(masked, value):
    assert masked(value) == []


def test_a_value_that_contains_itself_ends(masked):
    value = ["text"]
    value.append(value)
    assert masked(value) == [["text"]]


@pytest.mark.parametrize(
    ("value", "left_out"),
    [([str(number) for number in range(130)], 30), (["x" * 4097, "short"], 1), ("x" * 4097, 1)],
)
def test_long_and_many_texts_are_left_out_with_a_warning(masked, caplog, value, left_out):
    asked = masked(value)
    assert len(asked[0] if asked else []) == (len(value) if isinstance(value, list) else 1) - left_out
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"{left_out} texts of an exclusive value with mask=True are not masked")
    assert "xxxx" not in record.getMessage()


@pytest.mark.parametrize("value", ["x" * 4096, [str(number) for number in range(100)]])
def test_up_to_the_bounds_nothing_is_left_out(masked, caplog, value):
    assert masked(value)
    assert caplog.records == []
