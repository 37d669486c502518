"""What is imported before the first fork of a process, and that a fork never fails for it."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_exclusive import config
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.xcom import preload


@pytest.fixture(autouse=True)
def fresh_process():
    preload._preload.cache_clear()
    yield
    preload._preload.cache_clear()


@pytest.fixture
def imported(mocker):
    """The names of the modules that are imported, none of which is."""
    import_module = mocker.patch.object(preload, "import_module")
    return lambda: [call.args[0] for call in import_module.mock_calls]


@pytest.fixture
def read_settings(mocker):
    return mocker.patch.object(config, "read_settings")


def test_settings_that_cannot_be_read_do_not_stop_a_fork(read_settings, imported, caplog):
    caplog.set_level(logging.DEBUG, logger=preload.log.name)
    read_settings.side_effect = ConfigurationError("inline_bytes is no number")

    preload._preload()

    assert imported() == []
    assert "inline_bytes is no number" in caplog.text


def test_a_client_that_is_not_installed_does_not_stop_a_fork(read_settings, mocker, caplog):
    caplog.set_level(logging.DEBUG, logger=preload.log.name)
    mocker.patch.object(preload, "import_module", side_effect=ImportError("no module named redis"))

    preload._preload()

    assert "no module named redis" in caplog.text


def test_without_a_connection_nothing_is_imported(read_settings, imported):
    read_settings.return_value.conn_id = ""

    preload._preload()

    assert imported() == []


def test_with_a_connection_its_hooks_are_imported_once(read_settings, imported):
    read_settings.return_value.conn_id = "somewhere"

    preload._preload()
    preload._preload()

    assert imported() == ["airflow_provider_exclusive.hooks.exclusive", "airflow_provider_exclusive.hooks.redis"]


def test_it_waits_for_the_first_fork(mocker, read_settings):
    register = mocker.patch.object(preload.os, "register_at_fork")

    preload.preload_before_forks()

    register.assert_called_once_with(before=preload._preload)
    assert read_settings.mock_calls == []
