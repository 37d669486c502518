"""README and docs say what the code does: examples, tables, messages, tests and commands that they name exist."""

import ast
import configparser
import dataclasses
import inspect
import os
import re
import sqlite3
import subprocess
import time
import tomllib
from functools import cache
from pathlib import Path

import pytest
from airflow.sdk import Connection

from airflow_provider_exclusive import __all__ as public_names
from airflow_provider_exclusive import config, exceptions
from airflow_provider_exclusive.get_provider_info import get_provider_info
from airflow_provider_exclusive.hooks import connections
from airflow_provider_exclusive.storage import object_storage
from airflow_provider_exclusive.storage.files import FilesDriver
from airflow_provider_exclusive.storage.redis.driver import RedisSettings
from benchmarks import results, tables

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")
OPERATIONS = (DOCS / "operations.md").read_text(encoding="utf-8")
ERRORS = (DOCS / "errors.md").read_text(encoding="utf-8")
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", ".github/SECURITY.md", "tests/README.md")),
    ROOT / "tests" / "vectors" / "README.md",
    *sorted(DOCS.rglob("*.md")),
]
PYTHON = [
    pytest.param(source, id=f"{page.name}-{number}")
    for page in (ROOT / "README.md", DOCS / "scopes.md", DOCS / "hand-over.md", DOCS / "testing.md")
    for number, source in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    )
]
GAP = "…"


