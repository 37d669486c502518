"""The hook of connections of type ``exclusive``: which driver it makes, and what Airflow's *Test* button tells."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_exclusive.exceptions import ConfigurationError, StorageError
from airflow_provider_exclusive.hooks import exclusive
from airflow_provider_exclusive.hooks.exclusive import ExclusiveHook
from tests.fakes import FailingDriver, InMemoryDriver


@pytest.fixture
def hook_with(mocker):
    """Return a hook whose connection is of this driver, or raises this error."""

    def hook_with(driver=None, *, failure=None, **fields):
        connection = object()
        mocker.patch.object(ExclusiveHook, "get_connection", side_effect=failure, return_value=connection)
        mocker.patch.object(exclusive.connections, "create_driver", side_effect={connection: driver}.get)
        return ExclusiveHook(**fields)

    return hook_with


class TestMissingConnection:
    def test_it_is_named_with_the_command_that_makes_it(self, hook_with):
        missing = AirflowNotFoundException("The conn_id `store` isn't defined")
        with pytest.raises(ConfigurationError, match="There is no connection 'store', which") as caught:
            hook_with(failure=missing, exclusive_conn_id="store").get_conn()
        assert "airflow connections add store --conn-type exclusive" in str(caught.value)
        assert "or unset conn_id" in str(caught.value)
        assert caught.value.option == "[exclusive] conn_id"
        assert caught.value.__cause__ is missing

    def test_the_test_button_tells_it(self, hook_with):
        is_well, said = hook_with(failure=AirflowNotFoundException()).test_connection()
        assert not is_well
        assert "There is no connection 'exclusive_default'" in said

    def test_a_failure_to_look_is_not_taken_for_none(self, hook_with):
        with pytest.raises(PermissionError):
            hook_with(failure=PermissionError("the secrets backend says no")).get_conn()


class TestButton:
    def test_a_connection_that_cannot_be_is_told(self, hook_with, mocker):
        hook = hook_with()
        wrong = ConfigurationError("port: expected a number")
        mocker.patch.object(exclusive.connections, "create_driver", side_effect=wrong)
        assert hook.test_connection() == (False, "port: expected a number")

    @pytest.mark.parametrize("operation", ["store", "read_many", "delete"])
    def test_a_store_that_fails_is_told(self, hook_with, operation):
        driver = FailingDriver(operations={operation}, error=StorageError("no space: add some"))
        assert hook_with(driver).test_connection() == (False, "no space: add some")

    def test_a_failed_reading_leaves_nothing_behind(self, hook_with):
        driver = FailingDriver(operations={"read_many"})
        hook_with(driver).test_connection()
        assert driver.inner.payloads == {}

    def test_a_store_that_gives_back_other_bytes_is_told(self, hook_with):
        class Lying(InMemoryDriver):
            def read_many(self, wanted):
                for one in wanted:
                    one.sink.write(b"other")

        is_well, said = hook_with(Lying()).test_connection()
        assert not is_well
        assert "gave back other bytes" in said

    def test_a_store_that_works_is_named_and_left_empty(self, hook_with):
        class Named(InMemoryDriver):
            def __repr__(self):
                return "Named()"

        driver = Named()
        assert hook_with(driver).test_connection() == (True, "Wrote, read back and deleted an object: Named().")
        assert driver.payloads == {}
        assert driver.ttl_seconds
        assert None not in driver.ttl_seconds.values()


def test_the_driver_is_that_of_the_named_connection(hook_with):
    driver = InMemoryDriver()
    hook = hook_with(driver, exclusive_conn_id="store")
    assert hook.get_conn() is driver
    hook.get_connection.assert_called_once_with("store")
