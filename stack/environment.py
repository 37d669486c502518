"""Environment variables for the processes of a throw-away Airflow."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from stack.processes import HOST

# The user may have another Airflow, whose AIRFLOW__… variables must not leak in.
_KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TMPDIR", "TZ")
_KEPT_PREFIXES = ("HTTP_", "HTTPS_", "PIP_", "REQUESTS_", "SSL_", "UV_", "http_", "https_")


def clean_environment() -> dict[str, str]:
    """Return the few variables of this process that a child needs: to find programs, and to install packages."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    return {**kept, "NO_PROXY": f"{HOST},localhost", "no_proxy": f"{HOST},localhost", "PYTHONUNBUFFERED": "1"}


def airflow_environment(home: Path, *, dags: Path, database: str | None = None) -> dict[str, str]:
    """
    Return the environment of an Airflow in ``home``, enough for the CLI and for ``dag.test()``.

    :param database: SQLAlchemy URL of the metadata database; None is SQLite in ``home``.
    """
    return clean_environment() | {
        "AIRFLOW_HOME": str(home),
        **_options(
            "core",
            dags_folder=str(dags),
            load_examples="False",
            executor="LocalExecutor",
            parallelism="4",
            fernet_key=base64.urlsafe_b64encode(os.urandom(32)).decode(),
            dags_are_paused_at_creation="False",
            simple_auth_manager_all_admins="True",
        ),
        **_options("database", sql_alchemy_conn=database or f"sqlite:///{home / 'airflow.db'}"),
        **_options("logging", base_log_folder=str(home / "logs")),
        **_options("dag_processor", dag_bundle_storage_path=str(home / "bundles")),
    }


def server_options(port: int) -> dict[str, str]:
    """
    Return the additional options of the servers, tuned to react within a second.

    :param port: of the API server.
    """
    url = f"http://{HOST}:{port}"
    return {
        **_options("core", execution_api_server_url=f"{url}/execution/"),
        **_options("api", host=HOST, port=str(port), base_url=url, workers="1", secret_key=secrets.token_urlsafe(32)),
        **_options("api_auth", jwt_secret=secrets.token_urlsafe(64)),
        **_options("scheduler", scheduler_heartbeat_sec="1", scheduler_idle_sleep_time="0.2", job_heartbeat_sec="2"),
        **_options("triggerer", job_heartbeat_sec="2"),
        # Files are parsed again when they change; parsing them more often would only take time from the tasks.
        **_options("dag_processor", refresh_interval="5", min_file_process_interval="600", parsing_processes="2"),
    }


def exclusive_options(options: Mapping[str, str]) -> dict[str, str]:
    """
    Return the options that enable the backend of this package.

    :param options: of section ``[exclusive]``, such as ``{"storage": "file:///data"}``.
    """
    return {
        **_options("core", xcom_backend="airflow_provider_exclusive.xcom.backend.ExclusiveXComBackend"),
        **_options("exclusive", **options),
    }


def _options(section: str, **options: str) -> dict[str, str]:
    return {f"AIRFLOW__{section.upper()}__{option.upper()}": value for option, value in options.items()}
