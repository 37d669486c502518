"""``{{ exclusive_input("rows") }}``: the name in every Jinja template of this process."""

from __future__ import annotations

import functools
from typing import Any


def prepare() -> None:
    """Make ``exclusive_input`` known in the templates of all Dags, once per process; a Dag's own macros come first."""
    from airflow.sdk import DAG

    original = DAG.get_template_env
    if getattr(original, "knows_exclusive_input", False):
        return

    @functools.wraps(original)
    def get_template_env(self: Any, **kwargs: Any) -> Any:
        environment = original(self, **kwargs)
        environment.globals.setdefault("exclusive_input", _get_input)
        return environment

    get_template_env.knows_exclusive_input = True  # type: ignore[attr-defined]
    DAG.get_template_env = get_template_env  # type: ignore[method-assign]


def _get_input(*args: Any, **kwargs: Any) -> Any:
    from airflow_provider_exclusive.definitions.inputs import get_exclusive_input

    return get_exclusive_input(*args, **kwargs)
