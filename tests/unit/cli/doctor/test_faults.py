"""Faults that need no server, one at a time: each is found, with a cure, and nothing else is."""

import base64
import hashlib
import os
import shlex
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_exclusive.cli.doctor import command
from airflow_provider_exclusive.cli.doctor.report import Severity
from airflow_provider_exclusive.crypto.keyring import PrivateKey, format_key
from airflow_provider_exclusive.exceptions import ConfigurationError, StorageError
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.storage.files import FilesDriver
from airflow_provider_exclusive.storage.object_keys import new_object_id, object_key
from tests.fakes import FailingDriver, InMemoryDriver
from tests.unit.cli.doctor.conftest import Probed


def make_key(name):
    return base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()


def public_half(private_key):
    return format_key(PrivateKey.from_raw(base64.b64decode(private_key)).public)


ERRORS = {
    "an option that cannot be": ({"ttl_seconds": "a month"}, "settings.options"),
    "a parse check that cannot be": ({"parse_check": "strict"}, "settings.parse_check"),
    "a private key that is a passphrase": ({"private_key": "correct horse"}, "keys.source"),
    "a private key of zeros": ({"private_key": base64.b64encode(bytes(32)).decode()}, "keys.source"),
    "the same private key twice": ({"private_key": f"{make_key('a')},{make_key('a')}"}, "keys.source"),
    "a public key of another pair": (
        {"private_key": make_key("a"), "public_key": public_half(make_key("b"))},
        "keys.source",
    ),
    "a public key that is none": ({"public_key": "short"}, "keys.source"),
    "a private key command that gives nothing": ({"private_key_cmd": "true"}, "keys.source"),
    "no key at all": ({"core.fernet_key": ""}, "keys.source"),
    "the placeholder of a fernet key": ({"core.fernet_key": "{FERNET_KEY}"}, "keys.source"),
    "a store with a password in its URL": ({"storage": "s3://user:secret@bucket/x"}, "store.driver"),
    "larger values than a row holds": ({"inline_bytes": "131073"}, "settings.options"),
    "a Redis URL as storage": ({"storage": "redis://host:6379"}, "store.driver"),
}
WARNINGS = {
    "large values in the metadata database": ({"inline_bytes": "65536"}, "settings.inline_bytes"),
    "a life shorter than a run": ({"ttl_seconds": "60"}, "settings.ttl_seconds"),
    "a life without end": ({"ttl_seconds": "0"}, "settings.ttl_seconds"),
    "no parse check": ({"parse_check": "off"}, "settings.parse_check"),
    "no audit": ({"audit": "off"}, "settings.audit"),
}


@pytest.mark.parametrize(("options", "name"), ERRORS.values(), ids=ERRORS)
def test_a_configuration_fault_is_an_error_that_says_what_to_do(examine, options, name):
    found = examine(options=options)
    assert {name: found[name].severity.value} == {name: "error"}
    assert set(found) == {name}
    assert found[name].what
    for secret in (*options.values(), "secret"):
        assert len(secret) < 12 or secret not in found[name].what + found[name].cure


@pytest.mark.parametrize(("options", "name"), WARNINGS.values(), ids=WARNINGS)
def test_a_choice_that_weakens_is_a_warning_with_a_cure(examine, options, name):
    found = examine(options=options)
    assert {name: finding.severity.value for name, finding in found.items()} == {name: "warning"}
    assert found[name].cure


def test_offloading_most_values_is_a_warning_only_with_a_store(examine, tmp_path):
    assert examine(options={"offload_bytes": "10"}) == {}
    assert set(examine(options={"storage": (tmp_path / "s").as_uri()})) == {"settings.offload_bytes"}


def test_another_backend_is_an_error(examine):
    assert set(examine(backend_modules=frozenset({"airflow.sdk.bases.xcom"}))) == {"settings.backend"}


def test_a_backend_that_cannot_be_loaded_is_an_error(examine):
    found = examine(backend_modules=ConfigurationError("no such class"))
    assert "no such class" in found["settings.backend"].what


