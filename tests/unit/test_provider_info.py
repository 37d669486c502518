"""Provider metadata against Airflow's own schema; a mistake in it would break every ``airflow`` command."""

import ast
import json
import re
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest

from airflow_provider_exclusive import config
from airflow_provider_exclusive.get_provider_info import get_provider_info
from airflow_provider_exclusive.hooks import extras

DISTRIBUTION = "airflow-provider-exclusive"
MODULE = Path(find_spec("airflow_provider_exclusive.get_provider_info").origin)
SCHEMA = Path(find_spec("airflow").origin).with_name("provider_info.schema.json")
INFO = get_provider_info()
OPTIONS = INFO["config"]["exclusive"]["options"]
(CONNECTION_TYPE,) = INFO["connection-types"]
FIELDS = CONNECTION_TYPE["conn-fields"]
PYTHON_TYPES = {"string": str, "integer": int, "boolean": bool}


def keys_of(node):
    """Return every key of nested dictionaries, except the names of connection fields."""
    if isinstance(node, list):
        return {key for item in node for key in keys_of(item)}
    if not isinstance(node, dict):
        return set()
    return set(node) | {key for item in node.values() for key in keys_of(item)}


class TestModule:
    def test_it_has_no_import_statement(self):
        tree = ast.parse(MODULE.read_text(encoding="utf-8"))
        assert [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))] == []

    def test_running_it_in_a_bare_interpreter_loads_no_module(self):
        program = (
            "import sys; before = set(sys.modules); space = {};"
            f"exec(compile(open({str(MODULE)!r}, encoding='utf-8').read(), 'get_provider_info.py', 'exec'), space);"
            "info = space['get_provider_info']();"
            "print(info['package-name'], sorted(set(sys.modules) - before))"
        )
        done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [DISTRIBUTION, "[]"]

    def test_each_call_returns_a_new_dictionary(self):
        first = get_provider_info()
        first["config"]["exclusive"]["options"].clear()
        assert get_provider_info() == INFO


def test_the_documentation_is_that_of_the_repository():
    (integration,) = INFO["integrations"]
    urls = dict(url.split(", ") for url in metadata.metadata(DISTRIBUTION).get_all("Project-URL"))
    assert integration["external-doc-url"] == f"{urls['Source']}/tree/main/docs"


class TestAgainstAirflow:
    def test_the_installed_schema_refuses_a_missing_default(self):
        # So that the next test cannot pass by a schema that lets everything through.
        broken = get_provider_info()
        del broken["config"]["exclusive"]["options"]["audit"]["default"]
        with pytest.raises(jsonschema.ValidationError, match="'default' is a required property"):
            jsonschema.validate(broken, json.loads(SCHEMA.read_text(encoding="utf-8")))

    def test_it_is_valid_by_the_installed_schema(self):
        jsonschema.validate(INFO, json.loads(SCHEMA.read_text(encoding="utf-8")))

    def test_a_task_decorator_has_the_key_that_airflow_reads(self):
        assert [set(decorator) for decorator in INFO["task-decorators"]] == [{"name", "class-name"}]


class TestDistribution:
    def test_the_package_name_is_the_canonical_distribution_name(self):
        name = metadata.distribution("airflow_provider_exclusive").name
        assert INFO["package-name"] == re.sub(r"[-_.]+", "-", name).lower() == DISTRIBUTION

    def test_the_entry_points_are_these_and_no_other(self):
        points = metadata.distribution(DISTRIBUTION).entry_points
        assert {(point.group, point.name, point.value) for point in points} == {
            (
                "apache_airflow_provider",
                "provider_info",
                "airflow_provider_exclusive.get_provider_info:get_provider_info",
            ),
            ("airflow.policy", "exclusive", "airflow_provider_exclusive.plugins.cluster_policy"),
            ("airflow.plugins", "exclusive", "airflow_provider_exclusive.plugins.exclusive:ExclusivePlugin"),
            ("pytest11", "exclusive", "airflow_provider_exclusive.testing.pytest_plugin"),
        }

    def test_the_entry_point_of_the_provider_leads_to_this_metadata(self):
        (point,) = metadata.distribution(DISTRIBUTION).entry_points.select(group="apache_airflow_provider")
        assert point.load()() == INFO


