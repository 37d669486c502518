"""``@exclusive_task``: ``@task`` with a consumer scope, also registered as ``@task.exclusive``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk.bases.decorator import TaskDecorator, task_decorator_factory

from airflow_provider_exclusive.definitions.consumers import create_hook
from airflow_provider_exclusive.exceptions import InvalidScopeError


class _ExclusiveDecoratedOperator(_PythonDecoratedOperator):
    """Runs a Python callable whose outputs only their consumers may read."""

    custom_operator_name = "@task.exclusive"

    def __init__(self, **kwargs: Any) -> None:
        if unknown := {"consumers", "codec"} & kwargs.keys():
            raise InvalidScopeError(
                f".override({unknown.pop()}=…) is not supported. Write .override(pre_execute=consumers(…)), which "
                "replaces the scope of the task."
            )
        super().__init__(**kwargs)


def exclusive_task(
    python_callable: Callable[..., Any] | None = None,
    multiple_outputs: bool | None = None,  # noqa: FBT001  # the signature of Airflow's own @task
    *,
    consumers: Any = None,
    codec: str | None = None,
    pre_execute: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> TaskDecorator:
    """
    Wrap a function into a task whose outputs are exclusive.

    :param python_callable: the function to decorate.
    :param multiple_outputs: as in ``@task``: also push each entry of a returned dict under its own key.
    :param consumers: who may read: a clause, a list of clauses, or a mapping from key to either (see
        :func:`airflow_provider_exclusive.consumers`). None means the direct downstream tasks.
    :param codec: ``"cloudpickle"`` to request it, if ``[exclusive] allow_cloudpickle`` is on.
    :param pre_execute: your hook, run after the scope is set.
    :param kwargs: any argument of ``@task``.
    :raises InvalidScopeError: if ``consumers`` is not a valid scope.
    """
    if python_callable is not None and not callable(python_callable):
        raise InvalidScopeError(
            f"@exclusive_task({python_callable!r}): expected a function, or keyword arguments only. Write "
            f"@exclusive_task(consumers={python_callable!r})."
        )
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=_ExclusiveDecoratedOperator,
        pre_execute=create_hook(consumers, then=pre_execute, codec=codec, inherits=True),
        **kwargs,
    )
