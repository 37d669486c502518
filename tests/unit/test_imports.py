"""
What imports what, as far as it shows without Airflow; ``integration/test_installation.py`` imports the rest with it.

Airflow imports this package half-way through importing ``airflow.sdk``, and Dag processors parse Dags all day long: an
import too many costs correctness there and time here.
"""

import ast
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.programs import output_of

PACKAGE = Path(find_spec("airflow_provider_exclusive").origin).parent
CORE = [
    "exceptions", "format.canonical", "scopes.scope", "scopes.consumers", "format.reference", "crypto.keyring",
    "access.decision", "access.hand_over", "store", "config", "execution_time.running_task", "storage.base",
    "storage.object_keys", "storage.files", "storage.redis.driver", "storage.redis.errors", "codecs.base",
    "codecs.msgpack.codec", "codecs.arrow.codec", "codecs.cloudpickle", "hooks.connections",
    "get_provider_info",
]  # fmt: skip
ADVERTISED = {"airflow", "redis", "pyarrow", "pandas", "polars", "numpy", "fsspec", "upath", "boto3"}


def imported_at_load(path):
    """Return the modules that loading a file imports, leaving out functions and ``if TYPE_CHECKING``."""
    todo, found = list(ast.parse(path.read_text(encoding="utf-8")).body), set()
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo += node.orelse
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            todo += ast.iter_child_nodes(node)
    return found


def modules_after(*names):
    program = f"import sys, json, importlib; [importlib.import_module(n) for n in {names!r}]; print(json.dumps(list(sys.modules)))"
    return set(json.loads(output_of(program)))


def test_the_package_itself_loads_nothing_else():
    assert imported_at_load(PACKAGE / "__init__.py") == {
        "__future__", "__future__.annotations",
        "importlib", "importlib.import_module",
        "typing", "typing.Any", "typing.TYPE_CHECKING",
    }  # fmt: skip


@pytest.mark.parametrize("room", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_a_room_loads_nothing_by_itself(room):
    loaded = imported_at_load(PACKAGE / room / "__init__.py")
    assert {name.partition(".")[0] for name in loaded} <= {"__future__", "importlib", "typing"}


def test_the_core_loads_no_airflow_client_or_data_library():
    loaded = modules_after(*(f"airflow_provider_exclusive.{name}" for name in CORE))
    assert {f"airflow_provider_exclusive.{name}" for name in CORE} <= loaded
    assert {name.partition(".")[0] for name in loaded} & ADVERTISED == set()


def test_declaring_a_scope_loads_no_store_and_no_cryptography():
    loaded = modules_after("airflow_provider_exclusive.definitions.hook")
    ours = {name for name in loaded if name.startswith("airflow_provider_exclusive.")}
    assert not {name for name in ours if ".store" in name or ".storage" in name or ".codecs" in name}
    assert {name.partition(".")[0] for name in loaded} & (ADVERTISED | {"cryptography", "msgpack"}) == set()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_loads_a_heavy_library_before_it_is_needed(path):
    heavy = {"redis", "pyarrow", "pandas", "polars", "numpy", "fsspec", "upath", "boto3", "cloudpickle"}
    assert {name.partition(".")[0] for name in imported_at_load(path)} & heavy == set()


def test_only_what_is_for_tests_imports_pytest():
    of_tests = {PACKAGE / "storage" / "testing.py", PACKAGE / "testing" / "pytest_plugin.py"}
    for path in set(PACKAGE.rglob("*.py")) - of_tests:
        source = path.read_text(encoding="utf-8")
        assert "import pytest" not in source
        assert "storage.testing" not in source


def test_the_plugin_that_pytest_always_loads_loads_nothing_else():
    loaded = modules_after("pytest", "airflow_provider_exclusive.testing.pytest_plugin") - modules_after("pytest")
    assert {name for name in loaded if not name.startswith("airflow_provider_exclusive")} & ADVERTISED == set()
    ours = {name for name in loaded if name.startswith("airflow_provider_exclusive")}
    room = "airflow_provider_exclusive.testing"
    assert ours == {"airflow_provider_exclusive", room, f"{room}.pytest_plugin"}


def reached_from(*names):
    """Return every module that loading these imports, through our own modules but not into others."""
    todo, seen = [f"{PACKAGE.name}.{name}" for name in names], set()
    while todo:
        name = todo.pop()
        path = PACKAGE.joinpath(*name.split(".")[1:])
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name not in seen:
            seen.add(name)
            todo += imported_at_load(path) if name.startswith(PACKAGE.name) and path.is_file() else []
    return seen


@pytest.mark.parametrize(
    "module", ["definitions.inputs", "operators.trigger_dagrun", "definitions.templates", "decorators.exclusive"]
)
def test_dag_file_imports_load_no_store_codec_or_cryptography(module):
    seen = reached_from(module)
    assert {
        f"{PACKAGE.name}.definitions.hook",
        f"{PACKAGE.name}.execution_time.dag_runs",
        f"{PACKAGE.name}.{module}",
    } & seen
    rooms = {name.split(".")[1] for name in seen if name.startswith(f"{PACKAGE.name}.")}
    assert rooms & {"store", "storage", "codecs", "wiring", "crypto", "config", "hooks", "server"} == set()
    assert {name.partition(".")[0] for name in seen} & (ADVERTISED - {"airflow"} | {"cryptography", "msgpack"}) == set()


def test_the_backend_loads_nothing_that_airflow_sdk_lacks_yet():
    seen = reached_from("xcom.backend")
    assert "airflow_provider_exclusive.xcom.pull" in seen
    assert {name for name in seen if ".decorators" in name or ".parse_check" in name} == set()
    assert {name for name in seen if name.startswith("airflow.")} <= {
        "airflow.sdk.bases.xcom", "airflow.sdk.bases.xcom.BaseXCom",
        "airflow.sdk.bases.hook", "airflow.sdk.bases.hook.BaseHook",
    }  # fmt: skip
