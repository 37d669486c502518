"""Attaching to an API server: all of it or nothing, and never at the price of a server that does not start."""

from __future__ import annotations

from types import SimpleNamespace

import airflow
import pytest

from airflow_provider_exclusive.compat.replace import UnsupportedAirflowError
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.server import install

EXECUTION_API = SimpleNamespace(routes=[SimpleNamespace(path="/execution"), object()])


@pytest.fixture
def replaced(mocker):
    return mocker.patch.object(install, "replace_xcom_functions")


@pytest.fixture(autouse=True)
def configured(mocker, ring):
    mocker.patch.object(install.config, "read_settings", return_value=SimpleNamespace(audit="denied"))
    return mocker.patch.object(install.config, "read_keyring", return_value=ring)


@pytest.mark.parametrize("routes", [[], [SimpleNamespace(path="/api/v2")], [object()]])
def test_a_server_without_the_execution_api_is_left_alone(replaced, caplog, routes):
    assert install.attach(SimpleNamespace(routes=routes)) is not None
    assert not replaced.called
    assert "started without the execution API" in caplog.text


@pytest.mark.parametrize("failure", [LookupError("changed"), ImportError("gone"), ZeroDivisionError("any")])
def test_a_failure_is_logged_and_lets_the_server_start(replaced, caplog, failure):
    replaced.side_effect = failure
    assert install.attach(EXECUTION_API) is not None
    assert "answers every exclusive value with 503" in caplog.text
    assert str(failure) in caplog.text


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (
            UnsupportedAirflowError("routes.xcoms.get_xcom(dag_id)", found=("dag_id", "run_id")),
            "expected the plain function routes.xcoms.get_xcom(dag_id) in Airflow, found (dag_id, run_id)",
        ),
        (ImportError("cannot import name 'x' from 'airflow.y' (/opt/y.py)", name="airflow.y"), "no module airflow.y"),
        (ConfigurationError("[exclusive] audit = open-sesame"), "ConfigurationError"),
        (ZeroDivisionError("open-sesame"), "ZeroDivisionError"),
    ],
)
def test_the_reason_names_airflow_and_what_does_not_fit(replaced, caplog, failure, why):
    replaced.side_effect = failure
    assert install.attach(EXECUTION_API) == f"Airflow {airflow.__version__}: {why}"
    assert f"could not attach to the execution API (Airflow {airflow.__version__}: {why})" in caplog.text


def test_without_a_private_key_it_still_attaches(replaced, configured, caplog):
    configured.side_effect = ConfigurationError("no private key")
    assert install.attach(EXECUTION_API) is None
    assert "cannot open exclusive values for workers: no private key" in caplog.text


def test_everything_that_touches_an_xcom_is_replaced_at_once(replaced):
    assert install.attach(EXECUTION_API) is None
    ((creates,), _) = replaced.call_args
    assert set(creates) == {
        "has_xcom_access", "get_xcom", "get_mapped_xcom_by_index", "get_mapped_xcom_by_slice", "set_xcom",
    }  # fmt: skip
