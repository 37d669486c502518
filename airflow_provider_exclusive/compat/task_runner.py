"""What is private, or differs by version, in the process that runs a task."""

from __future__ import annotations

from functools import cache

from airflow_provider_exclusive.compat.replace import Create, Replacement, replace_functions


def wrap_recorders(*, rendered_fields: Create, map_index: Create, wait: Create) -> None:
    """
    Wrap the functions that give Airflow what it stores about a task.

    A task can wait for a person since Airflow 3.3. Guarded by row 22 of ``docs/airflow-facts.md``.

    :param rendered_fields: for the one that returns the template fields of a ``task`` as they will be shown.
    :param map_index: for the one that renders the label of a map index.
    :param wait: for those that take down with which arguments a task will resume.
    :raises UnsupportedAirflowError: if one of them is not as expected; then none is wrapped.
    """
    from airflow.sdk.execution_time import task_runner

    replace_functions(task_runner, _recorders(rendered_fields, map_index, wait))


@cache
def _recorders(rendered_fields: Create, map_index: Create, wait: Create) -> dict[str, Replacement]:
    from airflow.sdk import exceptions

    recorders = {
        "_serialize_rendered_fields": Replacement(rendered_fields, ("task",)),
        "_render_map_index": Replacement(map_index, ("context", "ti", "log")),
        "_defer_task": Replacement(wait, ("defer", "ti", "log")),
    }
    if hasattr(exceptions, "TaskAwaitingInput"):
        recorders["_await_input_task"] = Replacement(wait, ("awaiting", "ti", "log"))
    return recorders
