"""The list of commands, which every ``airflow`` command loads."""

import ast
from importlib.util import find_spec
from pathlib import Path

from airflow_provider_exclusive.get_provider_info import get_provider_info

ROOM = Path(find_spec("airflow_provider_exclusive.cli").origin).parent
TREE = ast.parse((ROOM / "definition.py").read_text(encoding="utf-8"))


def lazy_paths():
    calls = [node for node in ast.walk(TREE) if isinstance(node, ast.Call)]
    return [call.args[0].value for call in calls if getattr(call.func, "id", None) == "lazy_load_command"]


def test_it_imports_nothing_but_airflows_own_list_of_commands():
    modules = {node.module for node in ast.walk(TREE) if isinstance(node, ast.ImportFrom)}
    names = {alias.name for node in ast.walk(TREE) if isinstance(node, ast.Import) for alias in node.names}
    assert modules == {"__future__", "typing", "airflow.cli.cli_config"}
    assert names == set()


def test_the_packages_around_the_commands_load_nothing():
    for path in (ROOM / "__init__.py", ROOM / "doctor" / "__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert [node for node in body if not isinstance(node, ast.Expr)] == []


def test_every_command_is_loaded_only_when_called():
    functions = [
        keyword.value
        for node in ast.walk(TREE)
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "ActionCommand"
        for keyword in node.keywords
        if keyword.arg == "func"
    ]
    assert len(functions) == 4
    assert [ast.unparse(function.func) for function in functions] == ["lazy_load_command"] * 4


def test_every_command_is_defined_where_the_list_says():
    assert len(lazy_paths()) == 4
    for path in lazy_paths():
        module, _, name = path.rpartition(".")
        source = ROOM.parent.parent.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        assert name in [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]


def test_the_provider_metadata_names_the_command_list():
    (path,) = get_provider_info()["cli"]
    module, _, name = path.rpartition(".")
    assert module == "airflow_provider_exclusive.cli.definition"
    assert name in [node.name for node in TREE.body if isinstance(node, ast.FunctionDef)]