def test_an_airflow_that_would_store_opened_values_is_an_error(examine):
    found = examine(redaction_error=ConfigurationError("renders in another way"))
    assert found["settings.airflow"].what == "renders in another way"


class TestFiles:
    @pytest.mark.parametrize(
        ("mode", "severity"), [(0o777, "error"), (0o770, "error"), (0o755, "warning"), (0o711, "warning")]
    )
    def test_a_directory_that_others_may_enter_is_found(self, examine, tmp_path, mode, severity):
        directory = tmp_path / "exclusive"
        directory.mkdir()
        directory.chmod(mode)
        found = examine()
        assert {name: finding.severity.value for name, finding in found.items()} == {"store.permissions": severity}
        assert found["store.permissions"].cure == f"chmod 700 {directory}"

    def test_a_directory_of_another_user_is_found(self, examine, mocker):
        mocker.patch("os.geteuid", return_value=123456789)
        assert set(examine()) == {"store.owner"}

    def test_a_disk_that_is_nearly_full_comes_with_what_fills_it(self, make_facts, examine, mocker):
        facts = make_facts()
        facts.driver.store(
            object_key(Coordinate("etl", "run-1", "extract", -1, "rows"), new_object_id()), b"sealed", ttl_seconds=None
        )
        mocker.patch("shutil.disk_usage", return_value=SimpleNamespace(total=1100, used=960, free=40))
        found = examine(facts)
        assert {name: finding.severity.value for name, finding in found.items()} == {"store.space": "warning"}
        assert found["store.space"].what.startswith("96% of the file system")
        assert found["store.space"].what.endswith("etl 100%.")

    def test_files_of_killed_writers_are_one_line_with_their_cure(self, examine, tmp_path):
        for number, age in enumerate((7_200, 180_000)):
            left = tmp_path / f"exclusive/v1/{number}/.writing-0123"
            left.parent.mkdir(parents=True)
            left.write_bytes(b"x" * 1000)
            os.utime(left, (time.time() - age,) * 2)
        (tmp_path / "exclusive").chmod(0o700)
        found = examine()
        assert {name: finding.severity.value for name, finding in found.items()} == {"store.leftovers": "warning"}
        assert "2 files" in found["store.leftovers"].what
        assert "(2,000 bytes)" in found["store.leftovers"].what
        assert "50 hours" in found["store.leftovers"].what
        subprocess.run(shlex.split(found["store.leftovers"].cure.partition(": ")[2]), check=True)
        assert examine() == {}

    def test_a_directory_that_cannot_be_searched_says_so(self, examine, mocker):
        mocker.patch.object(FilesDriver, "find_leftovers", side_effect=StorageError("no access"))
        found = examine()
        assert found["store.leftovers"].what == "Could not look for files that killed writers left: no access"

    def test_a_file_in_the_place_of_the_directory_is_an_error(self, examine, tmp_path):
        (tmp_path / "exclusive").write_text("not a directory")
        found = examine()
        assert found["store.round_trip"].severity.value == "error"
        assert "something else on the way" in found["store.round_trip"].what
        assert "store.leftovers" not in found

    @pytest.mark.parametrize(
        "executor",
        [
            "CeleryExecutor",
            "airflow.providers.cncf.kubernetes.executors.kubernetes_executor.KubernetesExecutor",
            "LocalExecutor,CeleryExecutor",
            "LocalExecutor;team1=CeleryExecutor",
            "LocalExecutor,fast:my.company.RemoteExecutor",
        ],
    )
    def test_the_default_directory_on_several_machines_is_an_error(self, examine, executor):
        assert examine(executor=executor)["store.sharing"].severity.value == "error"

    def test_a_chosen_directory_on_several_machines_is_a_warning(self, examine, tmp_path):
        found = examine(options={"storage": (tmp_path / "share").as_uri()}, executor="CeleryExecutor")
        assert {name: finding.severity.value for name, finding in found.items()} == {"store.sharing": "warning"}

    @pytest.mark.parametrize(
        "executor", ["LocalExecutor", "airflow.executors.local_executor.LocalExecutor", "x:LocalExecutor"]
    )
    def test_one_machine_needs_no_shared_directory(self, examine, executor):
        assert examine(executor=executor) == {}


