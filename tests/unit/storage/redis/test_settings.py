from __future__ import annotations

import pytest

from airflow_provider_exclusive.exceptions import ConfigurationError, StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage.redis.driver import RedisDriver, RedisSettings, connect_single_node
from tests.programs import output_of


class TestRedisSettings:
    @pytest.mark.parametrize(
        ("option", "value"),
        [("connect_timeout_seconds", 0), ("read_timeout_seconds", -1), ("retries", -1), ("deadline_seconds", 34.9)],
    )
    def test_numbers_that_cannot_work_name_the_field(self, option, value):
        with pytest.raises(ConfigurationError, match=f"{option}: got {value}") as caught:
            RedisSettings("localhost", **{option: value})
        assert caught.value.option == option

    def test_no_repr_shows_the_password(self):
        settings = RedisSettings("localhost", username="worker", password="open-sesame")
        assert "open-sesame" not in repr(settings)
        assert "open-sesame" not in repr(RedisDriver(settings))


class TestClient:
    def test_it_neither_retries_nor_trusts_blindly_by_itself(self):
        client = connect_single_node(RedisSettings("localhost", ssl=True, ssl_ca_certs="/etc/ca.pem"))
        arguments = client.connection_pool.connection_kwargs
        assert arguments["retry"].get_retries() == 0
        assert (arguments["socket_connect_timeout"], arguments["socket_timeout"]) == (5, 30)
        assert (arguments["ssl_cert_reqs"], arguments["ssl_check_hostname"]) == ("required", True)
        assert arguments["protocol"] == 2

    def test_it_is_built_once_and_only_when_it_is_needed(self):
        built = []

        def connect(settings):
            built.append(settings)
            return connect_single_node(settings)

        driver = RedisDriver(RedisSettings("localhost"), connect=connect)
        assert built == []
        assert driver.retrieve_many([]) == []
        assert built == []

    def test_it_is_tried_as_often_as_asked_for(self, mocker):
        mocker.patch("time.sleep", return_value=None)
        tried = []

        def connect(settings):
            tried.append(settings)
            raise ConnectionRefusedError

        driver = RedisDriver(RedisSettings("localhost", retries=5_000, deadline_seconds=86_400), connect=connect)
        with pytest.raises(StorageUnavailableError):
            driver.retrieve("v1/a")
        assert len(tried) == 5_001

    def test_no_attempt_begins_that_could_end_after_the_deadline(self, mocker):
        now, tried = [100.0], []
        mocker.patch("time.monotonic", side_effect=lambda: now[0])
        mocker.patch("time.sleep", side_effect=lambda seconds: now.__setitem__(0, now[0] + seconds))

        def connect(settings):
            tried.append(now[0])
            now[0] += 10
            raise ConnectionRefusedError

        driver = RedisDriver(RedisSettings("localhost", retries=5_000), connect=connect)
        with pytest.raises(StorageUnavailableError):
            driver.retrieve("v1/a")
        assert len(tried) == 3
        assert tried[-1] + driver._settings.attempt_seconds <= 100 + driver._settings.deadline_seconds

    def test_a_payload_too_large_for_redis_is_refused_unsent(self):
        driver = RedisDriver(RedisSettings("host.invalid"))

        class Enormous(bytes):
            def __len__(self):
                return 512 * 1024 * 1024 + 1

        with pytest.raises(StorageError, match="at most 536,870,912"):
            driver.store("v1/a", Enormous(), ttl_seconds=None)

    def test_importing_core_drivers_imports_no_redis_or_airflow(self):
        program = (
            "import sys, airflow_provider_exclusive.storage.redis.driver, airflow_provider_exclusive.storage.files;"
            "print(sorted({'redis', 'airflow', 'fsspec'} & set(sys.modules)))"
        )
        assert output_of(program).strip() == "[]"
