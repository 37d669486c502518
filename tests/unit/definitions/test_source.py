"""What the text of a Dag file says."""

from __future__ import annotations

import ast
import zipfile

import pytest

from airflow_provider_exclusive.definitions import source


@pytest.fixture
def write(tmp_path):
    def write(text, *, encoding="utf-8"):
        path = tmp_path / "etl.py"
        path.write_bytes(text.encode(encoding))
        return str(path)

    return write


class TestParsing:
    def test_a_file_is_parsed_once(self, write):
        path = write("x = 1\n")
        assert source.parse(path) is source.parse(path)

    def test_a_file_that_changed_is_parsed_again(self, write):
        assert ast.unparse(source.parse(write("x = 1"))) == "x = 1"
        assert ast.unparse(source.parse(write("x = 12"))) == "x = 12"

    def test_its_encoding_is_its_own(self, write):
        path = write("# -*- coding: latin-1 -*-\nx = 'ä'\n", encoding="latin-1")
        assert ast.unparse(source.parse(path)) == "x = 'ä'"

    def test_a_file_that_is_not_there_has_no_source(self):
        assert source.parse("<string>") is None

    def test_nor_has_a_zip_file_or_broken_text(self, write, tmp_path):
        with zipfile.ZipFile(tmp_path / "dags.zip", "w") as archive:
            archive.writestr("etl.py", "x = 1")
        assert source.parse(str(tmp_path / "dags.zip")) is None
        assert source.parse(str(tmp_path / "dags.zip" / "etl.py")) is None
        assert source.parse(write("def broken(:\n")) is None


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("@task(pre_execute=consumers('a'))\ndef f(): ...", 1, True),
        ("@task(\n    pre_execute=consumers('a'),\n)\nasync def f(): ...", 2, True),
        ("@task(\n    pre_execute=consumers('a'),\n)\ndef f(): ...", 1, False),
        ("@group(pre_execute=[then(consumers('a'))])\ndef f(): ...", 1, True),
        ("task(pre_execute=consumers('a'))(f)", 1, True),
        ("f.override(pre_execute=consumers('a'))()", 1, True),
        ("Operator(pre_execute=consumers('a'))", 1, False),
        ("Operator.partial(pre_execute=consumers('a')).expand(x=[1])", 1, False),
        ("@task(post_execute=consumers('a'))\ndef f(): ...", 1, False),
        ("@each([lambda: make(pre_execute=consumers('a'))])\ndef f(): ...", 1, False),
        ("consumers('a')", 1, False),
    ],
)
def test_a_call_that_gives_a_decorator_its_argument(write, text, line, expected):
    assert source.gives_decorator(write(text), line, "pre_execute") is expected


class TestFunctions:
    TEXT = (
        "x = lambda: 1\ny = [lambda: 1, lambda: 2]\n@deco\n@deco(\n  1)\ndef f():\n  def f(): ...\nasync def g(): ..."
    )

    @pytest.mark.parametrize(
        ("name", "line", "found"),
        [("<lambda>", 1, 1), ("<lambda>", 2, 0), ("f", 3, 1), ("f", 6, 0), ("f", 7, 1), ("g", 8, 1), ("h", 8, 0)],
    )
    def test_one_is_found_by_what_its_code_says(self, write, name, line, found):
        assert len(source.functions_of(write(self.TEXT), name, line)) == found

    def test_without_a_source_none_is(self):
        assert source.functions_of("<string>", "f", 1) == []


def test_without_a_source_nothing_is_known():
    assert not source.gives_decorator("<string>", 1, "pre_execute")
