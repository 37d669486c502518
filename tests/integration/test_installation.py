"""
The package inside an installed Airflow, as its commands and fresh interpreters see it.

A mistake in the provider's metadata breaks every ``airflow`` command, and one in what the package imports breaks
``from airflow.sdk import dag`` wherever the backend is configured; so both are tried in processes of their own.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from airflow_provider_exclusive.crypto import keyring
from airflow_provider_exclusive.get_provider_info import get_provider_info
from stack.environment import airflow_environment, exclusive_options
from tests import services

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parent.parent.parent
PROVIDER = "airflow-provider-exclusive"
PASSWORD = "open-sesame"
KEY = base64.b64encode(os.urandom(32)).decode()
KEY_ID = keyring.PrivateKey.from_raw(base64.b64decode(KEY)).key_id


def finish(environment, *command):
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def airflow_says(environment, *words):
    """Run an ``airflow`` command that must succeed and return what it prints."""
    done = finish(environment, sys.executable, "-m", "airflow", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def airflow_lists(environment, *words):
    """Run an ``airflow`` command that prints a table and return its rows."""
    said = airflow_says(environment, *words, "--output", "json")
    return json.loads(said[said.index("[") :])


def python_says(environment, program):
    done = finish(environment, sys.executable, "-c", program)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def without_backend(tmp_path_factory):
    """The environment of an Airflow that was only installed."""
    home = tmp_path_factory.mktemp("plain-home")
    return airflow_environment(home, dags=home / "dags")


@pytest.fixture(scope="module", params=[False, True], ids=["Airflow's backend", "our backend"])
def environment(request, without_backend):
    return without_backend | (exclusive_options({}) if request.param else {})


class TestWhatIsInstalled:
    def test_it_is_what_is_imported(self, without_backend):
        program = "import airflow_provider_exclusive; print(airflow_provider_exclusive.__file__)"
        imported = Path(python_says(without_backend, program).strip())
        installed = Path(sysconfig.get_path("purelib"))
        # Whoever works on the package installs it in place; `make test` tests a wheel, and says so.
        allowed = [installed] if os.environ.get("EXCLUSIVE_TEST_WHEEL") == "1" else [installed, ROOT]
        assert imported.parent.parent in allowed

    def test_every_class_that_the_metadata_names_can_be_imported(self, environment):
        info = get_provider_info()
        paths = [kind["hook-class-name"] for kind in info["connection-types"]]
        paths += [decorator["class-name"] for decorator in info["task-decorators"]]
        modules = [module for hook in info["hooks"] for module in hook["python-modules"]]
        program = f"""
from importlib import import_module
for path in {paths!r}:
    module, _, name = path.rpartition(".")
    print(getattr(import_module(module), name).__name__)
for module in {modules!r}:
    import_module(module)
