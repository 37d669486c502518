import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

import airflow_provider_exclusive
from airflow_provider_exclusive.scopes.consumers import DOWNSTREAM, Consumer
from tests.programs import output_of


def test_an_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="'airflow_provider_exclusive' has no attribute 'exclusive_taks'"):
        _ = airflow_provider_exclusive.exclusive_taks


def test_importing_the_package_imports_nothing_else():
    # Airflow imports it half-way through importing airflow.sdk itself.
    code = (
        "import sys; before = set(sys.modules); import airflow_provider_exclusive; "
        "new = set(sys.modules) - before; "
        "print(sorted(name for name in new if name.startswith('airflow') or name in {'redis', 'cryptography'}))"
    )
    assert output_of(code).strip() == "['airflow_provider_exclusive']"


def test_names_are_the_objects_of_their_home_modules():
    assert airflow_provider_exclusive.Consumer is Consumer
    assert airflow_provider_exclusive.DOWNSTREAM is DOWNSTREAM


@pytest.mark.parametrize(("name", "home"), airflow_provider_exclusive._HOMES.items())
def test_a_home_module_defines_its_name(name, home):
    # Read, not imported: some of them import airflow.sdk.
    body = ast.parse(Path(find_spec(home).origin).read_text(encoding="utf-8")).body
    defined = {getattr(node, "name", None) for node in body}
    defined |= {
        node.target.id for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    assert name in defined


def test_every_public_name_but_the_version_has_a_home():
    assert set(airflow_provider_exclusive.__all__) - {"__version__"} == set(airflow_provider_exclusive._HOMES)


def test_dir_lists_the_public_names():
    assert dir(airflow_provider_exclusive) == sorted(airflow_provider_exclusive.__all__)


def test_the_version_is_one():
    assert airflow_provider_exclusive.__version__.split(".")[0].isdigit()