class TestStore:
    def test_one_that_fails_is_an_error_with_its_own_advice(self, examine):
        driver = FailingDriver(InMemoryDriver(), operations={"store"}, error=StorageError("no space: add some"))
        assert examine(driver=driver)["store.round_trip"].what == "no space: add some"

    def test_a_store_that_returns_other_bytes_fails_and_stays_empty(self, examine):
        class Lying(InMemoryDriver):
            def read_many(self, wanted):
                for one in wanted:
                    one.sink.write(b"other")

        driver = Lying()
        assert "other bytes" in examine(driver=driver)["store.round_trip"].what
        assert driver.payloads == {}

    def test_a_broken_connection_is_an_error_and_not_repeated(self, make_facts):
        from airflow_provider_exclusive.cli.doctor.facts import _try

        def read():
            raise RuntimeError("redis://login:open-sesame@host")

        report = command.examine(make_facts(driver=_try(read)))
        (finding,) = [finding for finding in report.findings if finding.severity.value == "error"]
        assert "RuntimeError" in finding.what
        assert "open-sesame" not in str(report.to_json())

    def test_an_object_store_comes_with_a_hint_about_its_lifecycle(self, make_facts):
        class Objects(InMemoryDriver):
            type = "object"

        report = command.examine(make_facts(driver=Objects()))
        (hint,) = [finding for finding in report.findings if finding.name == "lifecycle"]
        assert (hint.severity.value, "2592000 seconds" in hint.cure) == ("ok", True)


class TestNames:
    def test_an_unknown_option_is_a_warning_with_the_nearest_name(self, examine):
        found = examine(options={"inline_byte": "0"})
        assert set(found) == {"settings.names"}
        assert "'inline_byte'; did you mean 'inline_bytes'?" in found["settings.names"].what


class TestServer:
    def test_what_is_no_url_is_an_error(self, examine):
        assert set(examine(api_url="http://[::1")) == {"server.url"}

    @pytest.mark.parametrize("api_url", ["http://airflow.example.com/execution/", "http://10.0.0.5:8080/execution/"])
    def test_the_way_to_another_machine_without_tls_is_a_warning(self, examine, api_url):
        assert set(examine(api_url=api_url)) == {"server.tls"}

    @pytest.mark.parametrize(
        "api_url",
        ["https://airflow.example.com/execution/", "http://[::1]:8080/execution/", "http://127.0.0.2/execution/"],
    )
    def test_tls_and_the_way_to_this_machine_are_well(self, examine, api_url):
        assert examine(api_url=api_url) == {}

    def test_a_plugin_that_does_not_refuse_is_an_error(self, examine):
        found = examine(probe=lambda api_url: Probed(is_proved=False, explanation="it answered HTTP 404."))
        assert found["server.plugin"].severity.value == "error"
        assert found["server.plugin"].what == "plugin: not proved: it answered HTTP 404."
        assert "--apps execution" in found["server.plugin"].cure

    def test_a_plugin_that_does_not_fit_its_airflow_is_an_error(self, examine):
        probed = Probed(is_proved=False, is_installed=True, explanation="Airflow 3.2.2: expected a function.")
        found = examine(probe=lambda api_url: probed)
        assert set(found) == {"server.plugin"}
        assert found["server.plugin"].what == "plugin: not proved: Airflow 3.2.2: expected a function."
        assert "release of airflow-provider-exclusive that supports" in found["server.plugin"].cure

    def test_a_machine_that_cannot_ask_is_told_where_to_ask(self, make_facts):
        probe = Probed(is_proved=False, was_asked=False, explanation="this process has nothing to sign with.")
        report = command.examine(
            make_facts(options={"public_key": public_half(make_key("a"))}, probe=lambda api_url: probe)
        )
        assert (report.exit_code, report.count(Severity.WARNING)) == (0, 1)
        (found,) = [finding for finding in report.findings if finding.name == "plugin"]
        assert found.what == "plugin: cannot be checked from here: this process has nothing to sign with."
        assert "where the API server or a scheduler runs" in found.cure

    @pytest.mark.parametrize("failure", [ImportError("no module"), TimeoutError(), ConfigurationError("no secret")])
    def test_a_probe_that_fails_proves_nothing(self, examine, failure):
        def probe(api_url):
            raise failure

        assert examine(probe=probe)["server.plugin"].severity.value == "error"

    @pytest.mark.parametrize("held", [frozenset(), frozenset({"0" * 32})], ids=["none", "another"])
    def test_an_api_server_without_this_key_is_an_error_naming_both(self, make_facts, examine, held):
        facts = make_facts(probe=lambda api_url: Probed(is_proved=True, key_ids=held))
        found = examine(facts)
        assert set(found) == {"server.keys"}
        assert found["server.keys"].severity.value == "error"
        assert facts.keys.key_id in found["server.keys"].what
        assert ("0" * 32 if held else "none") in found["server.keys"].what

    def test_a_workers_public_key_fits_the_servers_private_key(self, examine):
        options = {"public_key": public_half(make_key("a"))}
        assert examine(options=options) == {}

    def test_the_probe_goes_where_the_workers_go(self, examine):
        asked = []

        def probe(api_url):
            asked.append(api_url)
            return Probed(is_proved=True)

        examine(api_url="https://airflow.example.com/execution/", probe=probe)
        assert asked == ["https://airflow.example.com/execution/"]


