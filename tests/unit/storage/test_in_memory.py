"""The fake of the other tests keeps the contract, too, so what passes with it can pass with a real driver."""

from __future__ import annotations

import pytest

from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage.testing import StorageDriverContract, start_in_child
from tests.fakes import CountingDriver, FailingDriver, InMemoryDriver


class TestInMemoryDriver(StorageDriverContract):
    @pytest.fixture
    def driver(self):
        return InMemoryDriver()

    def test_a_forked_child_and_its_parent_keep_working(self, driver):
        driver.store("v1/parent", b"from the parent", ttl_seconds=60)
        start_in_child(lambda: driver.store("v1/parent", driver.retrieve("v1/parent") + b"!", ttl_seconds=60))()
        assert driver.retrieve("v1/parent") == b"from the parent", "a child's memory is its own"


class TestCountingDriver(StorageDriverContract):
    @pytest.fixture
    def driver(self):
        return CountingDriver()

    def test_counts_calls_by_operation(self, driver):
        driver.store("v1/a", b"1", ttl_seconds=None)
        driver.retrieve("v1/a")
        driver.retrieve_many(["v1/a", "v1/b"])
        assert driver.calls == {"store": 1, "read_many": 2}


class TestFailingDriver:
    def test_fails_only_in_the_operations_named(self):
        driver = FailingDriver(error=StorageError("full"), operations=["store"])
        with pytest.raises(StorageError, match="full"):
            driver.store("v1/a", b"1", ttl_seconds=None)
        assert driver.retrieve_many(["v1/a"]) == [None]

    def test_fails_after_some_calls_and_works_again_once_mended(self):
        driver = FailingDriver(working_calls=1)
        driver.store("v1/a", b"1", ttl_seconds=None)
        with pytest.raises(StorageUnavailableError):
            driver.retrieve("v1/a")
        driver.error = None
        assert driver.retrieve("v1/a") == b"1"
