"""``@exclusive_task``: ``@task`` with a consumer scope, also registered as ``@task.exclusive``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk.bases.decorator import TaskDecorator, task_decorator_factory

from airflow_provider_exclusive.definitions.consumers import create_hook, naming_the_line
from airflow_provider_exclusive.exceptions import InvalidScopeError


class _ExclusiveDecoratedOperator(_PythonDecoratedOperator):
    """Runs a Python callable whose outputs only their consumers may read."""

    custom_operator_name = "@task.exclusive"

    def __init__(self, **kwargs: Any) -> None:
        if unknown := {"consumers", "codec", "mask"} & kwargs.keys():
            raise InvalidScopeError(
                f".override({unknown.pop()}=…) is not supported. Write .override(pre_execute=consumers(…)), which "
                "replaces the scope of the task."
            )
        super().__init__(**kwargs)


def exclusive_task(
    python_callable: Any = None,
    multiple_outputs: bool | None = None,  # noqa: FBT001  # the signature of Airflow's own @task
    *,
    consumers: Any = None,
    codec: str | None = None,
    mask: bool = False,
    pre_execute: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> TaskDecorator:
    """
    Wrap a function into a task whose outputs are exclusive.

    :param python_callable: the function to decorate; or the scope, as in ``@exclusive_task("load")``.
    :param multiple_outputs: as in ``@task``: also push each entry of a returned dict under its own key.
    :param consumers: who may read: a clause, a list of clauses, or a mapping from key to either (see
        :func:`airflow_provider_exclusive.consumers`). None means the direct downstream tasks.
    :param codec: ``"cloudpickle"`` to request it, if ``[exclusive] allow_cloudpickle`` is on.
    :param mask: whether the texts in the outputs are masked in the logs of this task and its consumers (see
        :func:`airflow_provider_exclusive.consumers`).
    :param pre_execute: your hook, run after the scope is set.
    :param kwargs: any argument of ``@task``.
    :raises InvalidScopeError: if ``consumers`` is not a valid scope.
    """
    if python_callable is not None and not callable(python_callable):
        # As in consumers("load"), the scope may come first.
        if consumers is not None:
            raise InvalidScopeError(
                f"@exclusive_task got two scopes: {python_callable!r} and consumers={consumers!r}. Write one of them."
            )
        python_callable, consumers = None, python_callable
    hook = create_hook(consumers, then=pre_execute, codec=codec, mask=mask, inherits=True)

    def decorate(function: Callable[..., Any]) -> TaskDecorator:
        with naming_the_line():
            _require_function(function)
        return task_decorator_factory(
            python_callable=function,
            multiple_outputs=multiple_outputs,
            decorated_operator_class=_ExclusiveDecoratedOperator,
            pre_execute=hook,
            **kwargs,
        )

    return cast("TaskDecorator", decorate) if python_callable is None else decorate(python_callable)


def _require_function(function: Any) -> None:
    """
    Refuse a function that is a task already.

    Airflow copies the attributes of the inner decorator over those of the outer one, so the scope would be lost without
    an error (fact 32).
    """
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not getattr(inner, "_airflow_is_task_decorator", False):
        return
    name = getattr(inner, "__name__", "the function")
    if getattr(inner, "is_setup", False) or getattr(inner, "is_teardown", False):
        kind = "setup" if inner.is_setup else "teardown"
        cure = f"Swap the two decorators: @{kind} above @exclusive_task"
    else:
        kind = getattr(getattr(inner, "operator_class", None), "custom_operator_name", "@task").removeprefix("@")
        cure = "Write one scope" if kind == "task.exclusive" else f"Write @{kind}(pre_execute=consumers(…)) alone"
    raise InvalidScopeError(
        f"{name!r} is a task already, by @{kind}. The scope of @exclusive_task above it would be lost. {cure}."
    )
