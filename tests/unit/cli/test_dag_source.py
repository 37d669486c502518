"""A Dag is found among Dag files, and what is not found is named with what comes near it."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from airflow_provider_exclusive.cli.dag_source import load_dag

PARSE_CHECK = "AIRFLOW__EXCLUSIVE__PARSE_CHECK"
DAGBAG, MANAGER = "airflow.dag_processing.dagbag", "airflow.dag_processing.bundles.manager"


class Bundle:
    def __init__(self, name):
        self.name, self.path, self.is_initialized = name, f"/bundles/{name}", False

    def initialize(self):
        self.is_initialized = True


class Airflow:
    """What Airflow finds when it parses: ``dags`` and ``errors`` by folder or file."""

    def __init__(self):
        self.bundles = [Bundle("main"), Bundle("others")]
        self.dags, self.errors, self.parsed = {}, {}, []
        self.failure = None

    def bag(self, dag_folder, bundle_path, bundle_name=None):
        assert bundle_name is None or all(one.is_initialized for one in self.bundles if one.name == bundle_name)
        self.parsed.append((str(dag_folder), str(bundle_path), os.environ[PARSE_CHECK]))
        print("a Dag file prints")
        where = str(dag_folder)
        return SimpleNamespace(dags=self.dags.get(where, {}), import_errors=self.errors.get(where, {}))

    def get_all_dag_bundles(self):
        if self.failure:
            raise self.failure
        return self.bundles


@pytest.fixture(autouse=True)
def airflow(mocker, monkeypatch):
    monkeypatch.delenv(PARSE_CHECK, raising=False)
    airflow = Airflow()
    modules = {
        DAGBAG: SimpleNamespace(BundleDagBag=airflow.bag),
        MANAGER: SimpleNamespace(DagBundlesManager=lambda: airflow),
    }
    mocker.patch.dict(sys.modules, modules)
    return airflow


def failure_of(*args, **kwargs):
    with pytest.raises(SystemExit) as ended:
        load_dag(*args, **kwargs)
    return str(ended.value.code)


# --- what is not found


def test_an_unknown_dag_comes_with_the_nearest(airflow):
    airflow.dags = {"/bundles/main": {"report": object()}, "/bundles/others": {"etl": object()}}
    assert failure_of("reprot") == "There is no Dag 'reprot'; did you mean 'report'?"


def test_an_unknown_dag_comes_with_files_that_failed_to_import(airflow):
    errors = {f"{number}.py": f"Traceback\nValueError: {number}\n" for number in range(7)}
    airflow.errors = {"/bundles/main": errors, "/bundles/others": {"0.py": ""}}
    first, said, *files = failure_of("etl").splitlines()
    assert first == "There is no Dag 'etl'."
    assert "(7 in all)" in said
    assert files == ["  0.py: ", *(f"  {number}.py: ValueError: {number}" for number in range(1, 5))]


def test_an_unknown_bundle_comes_with_the_known_ones():
    assert failure_of("etl", bundle_names=["main", "x"]) == (
        "There is no Dag bundle 'x'; the configured bundles are 'main', 'others'."
    )


def test_without_bundles_none_is_named(airflow):
    airflow.bundles = []
    assert failure_of("etl", bundle_names=["x"]).endswith("the configured bundles are none.")


def test_bundles_that_cannot_be_read_name_the_option(airflow):
    airflow.failure = ZeroDivisionError("no such class")
    message = failure_of("etl")
    assert "ZeroDivisionError: no such class" in message
    assert "dag_bundle_config_list" in message


def test_a_missing_file_is_named(tmp_path):
    assert "There is no file" in failure_of("etl", dag_file=str(tmp_path / "missing.py"))


def test_a_dag_that_is_not_in_the_file_is_missing(airflow, tmp_path):
    file = tmp_path / "etl.py"
    file.touch()
    airflow.dags = {str(file): {"other": object()}, "/bundles/main": {"etl": object()}}
    assert "There is no Dag 'etl'" in failure_of("etl", dag_file=str(file))


# --- what is found


def test_it_looks_in_every_bundle_until_it_finds_the_dag(airflow):
    airflow.dags = {"/bundles/others": {"etl": "the Dag"}}
    assert load_dag("etl") == "the Dag"
    assert [folder for folder, *_ in airflow.parsed] == ["/bundles/main", "/bundles/others"]


def test_it_looks_in_the_named_bundle_only(airflow):
    airflow.dags = {"/bundles/main": {"etl": "another"}, "/bundles/others": {"etl": "the Dag"}}
    assert load_dag("etl", bundle_names=["others"]) == "the Dag"


def test_a_file_is_parsed_without_a_bundle(airflow, tmp_path):
    file = tmp_path / "etl.py"
    file.touch()
    airflow.dags = {str(file): {"etl": "the Dag"}}
    assert load_dag("etl", dag_file=str(file)) == "the Dag"
    assert airflow.parsed == [(str(file), str(tmp_path), "off")]


def test_a_file_of_a_bundle_is_parsed_as_part_of_it(airflow, tmp_path):
    file = tmp_path / "etl.py"
    file.touch()
    airflow.dags = {str(file): {"etl": "the Dag"}}
    assert load_dag("etl", bundle_names=["main"], dag_file=str(file)) == "the Dag"
    assert airflow.parsed == [(str(file), "/bundles/main", "off")]


# --- around it


def test_what_dag_files_print_is_not_part_of_the_answer(airflow, capsys):
    airflow.dags = {"/bundles/main": {"etl": "the Dag"}}
    load_dag("etl")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "a Dag file prints\n")


@pytest.mark.parametrize("before", [None, "error", "off"])
@pytest.mark.parametrize("dag_id", ["etl", "missing"])
def test_the_parse_check_is_off_only_meanwhile(airflow, monkeypatch, before, dag_id):
    if before:
        monkeypatch.setenv(PARSE_CHECK, before)
    airflow.dags = {"/bundles/main": {"etl": "the Dag"}}
    if dag_id == "etl":
        load_dag(dag_id)
    else:
        failure_of(dag_id)
    assert {check for *_, check in airflow.parsed} == {"off"}
    assert os.environ.get(PARSE_CHECK) == before
