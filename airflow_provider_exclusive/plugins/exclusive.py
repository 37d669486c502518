"""
The plugin ``exclusive`` (entry point group ``airflow.plugins``): a middleware for the API server.

Every component of Airflow imports this module, so it does not import the server itself.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin


def create_middleware(app: Any) -> Any:
    """Wrap the API server's application; called in the API server only."""
    from airflow_provider_exclusive.server.middleware import ExclusiveMiddleware

    return ExclusiveMiddleware(app)


class ExclusivePlugin(AirflowPlugin):
    """Enforces consumer scopes in the API server."""

    name = "exclusive"
    fastapi_root_middlewares = [  # noqa: RUF012  # as Airflow's plugin class declares it
        {"name": "exclusive", "middleware": create_middleware, "args": [], "kwargs": {}}
    ]
