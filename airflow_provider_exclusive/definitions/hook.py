"""
What a Dag declares: :func:`consumers`, and how it is found on a task.

Every operator and decorator of Airflow takes ``pre_execute``. It survives ``.partial().expand()`` and ``default_args``,
and runs in the task's process before its code. The hook that is given to it carries the scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_exclusive.compat.dag import (
    chained_hooks,
    default_pre_execute,
    given_pre_execute,
    pre_execute_of,
)
from airflow_provider_exclusive.definitions import written
from airflow_provider_exclusive.exceptions import ConfigurationError, InvalidScopeError
from airflow_provider_exclusive.execution_time import inner_operators, redaction, running_task
from airflow_provider_exclusive.scopes.consumers import DOWNSTREAM, OutputDeclaration, ScopeDeclaration
from airflow_provider_exclusive.scopes.source_line import SourceLine, calling_line, naming_the_line

CODECS: Final = ("arrow", "classes", "cloudpickle", "msgpack", "serde")
"""What a task may ask for; here, because a Dag is parsed without loading any of them."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ConsumersHook:
    """
    A ``pre_execute`` hook that scopes every output of its task.

    :param declaration: who may read what.
    :param codec: the codec that the task asks for; None chooses by type.
    :param mask: whether the texts in its values are masked in the logs of this task and its consumers.
    :param then: the user's own hook, run afterwards with the same context.
    :param declared_at: where the Dag declares it, for messages.
    :param inherits: whether a hook that ``default_args`` give every task is run where there is no ``then``: the author
        of an ``@exclusive_task`` did not write ``pre_execute=``, and does not mean to replace it.
    """

    declaration: ScopeDeclaration
    codec: str | None = None
    mask: bool = False
    then: Callable[..., Any] | None = field(default=None, repr=False)
    declared_at: SourceLine | None = None
    inherits: bool = False

    @property
    def outputs(self) -> OutputDeclaration:
        """What the running task knows of it."""
        return OutputDeclaration(self.declaration, self.codec, self.mask)

    def __call__(self, context: Any) -> None:
        """Tell this process that its task's outputs are exclusive, then run the user's hook."""
        running = running_task.current()
        if running is None:
            raise InvalidScopeError("consumers(…) is a pre_execute hook: it runs in a task, and none runs here.")
        _require_backend()
        # In dag.test() a process runs several tasks. It must notice when the next one begins: a return value is pushed
        # without a context, and would be taken for a write of this task. Opening a value prepares again, and raises.
        with suppress(ConfigurationError):
            redaction.prepare()
        running.outputs = self.outputs
        redaction.redact_results(context["task"])
        if (then := self._then(context["task"])) is not None:
            _run_hook(then, context)

    def _then(self, task: Any) -> Callable[..., Any] | None:
        if self.then is not None or not self.inherits:
            return self.then
        inherited = default_pre_execute(task)
        hook: Callable[..., Any] | None = inherited.then if isinstance(inherited, ConsumersHook) else inherited
        return hook


def consumers(
    *clauses: Any, then: Callable[..., Any] | None = None, codec: str | None = None, mask: bool = False
) -> ConsumersHook:
    """
    Scope the outputs of any operator: ``PythonOperator(…, pre_execute=consumers("load"))``.

    :param clauses: who may read: task ids or globs, ``"dag:task"``, :class:`~airflow_provider_exclusive.Consumer`,
        ``DOWNSTREAM``; or one mapping from key to a list of these. Nothing at all means ``DOWNSTREAM``.
    :param then: a ``pre_execute`` hook of your own, run afterwards.
    :param codec: ``"cloudpickle"`` to ask for it, where ``[exclusive] allow_cloudpickle`` is on.
    :param mask: whether Airflow shows ``***`` for the texts in the outputs, in the logs of this task once it has pushed
        them, and of each consumer once it has read them.
    :raises InvalidScopeError: if a clause is none of these.
    """
    spec = clauses[0] if len(clauses) == 1 else list(clauses) or DOWNSTREAM
    hook = create_hook(spec, then=then, codec=codec, mask=mask)
    written.remember(hook)
    return hook


