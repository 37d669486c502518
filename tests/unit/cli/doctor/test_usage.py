"""Which Dags fill a store, as its object keys tell."""

import pytest

from airflow_provider_exclusive.cli.doctor import usage
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.storage.object_keys import new_object_id, object_key
from tests.fakes import FailingDriver, InMemoryDriver


@pytest.fixture
def fill(driver):
    def fill(dag_id, size):
        driver.store(
            object_key(Coordinate(dag_id, "run-1", "extract", -1, "rows"), new_object_id()),
            b"x" * size,
            ttl_seconds=None,
        )

    return fill


@pytest.fixture
def driver():
    return InMemoryDriver()


def test_the_largest_dags_come_first_with_their_part(driver, fill):
    for dag_id, size in [("small", 100), ("large.one", 250), ("large.one", 250), ("middle", 400)]:
        fill(dag_id, size)
    assert usage.describe_usage(driver) == (
        "Payloads of 1,000 bytes in its 4 objects, by Dag (other characters of an id show as _): "
        "large_one 50%, middle 40%, small 10%."
    )


def test_at_most_five_dags_are_named(driver, fill):
    for number in range(7):
        fill(f"dag-{number}", 100 - number)
    assert usage.describe_usage(driver).count("%") == 5


def test_a_large_store_is_sampled(driver, fill, mocker):
    mocker.patch.object(usage, "_SAMPLED", 2)
    for _ in range(3):
        fill("etl", 10)
    assert "20 bytes in the first 2 objects" in usage.describe_usage(driver)


def test_a_store_that_others_fill_is_said_to_be(driver):
    assert "something else fills it" in usage.describe_usage(driver)


def test_a_store_that_cannot_be_listed_names_the_reason():
    assert usage.describe_usage(FailingDriver(operations={"scan"})).endswith(
        "cannot be listed: The store of this test is down. Retry."
    )