class TestOptions:
    def test_the_only_section_has_the_options_that_the_code_reads(self):
        assert set(INFO["config"]) == {config.SECTION}
        assert list(OPTIONS) == list(config.DEFAULTS)

    @pytest.mark.parametrize("name", OPTIONS)
    def test_each_option_has_every_key_that_airflow_needs_to_start(self, name):
        required = {"description", "version_added", "type", "example", "default"}
        assert set(OPTIONS[name]) - {"sensitive"} == required
        assert OPTIONS[name]["description"].endswith(".")
        assert re.fullmatch(r"\d+\.\d+\.\d+", OPTIONS[name]["version_added"])

    @pytest.mark.parametrize("name", OPTIONS)
    def test_the_default_of_each_is_that_of_the_code(self, name):
        default, coded = OPTIONS[name]["default"], config.DEFAULTS[name]
        assert isinstance(default, str)
        assert default == str(coded)
        assert PYTHON_TYPES[OPTIONS[name]["type"]] is type(coded)

    def test_both_keys_are_sensitive_so_cmd_and_secret_forms_work(self):
        assert {name for name, option in OPTIONS.items() if option.get("sensitive")} == {"public_key", "private_key"}

    def test_no_example_or_default_of_a_key_can_be_used_as_one(self):
        assert [OPTIONS[name][key] for name in ("public_key", "private_key") for key in ("example", "default")] == [
            None, "", None, "",
        ]  # fmt: skip


class TestConnectionType:
    def test_form_keys_are_kebab_case_as_airflow_demands(self):
        form = {"conn-fields": None, "ui-field-behaviour": dict.fromkeys(CONNECTION_TYPE["ui-field-behaviour"])}
        assert [key for key in keys_of(CONNECTION_TYPE | form) if not re.fullmatch(r"[a-z]+(-[a-z]+)*", key)] == []
        assert set(form) < set(CONNECTION_TYPE)

    def test_the_form_offers_what_the_driver_reads(self):
        # The database number has a field of its own in the form: the schema.
        assert set(FIELDS) == set(extras.Extras.model_fields) - {"db"}

    @pytest.mark.parametrize("name", FIELDS)
    def test_form_values_are_read_and_empty_fields_are_allowed(self, name):
        filled, empty = FIELDS[name]["schema"]["type"]
        examples = {"string": "text", "boolean": True, "number": 2.5, "integer": 3}
        assert extras.Extras.model_validate({name: examples[filled]}).model_dump()[name] == examples[filled]
        assert empty == "null"
        assert FIELDS[name]["label"]

    def test_the_extra_field_is_hidden_because_the_form_writes_it(self):
        assert "extra" in CONNECTION_TYPE["ui-field-behaviour"]["hidden-fields"]


class TestNames:
    @pytest.mark.parametrize(
        "path", [CONNECTION_TYPE["hook-class-name"], *(named["class-name"] for named in INFO["task-decorators"])]
    )
    def test_each_class_name_is_defined_where_it_says(self, path):
        module, _, name = path.rpartition(".")
        source = MODULE.parent.parent.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        defined = [node.name for node in ast.parse(source).body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
        assert name in defined

    def test_each_module_of_hooks_is_there(self):
        modules = [module for hook in INFO["hooks"] for module in hook["python-modules"]]
        assert modules == [CONNECTION_TYPE["hook-class-name"].rpartition(".")[0]]

    def test_integration_names_refer_to_an_existing_one(self):
        (integration,) = INFO["integrations"]
        assert {hook["integration-name"] for hook in INFO["hooks"]} == {integration["integration-name"]}