def create_hook(
    spec: Any,
    *,
    then: Callable[..., Any] | None = None,
    codec: str | None = None,
    mask: bool = False,
    inherits: bool = False,
) -> ConsumersHook:
    """Build the hook of :func:`consumers` from one scope; ``None`` means ``DOWNSTREAM``."""
    inner_operators.watch(_find_written)
    with naming_the_line():
        declaration = _parse(spec, then=then, codec=codec, mask=mask)
    return ConsumersHook(declaration, codec=codec, mask=mask, then=then, declared_at=calling_line(), inherits=inherits)


def _parse(spec: Any, *, then: Any, codec: str | None, mask: Any) -> ScopeDeclaration:
    if not isinstance(mask, bool):
        raise InvalidScopeError(f"mask={mask!r} is not valid; expected True or False.")
    if then is not None and not callable(then):
        raise InvalidScopeError(
            f"then={then!r} is not callable; expected a pre_execute hook, a function of the context."
        )
    if _find_in(then) is not None:
        raise InvalidScopeError(
            "A task has one scope, and this one would get two: pre_execute=consumers(…) or then=consumers(…) beside "
            "another scope. Name all consumers in one of them."
        )
    if codec is not None and codec not in CODECS:
        raise InvalidScopeError(
            f"codec={codec!r} is not the name of a codec; expected one of {', '.join(map(repr, CODECS))}. Only "
            "'cloudpickle' has to be named; the others are chosen by the value's type."
        )
    return ScopeDeclaration.parse(DOWNSTREAM if spec is None else spec)


def find_hook(task: Any) -> ConsumersHook | None:
    """Return what scopes the outputs of ``task``, an operator, mapped or not; None for a plain task."""
    return _find_in(pre_execute_of(task))


def hooks_around(task: Any) -> Iterator[ConsumersHook]:
    """Yield what was given to ``task``, by itself and by ``default_args``, whether it holds or not."""
    for given in (pre_execute_of(task), given_pre_execute(task), default_pre_execute(task)):
        if (hook := _find_in(given)) is not None:
            yield hook


def _find_written(task: Any) -> ConsumersHook | None:
    """Return the hook that ``task`` was given, also where its ``__init__`` dropped it."""
    return find_hook(task) or _find_in(given_pre_execute(task))


def is_scope(hook: Any) -> bool:
    """Return whether a ``pre_execute`` hook is, or calls, a scope."""
    return _find_in(hook) is not None


def _find_in(hook: Any) -> ConsumersHook | None:
    if isinstance(hook, ConsumersHook):
        return hook
    # A hook that is chained with a condition is still called, so it must still be found.
    return next((found for chained in chained_hooks(hook) if (found := _find_in(chained)) is not None), None)


def _require_backend() -> None:
    from airflow.sdk.exceptions import AirflowFailException
    from airflow.sdk.execution_time.xcom import XCom

    # By name: a Dag file must not load the backend, and with it the store.
    if not any(kind.__module__ == "airflow_provider_exclusive.xcom.backend" for kind in XCom.__mro__):
        raise AirflowFailException(
            "The outputs of this task are exclusive, but [core] xcom_backend is not "
            "airflow_provider_exclusive.xcom.backend.ExclusiveXComBackend: they would be stored in plain text. Set it "
            "in every component of this deployment, or remove the scope."
        )


def _run_hook(hook: Callable[..., Any], context: Any) -> None:
    from airflow.sdk.execution_time.callback_runner import create_executable_runner
    from airflow.sdk.execution_time.context import context_get_outlet_events

    # The same runner that Airflow gives a pre_execute hook: it also drives generators that yield asset metadata.
    create_executable_runner(hook, context_get_outlet_events(context), logger=context["task"].log).run(context)