"""
        assert python_says(environment, program).split() == ["ExclusiveHook", "exclusive_task"]


EXPORTS = "from airflow_provider_exclusive import DOWNSTREAM, Consumer, consumers, exclusive_task"
SDK = "from airflow.sdk import BaseOperator, dag, task"
REGISTERED = "from airflow.sdk import task; exclusive = task.exclusive"
ORDERS = {
    "airflow.sdk first": [SDK, EXPORTS, REGISTERED],
    "the package first": [EXPORTS, SDK, REGISTERED],
    "the registered decorator first": [REGISTERED, EXPORTS, SDK],
    "the light names first": ["from airflow_provider_exclusive import Consumer, DOWNSTREAM", REGISTERED, EXPORTS, SDK],
}
HEAVY = ("redis", "hiredis", "pyarrow", "pandas", "polars", "numpy", "fsspec", "upath", "boto3")


class TestImports:
    @pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
    def test_every_import_order_leads_to_the_same_decorator(self, environment, order):
        program = "; ".join([*order, "print(exclusive is exclusive_task, callable(consumers), dag.__name__)"])
        assert python_says(environment, program).split() == ["True", "True", "dag"]

    def test_the_backend_that_airflow_takes_is_the_configured_one(self, environment):
        program = "from airflow.sdk.execution_time.xcom import XCom; print(XCom.__module__)"
        ours = "AIRFLOW__CORE__XCOM_BACKEND" in environment
        expected = "airflow_provider_exclusive.xcom.backend" if ours else "airflow.sdk.bases.xcom"
        assert python_says(environment, program).strip() == expected

    def test_parsing_a_dag_loads_no_further_client_or_data_library(self, environment):
        added = added_by("from airflow_provider_exclusive import consumers, exclusive_task", environment)
        assert "airflow_provider_exclusive.decorators.exclusive" in added
        assert {name for name in added if name.partition(".")[0] in HEAVY} == set()

    def test_airflow_with_the_backend_loads_no_client_library(self, without_backend):
        program = (
            "import airflow.sdk; from airflow.sdk import dag, task; from airflow.sdk.execution_time.xcom import XCom"
        )
        loaded = [
            {name.partition(".")[0] for name in loaded_after(program, environment)}
            for environment in (without_backend, without_backend | exclusive_options({}))
        ]
        assert (loaded[1] - loaded[0]) & set(HEAVY) == set()

    def test_parsing_a_dag_without_our_backend_loads_no_store(self, without_backend):
        loaded = loaded_after(f"{SDK}; {EXPORTS}", without_backend)
        rooms = {name.split(".")[1] for name in loaded if name.startswith("airflow_provider_exclusive.")}
        assert "definitions" in rooms
        assert rooms & {"store", "storage", "codecs", "crypto", "hooks", "xcom"} == set()

    def test_only_the_api_server_loads_the_server(self, without_backend):
        loaded = loaded_after("import airflow_provider_exclusive.plugins.exclusive", without_backend)
        assert "airflow_provider_exclusive.plugins.exclusive" in loaded
        assert [name for name in loaded if name.startswith("airflow_provider_exclusive.server")] == []


def loaded_after(program, environment):
    return set(
        json.loads(python_says(environment, f"{program}\nimport json, sys; print(json.dumps(list(sys.modules)))"))
    )


def added_by(statement, environment):
    """Return the modules that ``statement`` loads after Airflow's authoring interface."""
    return set(
        json.loads(
            python_says(
                environment,
                f"import airflow.sdk, json, sys\n{SDK}\nbefore = set(sys.modules)\n{statement}\n"
                "print(json.dumps(list(set(sys.modules) - before)))",
            )
        )
    )


class TestCommands:
    def test_airflow_starts_at_all(self, airflow_home):
        assert airflow_says(airflow_home, "version").strip()[0].isdigit()

    def test_the_provider_is_listed(self, airflow_home):
        rows = [row for row in airflow_lists(airflow_home, "providers", "list") if row["package_name"] == PROVIDER]
        assert [row["version"] for row in rows] == ["0.1.0"]
        assert rows[0]["description"].startswith("Task outputs that only their declared consumers can read")

    def test_the_provider_can_be_asked_for(self, airflow_home):
        (row,) = airflow_lists(airflow_home, "providers", "get", PROVIDER, "--full")
        assert (row["package-name"], row["name"]) == (PROVIDER, "Exclusive XCom")
        assert row["task-decorators"][0]["name"] == "exclusive"

    def test_the_hook_is_found_by_its_connection_type(self, airflow_home):
        rows = airflow_lists(airflow_home, "providers", "hooks")
        assert [row for row in rows if row["connection_type"] == "exclusive"] == [
            {
                "connection_type": "exclusive",
                "class": "airflow_provider_exclusive.hooks.exclusive.ExclusiveHook",
                "conn_id_attribute_name": "exclusive_conn_id",
                "package_name": PROVIDER,
                "hook_name": "Exclusive XCom",
            }
        ]

    def test_an_option_shows_its_default_and_what_was_set(self, airflow_home):
        words = ("config", "get-value", "exclusive", "ttl_seconds")
        assert airflow_says(airflow_home, *words).split()[-1] == "2592000"
        changed = airflow_home | {"AIRFLOW__EXCLUSIVE__TTL_SECONDS": "60"}
        assert airflow_says(changed, *words).split()[-1] == "60"

    def test_listing_the_whole_configuration_shows_no_key(self, airflow_home):
        listed = airflow_says(
            airflow_home | {"AIRFLOW__EXCLUSIVE__PRIVATE_KEY": KEY},
            "config",
            "list",
            "--section",
            "exclusive",
            "--hide-sensitive",
        )
        assert "private_key" in listed
        assert KEY not in listed


