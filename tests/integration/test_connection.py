"""The *Test* button: ``ExclusiveHook.test_connection`` through Airflow's own connection classes, on real stores."""

from __future__ import annotations

import json
import os
import socket

import pytest

from tests import services

pytestmark = pytest.mark.integration

PASSWORD = "open-sesame"
# Nothing here waits for a network: no attempt may take long, and one is enough.
IMPATIENT = {"connect_timeout_seconds": 1, "read_timeout_seconds": 1, "deadline_seconds": 3, "retries": 0}


@pytest.fixture(scope="module", autouse=True)
def _airflow_home(tmp_path_factory):
    """Keep Airflow, which is imported from here on, out of the home directory of whoever runs this."""
    if "AIRFLOW_HOME" not in os.environ:
        os.environ["AIRFLOW_HOME"] = str(tmp_path_factory.mktemp("airflow"))


@pytest.fixture
def press_test(monkeypatch):
    """Define a connection as deployments do, press *Test*, and return what Airflow shows."""
    from airflow.models.connection import Connection

    def press(*, conn_type="exclusive", extra=None, **fields):
        connection = {"conn_type": conn_type, "extra": extra or {}} | fields
        monkeypatch.setenv("AIRFLOW_CONN_TRIED", json.dumps(connection))
        return Connection.get_connection_from_secrets("tried").test_connection()

    return press


def test_a_missing_connection_is_named_with_the_fix():
    from airflow_provider_exclusive.exceptions import ConfigurationError
    from airflow_provider_exclusive.hooks.exclusive import ExclusiveHook

    with pytest.raises(ConfigurationError, match=r"no connection 'nowhere'.*airflow connections add nowhere") as caught:
        ExclusiveHook("nowhere").get_conn()
    assert caught.value.option == "[exclusive] conn_id"


@pytest.fixture(scope="module")
def redis():
    with services.redis_server(
        password=PASSWORD, acl=["worker on >worker-sesame ~exclusive:* +set +get +unlink", "reader on >r ~* +get"]
    ) as server:
        yield server


class TestRefusals:
    def test_a_wrong_password_is_said_to_be_one_and_not_repeated(self, press_test, redis):
        status, message = press_test(host=redis.host, port=redis.port, password="wrong-sesame", extra=IMPATIENT)
        assert status is False
        assert "does not accept the credentials. Check login and password of the connection" in message
        assert "wrong-sesame" not in message

    def test_no_password_at_all_is_said_the_same_way(self, press_test, redis):
        status, message = press_test(host=redis.host, port=redis.port, extra=IMPATIENT)
        assert (status, "does not accept the credentials" in message) == (False, True)

    def test_a_user_who_may_only_read_is_told_what_to_grant(self, press_test, redis):
        status, message = press_test(host=redis.host, port=redis.port, login="reader", password="r", extra=IMPATIENT)
        assert (status, "forbids its user a command or a key" in message) == (False, True)
        assert "+set +get +getrange +unlink" in message

    def test_a_server_that_is_not_there_is_named(self, press_test):
        port = services.free_port()
        status, message = press_test(host=services.LOOPBACK, port=port, password=PASSWORD, extra=IMPATIENT)
        assert (status, f"Redis at {services.LOOPBACK}:{port} is not available" in message) == (False, True)
        assert PASSWORD not in message

    def test_a_server_that_never_answers_does_not_hang_the_button(self, press_test):
        with socket.create_server((services.LOOPBACK, 0)) as silent:
            status, message = press_test(host=services.LOOPBACK, port=silent.getsockname()[1], extra=IMPATIENT)
        assert (status, "is not available" in message) == (False, True)

    def test_tls_towards_a_server_without_it_is_told(self, press_test, redis):
        status, message = press_test(host=redis.host, port=redis.port, extra=IMPATIENT | {"ssl": True})
        assert (status, "Check that it runs, that host, port and ssl of the connection are right" in message) == (
            False,
            True,
        )

    def test_a_directory_that_cannot_be_written_is_told(self, press_test):
        # Nobody may make a directory there, not even root.
        status, message = press_test(extra={"storage": "file:///sys/exclusive"})
        assert (status, "Could not write /sys/exclusive" in message) == (False, True)
        assert "needs read and write access" in message

    def test_an_object_store_without_its_provider_names_the_package(self, press_test):
        status, message = press_test(extra={"storage": "nosuch://bucket/prefix"})
        assert status is False
        assert "nosuch://" in message
        assert "nstall" in message

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({}, "field 'host': empty"),
            ({"host": "server", "extra": {"strage": "s3://b"}}, "did you mean 'storage'?"),
            ({"host": "server", "schema": "public"}, "field 'schema': 'public'; expected the number"),
            ({"host": "server", "extra": {"cluster": True}}, "talks to a single Redis node"),
            ({"extra": {"storage": f"s3://key:{PASSWORD}@bucket"}}, "a URL with a password in it"),
            ({"host": f"redis://:{PASSWORD}@server"}, "not a host name"),
        ],
    )
    def test_a_field_that_cannot_be_is_named_with_its_connection(self, press_test, fields, told):
        status, message = press_test(**fields)
        assert (status, message.startswith("Connection 'tried', field ")) == (False, True)
        assert told in message
        assert PASSWORD not in message


class TestSuccess:
    def test_a_directory_passes_and_nothing_is_left_in_it(self, press_test, tmp_path):
        status, message = press_test(extra={"storage": (tmp_path / "store").as_uri()})
        assert (status, message.startswith("Wrote, read back and deleted an object: FilesDriver(")) == (True, True)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_a_redis_server_passes_without_its_password_being_shown(self, press_test, redis):
        status, message = press_test(host=redis.host, port=redis.port, password=PASSWORD, schema="2")
        assert status is True
        assert message.startswith("Wrote, read back and deleted an object: RedisDriver(")
        assert PASSWORD not in message

    def test_a_user_with_no_more_than_the_rights_it_needs_passes(self, press_test, redis):
        status, message = press_test(host=redis.host, port=redis.port, login="worker", password="worker-sesame")
        assert (status, message[:5]) == (True, "Wrote")

    def test_the_strings_of_a_connection_uri_pass(self, press_test, redis, monkeypatch):
        from airflow_provider_exclusive.hooks.exclusive import ExclusiveHook

        uri = f"exclusive://:{PASSWORD}@{redis.host}:{redis.port}/1?retries=0&ssl=false&read_timeout_seconds=2.5"
        monkeypatch.setenv("AIRFLOW_CONN_EXCLUSIVE_DEFAULT", uri)
        status, message = ExclusiveHook().test_connection()
        assert (status, message[:5]) == (True, "Wrote")

    def test_a_connection_of_type_redis_leads_to_the_same_store(self, redis, monkeypatch):
        from airflow_provider_exclusive.hooks.exclusive import ExclusiveHook

        extra = {"db": 1, "ssl": False, "ssl_cert_reqs": "required", "ssl_check_hostname": False}
        connection = {
            "conn_type": "redis",
            "host": redis.host,
            "port": redis.port,
            "password": PASSWORD,
            "extra": extra,
        }
        monkeypatch.setenv("AIRFLOW_CONN_A_REDIS", json.dumps(connection))
        status, message = ExclusiveHook("a_redis").test_connection()
        assert (status, message[:5]) == (True, "Wrote")
