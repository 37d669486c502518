"""``@exclusive_task``: ``@task`` with a consumer scope, also registered as ``@task.exclusive``."""

from __future__ import annotations

import functools
import reprlib
from collections.abc import Callable
from typing import Any, cast

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk.bases.decorator import TaskDecorator, task_decorator_factory

from airflow_provider_exclusive.definitions.hook import create_hook
from airflow_provider_exclusive.exceptions import InvalidScopeError
from airflow_provider_exclusive.scopes.source_line import naming_the_line


class _ExclusiveDecoratedOperator(_PythonDecoratedOperator):
    """Runs a Python callable whose outputs only their consumers may read."""

    custom_operator_name = "@task.exclusive"

    def __init__(self, **kwargs: Any) -> None:
        with naming_the_line():
            if unknown := {"consumers", "codec", "mask", "then"} & kwargs.keys():
                raise InvalidScopeError(
                    f".override({unknown.pop()}=…) is not supported. Write .override(pre_execute=consumers(…)), which "
                    "replaces the scope of the task."
                )
        super().__init__(**kwargs)


def exclusive_task(
    *clauses: Any,
    python_callable: Callable[..., Any] | None = None,
    multiple_outputs: bool | None = None,
    consumers: Any = None,
    codec: str | None = None,
    mask: bool = False,
    pre_execute: Callable[..., Any] | None = None,
    then: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> TaskDecorator:
    """
    Wrap a function into a task whose outputs are exclusive.

    :param clauses: the scope, as in ``@exclusive_task("load")``, see :func:`airflow_provider_exclusive.consumers`. Or,
        as in ``@task``, the function to decorate, which may be followed by ``multiple_outputs``.
    :param python_callable: the function to decorate.
    :param multiple_outputs: as in ``@task``: also push each entry of a returned dict under its own key.
    :param consumers: the scope in one argument: a clause, a list of clauses, or a mapping from key to either. None
        means the direct downstream tasks.
    :param codec: ``"cloudpickle"`` to request it, if ``[exclusive] allow_cloudpickle`` is on.
    :param mask: whether the texts in the outputs are masked in the logs of this task and its consumers (see
        :func:`airflow_provider_exclusive.consumers`).
    :param pre_execute: your hook, run after the scope is set.
    :param then: the same, as in :func:`airflow_provider_exclusive.consumers`.
    :param kwargs: any argument of ``@task``.
    :raises InvalidScopeError: if the scope is not valid.
    """
    if clauses and callable(clauses[0]) and python_callable is None:
        python_callable, *clauses = clauses  # type: ignore[assignment]  # a list is as good as a tuple here
        if len(clauses) == 1 and isinstance(clauses[0], bool):
            multiple_outputs, clauses = clauses[0], ()
    with naming_the_line():
        spec = _only_one("scopes", clauses[0] if len(clauses) == 1 else list(clauses) or None, consumers)
        hook = _only_one("hooks", then, pre_execute)
    scope = create_hook(spec, then=hook, codec=codec, mask=mask, inherits=True)

    def decorate(function: Callable[..., Any]) -> TaskDecorator:
        with naming_the_line():
            _require_function(function)
        return task_decorator_factory(
            python_callable=function,
            multiple_outputs=multiple_outputs,
            decorated_operator_class=_ExclusiveDecoratedOperator,
            pre_execute=scope,
            **kwargs,
        )

    return cast("TaskDecorator", decorate) if python_callable is None else decorate(python_callable)


def _only_one(what: str, first: Any, second: Any) -> Any:
    if first is not None and second is not None:
        raise InvalidScopeError(f"@exclusive_task got two {what}: {first!r} and {second!r}. Write one of them.")
    return second if first is None else first


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
        if not hasattr(inner, "__name__"):
            raise InvalidScopeError(
                f"@exclusive_task got {reprlib.repr(inner)}; expected a function, or a scope such as 'load'."
            )
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
