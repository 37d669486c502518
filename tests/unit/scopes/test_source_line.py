"""Which line of a Dag file an error begins with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_exclusive.exceptions import InvalidScopeError
from airflow_provider_exclusive.scopes import source_line
from airflow_provider_exclusive.scopes.consumers import Consumer, ScopeDeclaration
from airflow_provider_exclusive.scopes.source_line import SourceLine, calling_line, naming_the_line


def only_frames_of(mocker, *modules):
    """Let the caller's line be looked for in frames of these modules, from the innermost outwards."""
    frame = None
    for number, name in enumerate(reversed(modules)):
        code = SimpleNamespace(co_filename=f"/{name}.py")
        frame = SimpleNamespace(f_globals={"__name__": name}, f_code=code, f_lineno=number, f_back=frame)
    mocker.patch.object(source_line, "sys", SimpleNamespace(_getframe=lambda depth: frame))


class TestWhereItIsDeclared:
    def test_without_a_dag_it_is_nowhere(self, mocker):
        only_frames_of(mocker, "airflow.sdk", "contextlib")
        assert calling_line() is None

    def test_the_nearest_frame_of_no_library_counts(self, mocker):
        only_frames_of(mocker, "airflow_provider_exclusive.x", "contextlib", "airflow.sdk", "airflow_dags", "main")
        assert str(calling_line()) == "/airflow_dags.py:1"

    def test_it_reads_as_editors_write_it(self):
        assert str(SourceLine("/dags/etl.py", 7)) == "/dags/etl.py:7"


class TestErrors:
    @pytest.mark.parametrize("fields", [{"task": "a b"}, {"task": "a", "dag": ""}, {"task": "a", "any_run": 1}])
    def test_that_of_a_consumer_begins_with_it(self, fields):
        with pytest.raises(InvalidScopeError) as refusal:
            Consumer(**fields)
        assert str(refusal.value).startswith(f"{__file__}:")
        assert refusal.value.message in str(refusal.value)

    def test_it_is_named_once(self):
        with pytest.raises(InvalidScopeError, match="The scope of key 'rows' is invalid") as refusal, naming_the_line():
            ScopeDeclaration.parse({"rows": ["a b"]})
        assert str(refusal.value).count(__file__) == 1

    def test_without_a_dag_there_is_none(self, mocker):
        mocker.patch.object(source_line, "calling_line", return_value=None)
        with pytest.raises(InvalidScopeError, match=r"^A consumer's task is empty") as refusal:
            Consumer("")
        assert refusal.value.line is None
