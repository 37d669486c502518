"""The configuration of a process is read once, and what cannot be read is a fact and no crash."""

from __future__ import annotations

import base64
import os
import sys
from types import SimpleNamespace

import pytest

from airflow_provider_exclusive import config, wiring
from airflow_provider_exclusive.cli.doctor import facts as module
from airflow_provider_exclusive.cli.doctor.facts import gather, is_loopback
from airflow_provider_exclusive.exceptions import ConfigurationError, StorageError
from tests.fakes import InMemoryDriver

CONTEXT = "_AIRFLOW_PROCESS_CONTEXT"


class Backend:
    __module__ = "a.backend"


@pytest.fixture(autouse=True)
def driver(conf, mocker, monkeypatch):
    """A process in which everything can be read."""
    monkeypatch.setenv(CONTEXT, "client")
    monkeypatch.setitem(sys.modules, "airflow.configuration", SimpleNamespace(conf=conf))
    monkeypatch.setitem(sys.modules, "airflow.sdk.execution_time.xcom", SimpleNamespace(XCom=Backend))
    mocker.patch.object(module.redaction, "prepare", return_value=None)
    driver = InMemoryDriver()
    mocker.patch.object(wiring, "current_driver", return_value=driver)
    return driver


class TestUnreadable:
    def test_settings_that_cannot_be_hide_what_needs_them(self, conf):
        conf.options[config.SECTION, "ttl_seconds"] = "a month"
        facts = gather()
        assert isinstance(facts.settings, ConfigurationError)
        assert facts.keys is facts.settings
        assert str(facts.driver) == str(facts.settings)
        wiring.current_driver.assert_not_called()

    def test_a_key_that_cannot_be_hides_nothing_else(self, conf, driver):
        conf.options[config.SECTION, "private_key"] = base64.b64encode(bytes(32)).decode()
        facts = gather()
        assert isinstance(facts.keys, ConfigurationError)
        assert facts.driver is driver

    def test_a_parse_check_that_cannot_be_is_a_fact(self, conf):
        conf.options[config.SECTION, "parse_check"] = "strict"
        assert isinstance(gather().parse_check, ConfigurationError)

    @pytest.mark.parametrize(
        "failure", [RuntimeError("open-sesame"), KeyError("open-sesame"), StorageError("open-sesame")]
    )
    def test_a_driver_that_fails_repeats_no_password(self, mocker, failure):
        mocker.patch.object(wiring, "current_driver", side_effect=failure)
        found = gather().driver
        assert str(found) == f"{type(failure).__name__} while reading the configuration."

    def test_an_error_of_the_configuration_keeps_its_words(self, mocker):
        wrong = ConfigurationError("port: expected a number")
        mocker.patch.object(wiring, "current_driver", side_effect=wrong)
        assert gather().driver is wrong

    def test_a_backend_that_cannot_be_imported_is_a_fact(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "airflow.sdk.execution_time.xcom", None)
        found = gather().backend_modules
        assert str(found) == "ModuleNotFoundError while reading the configuration."

    @pytest.mark.parametrize("failure", [ConfigurationError("renders otherwise"), AttributeError("no runner")])
    def test_an_airflow_that_renders_otherwise_is_a_fact(self, mocker, failure):
        mocker.patch.object(module.redaction, "prepare", side_effect=failure)
        assert type(gather().redaction_error) is ConfigurationError


class TestReadable:
    def test_a_sound_process_has_no_error(self, driver):
        facts = gather()
        assert isinstance(facts.settings, config.Settings)
        assert (facts.driver, facts.unknown_options, facts.redaction_error) == (driver, [], None)
        assert facts.backend_modules == {"a.backend", "builtins"}
        assert hasattr(facts.keys, "key_id")

    def test_connections_are_looked_up_as_the_server_does(self):
        gather()
        assert os.environ[CONTEXT] == "server"

    @pytest.mark.parametrize(("written", "read"), [(" CeleryExecutor\n", "CeleryExecutor"), ("", ""), (None, "")])
    def test_the_executor_is_read_as_it_is_written(self, conf, written, read):
        conf.options["core", "executor"] = written
        assert gather().executor == read

    @pytest.mark.parametrize(
        ("url", "base", "found"),
        [
            ("https://api/execution/", "https://airflow", "https://api/execution/"),
            ("", "https://airflow", "https://airflow/execution/"),
            ("", "https://airflow/team/", "https://airflow/team/execution/"),
            ("", "/", "http://localhost:8080/execution/"),
            ("", "/team", "http://localhost:8080/team/execution/"),
            (None, None, "http://localhost:8080/execution/"),
        ],
    )
    def test_the_api_is_where_the_workers_seek_it(self, conf, url, base, found):
        conf.options["core", "execution_api_server_url"] = url
        conf.options["api", "base_url"] = base
        assert gather().api_url == found

    def test_the_probe_is_the_real_one(self, mocker):
        asked = mocker.patch("airflow_provider_exclusive.cli.doctor.probe.probe", return_value="the result")
        assert gather().probe("http://server/execution/") == "the result"
        asked.assert_called_once_with("http://server/execution/")


@pytest.mark.parametrize("host", [None, "", "airflow", "localhost.example.com", "10.127.0.1", "::2", "0.0.0.0"])
def test_another_host_is_no_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "::1"])
def test_this_host_is_a_loopback(host):
    assert is_loopback(host)
