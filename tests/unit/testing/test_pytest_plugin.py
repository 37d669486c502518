"""When pytest sets up an Airflow; that it works is in ``integration/test_pytest_plugin.py``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_exclusive.testing import pytest_plugin

NAME = pytest_plugin._NAME  # written out, it would set up an Airflow for this module


class Config:
    """As much of pytest's configuration as the plugin uses."""

    def __init__(self, rootpath, **options):
        self.rootpath, self.options, self.stash = rootpath, options, pytest.Stash()

    def getini(self, name):
        return self.options.get(name, False)


@pytest.fixture
def environment(mocker):
    """The environment, which is put back after the test, as if Airflow was not imported."""
    mocker.patch.dict(os.environ)
    mocker.patch.object(pytest_plugin, "_imported_home", return_value=None)
    return os.environ


@pytest.fixture
def config(tmp_path):
    config = Config(tmp_path)
    yield config
    pytest_plugin.pytest_unconfigure(config)


@pytest.fixture
def collect(config, mocker):
    """Let pytest come to a test module."""

    def collect(source):
        path = config.rootpath / "test_it.py"
        path.write_text(source)
        pytest_plugin.pytest_collectstart(mocker.Mock(spec=pytest.Module, path=path, config=config))

    return collect


def home_of(config):
    return config.stash.get(pytest_plugin._home, None)


@pytest.mark.parametrize(
    "source", [f"def test({NAME}): ...", f"pytestmark = usefixtures('{NAME}')", f"def helper(*, {NAME}=None): ..."]
)
def test_a_module_that_names_the_fixture_sets_up(environment, collect, config, source):
    collect(source)

    assert environment["AIRFLOW_HOME"] == str(home_of(config))


@pytest.mark.parametrize("source", ["def test(): ...", f"'''{NAME} is not for here'''", f"# {NAME}", f"def ({NAME}"])
def test_another_module_sets_nothing_up(environment, collect, config, source):
    before = dict(environment)

    collect(source)

    assert dict(environment) == before
    assert home_of(config) is None


@pytest.mark.parametrize("is_set", [True, False])
def test_the_option_sets_up_before_any_module(environment, tmp_path, is_set):
    config = Config(tmp_path, **{NAME: is_set})

    pytest_plugin.pytest_load_initial_conftests(config)

    assert (home_of(config) is not None) == is_set
    pytest_plugin.pytest_unconfigure(config)


def test_what_leads_to_another_database_key_or_store_is_gone(environment, collect, config):
    kept = {"AIRFLOW__EXCLUSIVE__INLINE_BYTES": "0", "AIRFLOW_CONN_MINE": "http://x"}
    lost = ["AIRFLOW_CONFIG", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "AIRFLOW__EXCLUSIVE__PUBLIC_KEY"]
    environment |= kept | dict.fromkeys(lost, "x")

    collect(f"def test({NAME}): ...")

    assert kept.items() <= environment.items()
    assert not set(lost) & set(environment)
    assert len(environment["AIRFLOW__EXCLUSIVE__PRIVATE_KEY"]) == 44


@pytest.mark.parametrize("named", [None, "mine", "dags"])
def test_the_dags_folder_is_the_users_if_there_is_one(environment, collect, config, named):
    environment.pop("AIRFLOW__CORE__DAGS_FOLDER", None)
    if named == "mine":
        environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(config.rootpath / "mine")
    elif named == "dags":
        (config.rootpath / "dags").mkdir()

    collect(f"def test({NAME}): ...")

    folder = Path(environment["AIRFLOW__CORE__DAGS_FOLDER"])
    assert folder.is_dir()
    assert folder == (config.rootpath / named if named else home_of(config) / "dags")


def test_the_home_is_one_and_goes_with_pytest(environment, collect, config):
    collect(f"def test({NAME}): ...")
    home = home_of(config)
    collect(f"def test({NAME}): ...")

    assert home_of(config) is home
    pytest_plugin.pytest_unconfigure(config)
    assert not home.exists()


def test_once_airflow_is_imported_nothing_is_set(environment, collect, config, mocker):
    mocker.patch.object(pytest_plugin, "_imported_home", return_value="/home/me/airflow")

    collect(f"def test({NAME}): ...")

    assert home_of(config) is None
    with pytest.raises(pytest.fail.Exception, match=r"imported Airflow, with the home /home/me/airflow\. Write"):
        pytest_plugin._require_home(config)


@pytest.mark.parametrize(
    ("modules", "home"), [({"airflow.sdk": None}, "/env"), ({}, None), ({"airflow.configuration": "/read"}, "/read")]
)
def test_the_home_with_which_airflow_was_imported(monkeypatch, mocker, modules, home):
    monkeypatch.setenv("AIRFLOW_HOME", "/env")
    found = {name: type("Module", (), {"AIRFLOW_HOME": path}) for name, path in modules.items()}
    mocker.patch.object(pytest_plugin, "sys", type("Sys", (), {"modules": found}))

    assert pytest_plugin._imported_home() == home
