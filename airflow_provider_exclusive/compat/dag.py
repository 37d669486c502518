"""
What is read off Airflow's Dags and operators, mapped or not, for which no public reader exists.

Airflow keeps the arguments of ``.partial()`` on the mapped operator, a hook under a private name, and chains the hooks
of ``@task.run_if`` in a closure. The guarding tests are in ``docs/airflow-facts.md``, rows 4, 6, 25 and 2 (loops).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final

AIRFLOW_KEYS: Final = {"skipmixin_key": "object", "trigger_run_id": "TriggerDagRunOperator"}
"""
Keys that belong to Airflow itself, each with the class of those tasks whose key it is.

Its scheduler and UI read them raw, so they are never sealed. ``skipmixin_key`` is
``airflow.sdk.bases.skipmixin.XCOM_SKIPMIXIN_KEY``, which Airflow 3.4 writes past every backend, whatever the task;
``trigger_run_id`` is ``XCOM_RUN_ID`` of ``TriggerDagRunOperator``.
"""

_CONTEXT: Final = "airflow.sdk.definitions._internal.contextmanager"
_CONDITIONS: Final = "airflow.sdk.definitions.decorators.condition"


def dag_being_written() -> Any:
    """Return the Dag in whose block the caller is, or None."""
    context = sys.modules.get(_CONTEXT)  # where it is not loaded, there is no Dag
    return context.DagContext.get_current() if context is not None else None


def module_being_parsed() -> ModuleType | None:
    """Return the module that Airflow parses as a Dag file right now, or None."""
    context = sys.modules.get(_CONTEXT)
    name = context.DagContext.current_autoregister_module_name if context is not None else None
    return sys.modules.get(name) if name is not None else None


def is_mapped(task: Any) -> bool:
    """Return whether an operator is expanded into several task instances."""
    return hasattr(task, "partial_kwargs")


def pre_execute_of(task: Any) -> Any:
    """Return the ``pre_execute`` hook of an operator, or None."""
    if is_mapped(task):
        return task.partial_kwargs.get("pre_execute")
    return getattr(task, "_pre_execute_hook", None)


def given_pre_execute(task: Any) -> Any:
    """Return the ``pre_execute`` that an operator was created with, also where its ``__init__`` dropped it."""
    return getattr(task, "_BaseOperator__init_kwargs", {}).get("pre_execute")


def default_pre_execute(task: Any) -> Any:
    """Return the ``pre_execute`` hook that the ``default_args`` of Dag and task groups have for ``task``, or None."""
    group = task.task_group
    return {**task.dag.default_args, **(group.default_args if group is not None else {})}.get("pre_execute")


def chained_hooks(hook: Any) -> Iterator[Any]:
    """Yield the hooks that ``@task.run_if`` or ``@task.skip_if`` calls besides its own condition."""
    if getattr(hook, "__module__", None) != _CONDITIONS:
        return
    for cell in getattr(hook, "__closure__", None) or ():
        if isinstance(cell.cell_contents, tuple):
            yield from cell.cell_contents


def argument_of(task: Any, name: str) -> Any:
    """Return what an operator was given for an argument; None if it has no such argument."""
    if is_mapped(task) and name in task.partial_kwargs:
        return task.partial_kwargs[name]
    # Some arguments of a mapped @task are kept on the mapped operator itself.
    return getattr(task, name, getattr(getattr(task, "operator_class", None), name, None))


def field_of(task: Any, name: str, *, default: Any) -> Any:
    """Return a template field of an operator as its author gave it; ``default`` if it has no such field."""
    return task.partial_kwargs.get(name, default) if is_mapped(task) else getattr(task, name, default)


def template_fields_of(task: Any) -> Iterator[tuple[str, Any]]:
    """Yield the template fields of an operator, mapped or not, as its author gave them, and its mapped arguments."""
    for name in task.template_fields:
        yield name, field_of(task, name, default=None)
    if is_mapped(task):
        yield "expand(…)", task._get_specified_expand_input().value  # noqa: SLF001  # no public reader exists


def set_log(task: Any, log: Any) -> None:
    """Give an operator another logger, for which Airflow has no public way."""
    task._cached_logger = log  # noqa: SLF001


def set_hook_log(hook: Any, log: Any) -> None:
    """Give a hook another logger, for which Airflow has no public way."""
    hook._log = log  # noqa: SLF001


def decorator_of(task: Any) -> str | None:
    """Return the name of the TaskFlow decorator that made an operator, such as ``@task.bash``, or None."""
    name: str | None = getattr(getattr(task, "operator_class", task), "custom_operator_name", None)
    return name


def inputs_of(task: Any) -> Iterator[tuple[Any, str]]:
    """Yield operator and key of the outputs that reach ``task`` as XComArgs: in fields, or as mapped arguments."""
    if is_mapped(task):
        yield from references_in(task.partial_kwargs)
        yield from task._get_specified_expand_input().iter_references()  # noqa: SLF001  # no public reader exists
    else:
        yield from references_in(task)


def references_in(argument: Any) -> Iterator[tuple[Any, str]]:
    """Yield operator and key of every output that an argument, or a whole operator, refers to."""
    from airflow.sdk.definitions.xcom_arg import XComArg

    yield from XComArg.iter_xcom_references(argument)


def names_of(outputs: Any) -> dict[tuple[str, str], str]:
    """Return the names under which a mapping such as ``exclusive_keys`` has outputs, by task id and key."""
    named: dict[tuple[str, str], str] = {}
    for name, output in outputs.items() if isinstance(outputs, Mapping) else ():
        for producer, key in references_in(output):
            named.setdefault((producer.task_id, key), str(name))
    return named


def downstream_of(task: Any) -> set[str]:
    """
    Return the ids of the direct downstream tasks of ``task``, which ``DOWNSTREAM`` stands for.

    Airflow 3.4 makes readers outside a loop depend on the loop's gate rather than on the task they read, so for a task
    in a loop the tasks that take its output as an argument are added.
    """
    if not is_in_loop(task):
        return set(task.downstream_task_ids)
    readers = {
        reader.task_id
        for reader in task.dag.tasks
        if any(producer.task_id == task.task_id for producer, _ in inputs_of(reader))
    }
    return readers | set(task.downstream_task_ids)


def is_in_loop(task: Any) -> bool:
    """Return whether ``task`` is in a loop of Airflow 3.4, in which each iteration has outputs of its own."""
    group = task.task_group
    while group is not None and not hasattr(group, "gate_task_id"):
        group = group.parent_group
    return group is not None


def is_airflows_own(key: str | None, task: Any) -> bool:
    """Return whether ``task`` pushes ``key`` for Airflow's scheduler or UI: one of these, or an operator link."""
    if key in AIRFLOW_KEYS:
        kinds = getattr(task, "operator_class", type(task)).__mro__
        return AIRFLOW_KEYS[key] in {kind.__name__ for kind in kinds}
    return key in {link.xcom_key for link in getattr(task, "operator_extra_links", ())}
