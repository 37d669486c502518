from __future__ import annotations

import os

import pytest

from tests import services

pytest.register_assert_rewrite("airflow_provider_exclusive.storage.testing")


@pytest.fixture(scope="session", autouse=True)
def _airflow_home(tmp_path_factory):
    """Keep Airflow, which some of these tests import, out of the home directory of whoever runs them."""
    if "AIRFLOW_HOME" not in os.environ:
        os.environ["AIRFLOW_HOME"] = str(tmp_path_factory.mktemp("airflow"))


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory):
    return services.make_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def redis_server():
    with services.redis_server() as server:
        yield server