def table(page: str, first_column: str) -> list[list[str]]:
    """Return the cells of the one table whose heading begins with ``first_column``."""
    (body,) = re.findall(rf"^\| {first_column} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page, flags=re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in body.splitlines()]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


@cache
def definitions(path: Path) -> set[str]:
    """Return the tests of a file as pytest calls them, ``test_x`` or ``TestY::test_x``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return functions | {
        f"{group.name}::{node.name}" for group in classes for node in group.body if isinstance(node, ast.FunctionDef)
    }


def template(node: ast.AST) -> str | None:
    """Return a text of the source with a gap for each placeholder, or None if ``node`` is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    return "".join(map(_part, node.values))


def _part(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return config.SECTION if ast.unparse(node.value) == "SECTION" else GAP


@cache
def templates() -> list[str]:
    files = (ROOT / "airflow_provider_exclusive").rglob("*.py")
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return [text for node in nodes if (text := template(node)) is not None]


def is_said(message: str) -> bool:
    """Return whether a text of the package begins like ``message``, a gap of which stands for anything."""
    pattern = re.compile(".*".join(map(re.escape, message.split(GAP))), flags=re.DOTALL)
    return any(pattern.match(text) for text in templates())


def public_errors() -> set[str]:
    return {name for name, item in vars(exceptions).items() if inspect.isclass(item)}


class TestFigures:
    @pytest.mark.parametrize(
        ("page", "make"),
        [
            ("docs/performance.md", tables.speed_ups),
            ("docs/performance.md", tables.latencies),
            ("docs/performance.md", tables.backends),
        ],
        ids=["speed-ups", "latencies", "backends"],
    )
    def test_a_page_shows_what_was_measured(self, page, make):
        assert make(results.read_published()) in (ROOT / page).read_text(encoding="utf-8")

    def test_the_readme_rounds_what_was_measured(self):
        measured = results.read_published()["stacks"]
        cost = {  # of this provider in relation to Airflow's own backend, with files and in Redis
            (value, direction): [
                ours / own
                for own, ours in (results.medians(measured[stack]["payloads"][value][direction]) for stack in "de")
            ]
            for value, found in measured["e"]["payloads"].items()
            if not found["refusals"]
            for direction in results.DIRECTIONS
        }
        small = [cost.pop((value, way)) for value in ("text-64", "text-10k") for way in results.DIRECTIONS]
        push, pull = (cost.pop(("text-100k", direction)) for direction in results.DIRECTIONS)
        del cost["rows", "push"], cost["rows", "pull"]  # less than 1 MB
        mapped = measured["e"]["mapped"]

        assert "up to 10 kB take up to a quarter longer" in README
        assert max(map(max, small)) <= 1.25
        assert "100 kB take about as long to push, and a fifth less to pull" in README
        assert [round(ratio, 1) for ratio in (*push, *pull)] == [1.0, 1.0, 0.8, 0.8]
        assert "1 MB or more take less than half the time" in README
        assert max(map(max, cost.values())) < 0.5
        assert "takes 0.3 s instead of 0.05 s or less" in README
        assert [round(mapped[size]["theirs"]["median"], -2) for size in ("64", "2048")] == [300, 300]
        assert [round(mapped[size]["own"]["median"]) for size in ("64", "2048")] == [19, 54]


class TestNames:
    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_every_test_that_a_page_names_exists(self, page):
        named = re.findall(r"(tests/[\w/]+\.py)::([\w:]+)", page.read_text(encoding="utf-8"))
        assert [f"{path}::{name}" for path, name in named if name not in definitions(ROOT / path)] == []

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_every_link_leads_to_a_file_and_a_heading(self, page):
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            if target.startswith("https://"):
                continue
            name, _, anchor = target.partition("#")
            linked = page.parent / name if name else page
            assert linked.is_file(), target
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert not anchor or anchor in {
                re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings
            }

    @pytest.mark.parametrize("folder", [DOCS, DOCS / "decisions"], ids=lambda folder: folder.name)
    def test_each_page_is_in_the_index_of_its_folder(self, folder):
        linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8")))
        assert {page.name for page in folder.glob("*.md")} - {"README.md"} <= linked

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_every_make_target_exists(self, page):
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
        text = page.read_text(encoding="utf-8")
        commands = re.findall(r"`make ([a-z]+)", text) + re.findall(r"^make ([a-z]+)", text, flags=re.MULTILINE)
        assert set(commands) <= targets

    def test_each_security_claim_names_the_tests_that_guard_it(self):
        page = (DOCS / "security.md").read_text(encoding="utf-8")
        evidence = (DOCS / "security-evidence.md").read_text(encoding="utf-8")
        claimed = re.findall(r"^\| ([TS]\d+) \|", page, flags=re.MULTILINE) + re.findall(r"\(([LC]\d+)\)", page)
        shown = re.findall(r"^\| ([A-Z]\d+) \| (.*) \|$", evidence, flags=re.MULTILINE)
        assert len(set(claimed)) == len(claimed) > 50
        assert sorted(claimed) == sorted(claim for claim, _ in shown)
        assert [claim for claim, tests in shown if "::test_" not in tests] == []

    def test_only_advice_about_other_destinations_has_no_test(self):
        page = (DOCS / "security.md").read_text(encoding="utf-8")
        threats, destinations = re.findall(r"^\| claim \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page, flags=re.MULTILINE)
        assert re.findall(r"^\| (?!T\d)", threats, flags=re.MULTILINE) == []
        assert len(re.findall(r"^\| (?!S\d)", destinations, flags=re.MULTILINE)) <= 5

    def test_each_fact_names_the_test_that_guards_it(self):
        page = (DOCS / "airflow-facts.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| \d+ \|.*\|$", page, flags=re.MULTILINE)
        assert len(rows) > 20
        assert [row for row in rows if "::test_" not in row] == []

    def test_each_fact_that_the_code_relies_on_is_guarded(self):
        page = (ROOT / "docs" / "airflow-facts.md").read_text(encoding="utf-8")
        rows = set(re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE))
        compat = (ROOT / "airflow_provider_exclusive" / "compat").glob("*.py")
        named = {
            row for path in compat for row in re.findall(r"Guarded by row (\d+)", path.read_text(encoding="utf-8"))
        }
        assert named
        assert named <= rows


class TestExamples:
    @pytest.mark.parametrize("source", PYTHON)
    def test_they_compile_and_import_public_names_only(self, source):
        compile(source, "example.py", "exec")
        imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        ours = {name.name for node in imports if node.module == "airflow_provider_exclusive" for name in node.names}
        assert ours
        assert ours <= set(public_names)

    def test_the_configuration_names_options_that_there_are(self):
        (ini,) = re.findall(r"^```ini\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
        section = ini.partition("[exclusive]")[2]
        named = {name.removesuffix("_cmd") for name in re.findall(r"^(\w+) =", section, flags=re.MULTILINE)}
        assert named
        assert named <= config.DEFAULTS.keys()
        module, _, name = re.search(r"^xcom_backend = (.*)$", ini, flags=re.MULTILINE)[1].rpartition(".")
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        assert f"class {name}(" in path.read_text(encoding="utf-8")


class TestCommands:
    @pytest.mark.parametrize("page", [README, CONFIGURATION], ids=["README", "configuration"])
    def test_exported_settings_are_those_of_the_readme(self, page):
        exported = dict(re.findall(r"^export AIRFLOW__(\w+)=(.*)$", page, flags=re.MULTILINE))
        (ini,) = re.findall(r"^```ini\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
        parser = configparser.ConfigParser()
        parser.read_string(ini)
        assert {name: value.strip('"') for name, value in exported.items()} == {
            f"{section}__{name}".upper(): value
            for section in parser.sections()
            for name, value in parser[section].items()
        }

    def test_the_connection_is_one_to_redis_with_tls(self):
        (text,) = re.findall(r"^```json\n(.*?)^```", CONFIGURATION, flags=re.DOTALL | re.MULTILINE)
        settings = connections.create_driver(Connection.from_json(text, conn_id="exclusive_default"))._settings
        assert (settings.server, settings.username, settings.ssl) == ("redis.internal:6379", "airflow", True)
        assert settings.ssl_ca_certs.endswith(".pem")
        (url,) = re.findall(r"`(exclusive://\S+ssl=true)`", CONFIGURATION)
        by_url = connections.create_driver(Connection.from_uri(url.replace("host", "redis.internal"), "x"))._settings
        assert (by_url.server, by_url.username, by_url.ssl) == ("redis.internal:6379", "login", True)

    def test_old_files_go_and_all_others_stay(self, tmp_path):
        (commands,) = re.findall(r"^```sh\n(find .*?)^```", OPERATIONS, flags=re.DOTALL | re.MULTILINE)
        driver = FilesDriver(tmp_path / "exclusive")
        for key in ("v1/old/a/1", "v1/mixed/a/1", "v1/mixed/a/2"):
            driver.store(key, b"sealed", ttl_seconds=None)
        expired = time.time() - config.DEFAULTS["ttl_seconds"] - 120
        for key in ("v1/old/a/1", "v1/mixed/a/1"):
            os.utime(driver.root / key, (expired, expired))

        subprocess.run(
            ["sh", "-ec", commands], check=True, env={"AIRFLOW_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        )

        assert [stored.key for stored in driver.scan()] == ["v1/mixed/a/2"]
        assert [path.name for path in (driver.root / "v1").iterdir()] == ["mixed"]
        driver.store("v1/old/a/2", b"sealed", ttl_seconds=None)

    def test_the_query_before_uninstalling_finds_references_by_dag(self):
        (query,) = re.findall(r"```sql\n(.*?)```", OPERATIONS, flags=re.DOTALL)
        database = sqlite3.connect(":memory:")
        database.execute("CREATE TABLE xcom (dag_id, value JSON, timestamp)")
        reference = '{"__exclusive__": "v1: 9 B json in row", "consumers": "load", "sealed": "AAAA"}'
        rows = [("etl", reference, "a"), ("etl", reference, "b"), ("web", '"plain"', "c")]
        database.executemany("INSERT INTO xcom VALUES (?, ?, ?)", rows)
        assert database.execute(query).fetchall() == [("etl", 2, "b")]

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_no_password_is_on_a_command_line(self, page):
        blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        assert [block for block in blocks if re.search(r"password|://\w*:\S+@", block)] == []


class TestTables:
    def test_options_and_defaults_match_the_code_in_order(self):
        shown = [(*quoted(option), default) for option, default, _ in table(CONFIGURATION, "option")]
        assert shown == [
            (name, "empty" if default == "" else str(default)) for name, default in config.DEFAULTS.items()
        ]

    def test_connection_fields_match_the_form_and_client_defaults(self):
        (form,) = get_provider_info()["connection-types"]
        rows = table(CONFIGURATION, "field")
        assert {name for field, _, _ in rows for name in quoted(field)} == {
            *form["conn-fields"], "host", "port", "login", "password", "schema", "db",
        }  # fmt: skip
        shown = {quoted(field)[0]: default.strip("`") for field, default, _ in rows}
        settings = {field.name: field.default for field in dataclasses.fields(RedisSettings)}
        for name in ("key_prefix", "connect_timeout_seconds", "read_timeout_seconds", "deadline_seconds", "retries"):
            assert shown[name] == str(settings[name])
        assert shown["ssl"] == str(settings["ssl"]).lower()
        assert shown["host"].endswith(f", {settings['port']}")

    def test_every_error_is_named_and_nothing_else(self):
        named = set(re.findall(r"\b\w+Error\b", ERRORS))
        assert named == public_errors()

    def test_every_raised_error_has_a_message_a_cause_and_a_cure(self):
        rows = table(ERRORS, "error")
        assert {name for error, *_ in rows for name in quoted(error)} == public_errors() - {"ExclusiveError"}
        assert [row for row in rows if not all(row[1:])] == []

    @pytest.mark.parametrize("message", [said for row in table(ERRORS, "error") for said in quoted(row[1])])
    def test_a_message_begins_as_the_code_says_it(self, message):
        assert len(message.replace(GAP, "")) > 10
        assert is_said(message)

    def test_every_cure_names_the_task_to_clear_or_lets_the_reader_be_told(self):
        cures = [found for text in templates() for found in re.findall(r"[Cc]lear and re-run (.+)", text)]
        assert len(cures) > 15
        assert [cure for cure in cures if not cure.startswith((GAP, "the producer", "task ", "its producer"))] == []

    def test_no_message_installs_what_is_not_published(self):
        assert [text for text in templates() if re.search(r"pip install\W+airflow-provider-exclusive", text)] == []

    def test_what_a_message_installs_is_what_the_extras_install(self):
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
            "optional-dependencies"
        ]
        packages = {re.split("[<>=]", package)[0] for packages in extras.values() for package in packages}
        assert {*object_storage._PROVIDERS.values()} <= {*packages, *map(repr, packages)}

    def test_an_invented_message_would_be_noticed(self):
        assert not is_said("The moon is in the wrong place")
