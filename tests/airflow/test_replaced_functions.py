"""The functions of Airflow that the plugin gives another body: all of them as expected, or none is touched."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import airflow
import pytest
from airflow.api_fastapi.execution_api.routes import xcoms

from airflow_provider_exclusive.compat import replace
from airflow_provider_exclusive.server.install import attach

NAMES = ["has_xcom_access", "get_xcom", "get_mapped_xcom_by_index", "get_mapped_xcom_by_slice", "set_xcom"]
ROOT = SimpleNamespace(routes=[SimpleNamespace(path="/execution")])


async def a_coroutine(dag_id, run_id, task_id, map_index, key, session, value, xcom_key, request, token): ...


def fewer_parameters(dag_id): ...


@pytest.fixture
def untouched(monkeypatch):
    """Airflow's functions as if no plugin had been here, and what their code was."""
    for name in NAMES:
        # mock cannot give a function its code back, nor delete what is there: pytest can do both.
        function = getattr(xcoms, name)
        monkeypatch.setattr(function, "__code__", replace.original_of(function).__code__)
        monkeypatch.delattr(function, replace._MARK, raising=False)
        monkeypatch.delattr(xcoms, f"{replace._MARK}_{name}", raising=False)
    return {name: getattr(xcoms, name).__code__ for name in NAMES}


@pytest.mark.parametrize(
    "changed", [a_coroutine, fewer_parameters, None, 3], ids=["coroutine", "parameters", "missing", "no function"]
)
@pytest.mark.parametrize("name", NAMES)
def test_a_changed_airflow_is_left_alone_and_logged(untouched, mocker, caplog, name, changed):
    mocker.patch.object(xcoms, name, changed)

    why = attach(ROOT)

    mocker.stopall()
    assert {name: getattr(xcoms, name).__code__ for name in NAMES} == untouched
    seam = f"airflow.api_fastapi.execution_api.routes.xcoms.{name}("
    assert why.startswith(f"Airflow {airflow.__version__}: expected the plain function {seam}")
    assert f"could not attach to the execution API ({why})" in caplog.text


def test_an_api_server_without_the_execution_api_is_reported(untouched, caplog):
    assert attach(SimpleNamespace(routes=[]))
    assert {name: getattr(xcoms, name).__code__ for name in NAMES} == untouched
    assert "started without the execution API" in caplog.text


def test_what_runs_instead_has_the_signature_that_fastapi_read(untouched):
    signatures = {name: inspect.signature(getattr(xcoms, name)) for name in NAMES}

    assert attach(ROOT) is None

    assert {name: getattr(xcoms, name).__code__ for name in NAMES} != untouched
    assert {name: inspect.signature(getattr(xcoms, name)) for name in NAMES} == signatures
    assert attach(ROOT) is None, "a second server of this process attaches to the same functions"