class TestHealthy:
    def test_one_machine_with_nothing_configured_raises_no_alarm(self, examine, tmp_path):
        assert examine() == {}
        assert [path for path in Path(tmp_path, "exclusive").rglob("*") if path.is_file()] == []

    @pytest.mark.parametrize(
        "options",
        [
            {"private_key": make_key("a")},
            {"private_key": f"{make_key('a')},{make_key('b')}", "public_key": public_half(make_key("a"))},
            {"public_key": public_half(make_key("a"))},
        ],
        ids=["a private key", "a pair in rotation", "a hardened worker"],
    )
    def test_no_way_to_hold_keys_raises_an_alarm(self, examine, options):
        assert examine(options=options) == {}

    @pytest.mark.parametrize(
        ("options", "opens"),
        [
            ({}, "could open every value by itself"),
            ({"private_key": make_key("a")}, "could open every value by itself"),
            ({"public_key": public_half(make_key("a"))}, "opens no values by itself"),
        ],
        ids=["fernet key", "private key", "public key"],
    )
    def test_it_says_what_a_worker_with_these_keys_could_open(self, make_facts, options, opens):
        (finding,) = [
            finding for finding in command.examine(make_facts(options=options)).findings if finding.name == "opens"
        ]
        assert opens in finding.what

    def test_no_key_is_in_the_report(self, make_facts, conf):
        private = make_key("a")
        report = str(command.examine(make_facts(options={"private_key": private})).to_json())
        assert private not in report
        assert conf.options["core", "fernet_key"] not in report


class TestReport:
    def test_only_an_error_fails_the_command(self, make_facts):
        warned = command.examine(make_facts(options={"audit": "off"}))
        assert (warned.exit_code, warned.to_json()["warnings"]) == (0, 1)
        failed = command.examine(make_facts(backend_modules=frozenset()))
        assert (failed.exit_code, failed.to_json()["errors"]) == (1, 1)

    def test_the_text_ends_with_the_counts_each_in_its_number(self, make_facts, capsys):
        command._print(command.examine(make_facts(options={"audit": "off"}, backend_modules=frozenset())))
        assert "\n1 error, 1 warning, " in capsys.readouterr().out
        command._print(command.examine(make_facts(options={"audit": "denied"})))
        assert "\n0 errors, 0 warnings, " in capsys.readouterr().out

    def test_json_has_the_same_keys_for_every_finding(self, make_facts):
        document = command.examine(make_facts()).to_json()
        assert list(document) == ["errors", "warnings", "findings"]
        assert {tuple(finding) for finding in document["findings"]} == {("severity", "area", "name", "what", "cure")}
