"""``{{ exclusive_input("rows") }}``: the name in every Jinja template of this process."""

from __future__ import annotations

from typing import Any, Final

from airflow_provider_exclusive.compat.replace import Function, Replacement, replace_functions


def prepare() -> None:
    """
    Make ``exclusive_input`` known in the templates of all Dags, once per process; a Dag's own macros come first.

    Guarded by row 41 of ``docs/airflow-facts.md``.

    :raises UnsupportedAirflowError: if this Airflow's Dag does not make the environment of its templates.
    """
    from airflow.sdk import DAG

    replace_functions(DAG, _REPLACEMENTS)


def _wrap_template_env(original: Function) -> Function:
    def get_template_env(self: Any, **kwargs: Any) -> Any:
        environment = original(self, **kwargs)
        environment.globals.setdefault("exclusive_input", _get_input)
        return environment

    return get_template_env


def _get_input(*args: Any, **kwargs: Any) -> Any:
    from airflow_provider_exclusive.definitions.inputs import get_exclusive_input

    return get_exclusive_input(*args, **kwargs)


_REPLACEMENTS: Final = {"get_template_env": Replacement(_wrap_template_env, ("self",), accepts_others=True)}
