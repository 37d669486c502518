"""What the plugin registers with Airflow."""

from __future__ import annotations

from airflow_provider_exclusive.plugins.exclusive import ExclusivePlugin, create_middleware
from airflow_provider_exclusive.server import middleware


def test_one_middleware_is_registered():
    assert ExclusivePlugin.name == "exclusive"
    (entry,) = ExclusivePlugin.fastapi_root_middlewares
    assert entry == {"name": "exclusive", "middleware": create_middleware, "args": [], "kwargs": {}}


def test_it_wraps_the_application(mocker):
    wrap = mocker.patch.object(middleware, "ExclusiveMiddleware")
    app = object()
    assert create_middleware(app) is wrap.return_value
    wrap.assert_called_once_with(app)
