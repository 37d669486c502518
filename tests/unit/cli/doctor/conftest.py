"""Facts of a healthy deployment on one machine, over a stand-in for Airflow's ``conf``; each test spoils one."""

import base64
import os
from dataclasses import dataclass, replace

import pytest

from airflow_provider_exclusive import config
from airflow_provider_exclusive.cli.doctor import command
from airflow_provider_exclusive.cli.doctor.facts import BACKEND, Facts, _try
from airflow_provider_exclusive.hooks import connections


@dataclass(frozen=True)
class Probed:
    is_proved: bool
    explanation: str = "the API server refused the probe."
    was_asked: bool = True
    is_installed: bool = False
    key_ids: frozenset[str] = frozenset()


class Conf:
    """Airflow's ``conf``, as far as the package reads it."""

    def __init__(self):
        self.options = {("core", "fernet_key"): base64.urlsafe_b64encode(os.urandom(32)).decode()}

    def get(self, section, option, fallback=None):
        return self.options.get((section, option), fallback)

    def getsection(self, section):
        return {option: value for (of, option), value in self.options.items() if of == section}


@pytest.fixture
def conf(monkeypatch, mocker, tmp_path):
    stand_in = Conf()
    mocker.patch.object(config, "_conf", return_value=stand_in)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return stand_in


@pytest.fixture
def make_facts(conf):
    """Read the facts as ``gather`` does; options are those of section ``[exclusive]`` unless dotted."""

    def make(*, options=None, **facts):
        for name, value in (options or {}).items():
            section, _, option = name.rpartition(".")
            conf.options[section or config.SECTION, option] = value
        settings = _try(config.read_settings)
        is_readable = isinstance(settings, config.Settings)
        keys = _try(lambda: config.read_data_keys(settings)) if is_readable else settings
        healthy = Facts(
            settings=settings,
            unknown_options=_try(config.read_unknown_options),
            parse_check=_try(config.read_parse_check),
            keys=keys,
            driver=_try(lambda: connections.create_driver_from_url(settings.storage_url)) if is_readable else settings,
            backend_modules=frozenset({BACKEND, "airflow.sdk.bases.xcom"}),
            executor="LocalExecutor",
            api_url="http://localhost:8080/execution/",
            redaction_error=None,
            probe=lambda api_url: Probed(is_proved=True, key_ids=frozenset({getattr(keys, "key_id", "")})),
        )
        return replace(healthy, **facts)

    return make


@pytest.fixture
def examine(make_facts):
    """Return what the doctor finds that is not ok, as ``{"area.name": finding}``, after :func:`make_facts`."""

    def examine(facts=None, **spoiled):
        report = command.examine(facts or make_facts(**spoiled))
        names = [f"{finding.area}.{finding.name}" for finding in report.findings]
        assert len(set(names)) == len(names)
        return {
            name: finding
            for name, finding in zip(names, report.findings, strict=True)
            if finding.severity.value != "ok"
        }

    return examine