class TestConnectionCommands:
    def test_a_directory_is_added_shown_and_tested(self, airflow_home, tmp_path):
        extra = json.dumps({"storage": (tmp_path / "store").as_uri()})
        airflow_says(
            airflow_home, "connections", "add", "a_directory", "--conn-type", "exclusive", "--conn-extra", extra
        )
        (row,) = airflow_lists(airflow_home, "connections", "get", "a_directory")
        assert row["conn_type"] == "exclusive"
        enabled = airflow_home | {"AIRFLOW__CORE__TEST_CONNECTION": "Enabled"}
        assert "Connection success!" in airflow_says(enabled, "connections", "test", "a_directory")
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_a_redis_server_is_tested_first_with_a_wrong_password(self, airflow_home):
        with services.redis_server(password=PASSWORD) as server:
            enabled = airflow_home | {"AIRFLOW__CORE__TEST_CONNECTION": "Enabled"}
            uris = {word: f"exclusive://:{word}@{server.host}:{server.port}/0" for word in ("wrong-sesame", PASSWORD)}
            environments = {word: enabled | {"AIRFLOW_CONN_A_SERVER": uri} for word, uri in uris.items()}
            command = [sys.executable, "-m", "airflow", "connections", "test", "a_server"]
            refused = finish(environments["wrong-sesame"], *command)
            assert refused.returncode == 1
            assert "does not accept the credentials" in " ".join(refused.stdout.split())
            assert "wrong-sesame" not in refused.stdout
            assert "Connection success!" in airflow_says(environments[PASSWORD], *command[3:])


READ = """
from airflow_provider_exclusive import config
settings = config.read_settings()
print(settings.ttl_seconds, settings.storage_url, config.read_keyring(settings).current_key_id)
"""


class TestRealConfiguration:
    """What ``tests/unit/test_config.py`` tries on a stand-in, on Airflow's own ``conf``."""

    @pytest.mark.parametrize("form", ["private_key_cmd", "private_key_secret"])
    def test_a_key_source_that_gives_no_key_is_refused(self, without_backend, form):
        name = "true" if form.endswith("_cmd") else "no/such/secret"
        done = finish(without_backend | {f"AIRFLOW__EXCLUSIVE__{form.upper()}": name}, sys.executable, "-c", READ)
        assert done.returncode != 0
        assert f"ConfigurationError: [exclusive] {form} is set, and what it names is empty or not there." in done.stderr

    def test_a_command_that_fails_is_refused_by_name(self, without_backend):
        done = finish(without_backend | {"AIRFLOW__EXCLUSIVE__PRIVATE_KEY_CMD": "false"}, sys.executable, "-c", READ)
        assert "ConfigurationError: [exclusive] private_key cannot be read" in done.stderr

    def test_the_placeholder_key_is_refused_without_airflow_cfg(self, without_backend, tmp_path):
        bare = {name: value for name, value in without_backend.items() if name != "AIRFLOW__CORE__FERNET_KEY"}
        done = finish(bare | {"AIRFLOW_HOME": str(tmp_path)}, sys.executable, "-c", READ)
        assert "neither [exclusive] private_key nor [core] fernet_key is set" in done.stderr

    def test_a_key_command_may_print_a_trailing_newline(self, without_backend):
        command = shlex.join([sys.executable, "-c", f"print({KEY!r})"])
        said = python_says(without_backend | {"AIRFLOW__EXCLUSIVE__PRIVATE_KEY_CMD": command}, READ)
        assert said.split() == ["2592000", f"file://{without_backend['AIRFLOW_HOME']}/exclusive", KEY_ID]

    def test_the_key_may_come_from_a_secrets_backend(self, without_backend, tmp_path):
        configs = tmp_path / "configs.json"
        configs.write_text(json.dumps({"exclusive/key": KEY}))
        sources = {
            "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
            "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"configs_file_path": str(configs)}),
            "AIRFLOW__EXCLUSIVE__PRIVATE_KEY_SECRET": "exclusive/key",
        }
        assert python_says(without_backend | sources, READ).split()[-1] == KEY_ID

    def test_environment_and_airflow_cfg_are_both_read(self, without_backend, tmp_path):
        (tmp_path / "airflow.cfg").write_text(f"[exclusive]\nprivate_key = {KEY}\nttl_seconds = 0\n")
        options = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__EXCLUSIVE__STORAGE": "s3://bucket"}
        assert python_says(without_backend | options, READ).split() == ["None", "s3://bucket", KEY_ID]
