"""
Read what a triggered run was handed: :data:`exclusive_input` in a Dag, :func:`get_exclusive_input` in code.

A value is pulled when the task that needs it runs, not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Final

from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions._internal.mixins import ResolveMixin

from airflow_provider_exclusive.access.hand_over import Source, Withdrawn, has_pointer
from airflow_provider_exclusive.exceptions import HandOverError, HandOverWithdrawnError, InvalidScopeError
from airflow_provider_exclusive.execution_time import dag_runs, running_task
from airflow_provider_exclusive.execution_time.failures import failing_without_retry
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.scopes.source_line import naming_the_line

REQUIRED: Final[Any] = object()
"""The default of an input without one: the run must have been handed it."""

_test_values: ContextVar[Mapping[str, Any]] = ContextVar("exclusive_input_test_values")


class ExclusiveInput(ResolveMixin):
    """
    An output that this run was handed under ``name``; a task receives its value like that of an XComArg.

    :param default: the value if the run was not handed ``name``.
    :raises InvalidScopeError: if ``name`` is not a non-empty text.
    """

    @naming_the_line()
    def __init__(self, name: str, default: Any = REQUIRED) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidScopeError(
                f"exclusive_input({name!r}): invalid name; expected a name from exclusive_keys, such as 'rows'."
            )
        self.name = name
        self.default = default

    def iter_references(self) -> Iterable[tuple[BaseOperator, str]]:
        """Return nothing: no task of this Dag produces the value."""
        return ()

    def resolve(self, context: Any) -> Any:  # noqa: ARG002  # Airflow's signature
        """Return the value; see :func:`get_exclusive_input`."""
        return get_exclusive_input(self.name, self.default)

    @naming_the_line()
    def __getitem__(self, key: Any) -> Any:
        """Refuse to select a part of the value, which an XComArg of multiple outputs allows."""
        raise InvalidScopeError(
            f"{self!r}[{key!r}]: an input is handed over as a whole. Hand that part over under another name, or select "
            "it in the task that receives the input."
        )

    def __repr__(self) -> str:
        # The serialized Dag contains it, so it must be the same each time the file is parsed.
        return f"exclusive_input({self.name!r})"


class _ExclusiveInputs:
    def __call__(self, name: str, default: Any = REQUIRED) -> ExclusiveInput:
        """
        Return a placeholder for what this run was handed under ``name``.

        Use it as an argument like an XComArg: of TaskFlow tasks (also inside lists and dicts), ``.partial(…)``,
        ``op_args`` and every template field. It does not work in ``.expand(…)``, which must know the length beforehand,
        and in ``.map``, ``.zip`` and ``.concat``, which accept only outputs of this Dag: pass it through a task there.

        :param name: the name in ``exclusive_keys`` of the
            :class:`~airflow_provider_exclusive.ExclusiveTriggerDagRunOperator` that triggered the run.
        :param default: the value if the run was not handed ``name``. Without one, the task fails with
            :class:`~airflow_provider_exclusive.exceptions.HandOverError`.
        :raises InvalidScopeError: if ``name`` is not a non-empty text.
        """
        return ExclusiveInput(name, default)

    @contextmanager
    def overriding(self, values: Mapping[str, Any]) -> Iterator[None]:
        """
        Set test values of inputs while the block runs: ``with exclusive_input.overriding({"rows": 3}): dag.test()``.

        :param values: by name of the input.
        """
        with _test_values_being({**_test_values.get({}), **values}):
            yield


exclusive_input: Final = _ExclusiveInputs()


@contextmanager
def _test_values_being(values: Mapping[str, Any]) -> Iterator[None]:
    token = _test_values.set(values)
    try:
        yield
    finally:
        _test_values.reset(token)


def without_test_values() -> AbstractContextManager[None]:
    """Run the block without test values: those of a Dag under test are not for the run that it triggers."""
    return _test_values_being({})


def get_exclusive_input(name: str, default: Any = REQUIRED) -> Any:
    """
    Return what the run of the current task was handed under ``name``; for use in a task's own code.

    :param default: returned if the run was not handed ``name``.
    :raises HandOverError: if it was not handed and has no default, or if the output no longer exists.
    :raises AccessDeniedError: if the record that the run points to does not permit the read.
    :raises ExclusiveError: as any pull.
    """
    test_values = _test_values.get({})
    if name in test_values:
        return test_values[name]
    with failing_without_retry():
        if default is not REQUIRED and name not in _handed(name, _running(name)):
            return default
        return _pull(name, find_source(name))


def find_source(name: str) -> Source:
    """
    Return where the output is stored that this run was handed under ``name``; pulls no value.

    :raises HandOverError: if it was not handed over.
    :raises HandOverWithdrawnError: if the hand-over is withdrawn for now.
    """
    if name in _test_values.get({}):
        raise HandOverError(
            f"The input {name!r} has a test value from exclusive_input.overriding. Test values are not stored, so they "
            "cannot be handed on. Test each Dag separately."
        )
    running = _running(name)
    handed = _handed(name, running)
    if name not in handed:
        raise HandOverError(_not_handed(name, running, sorted(handed)))
    return handed[name]


def _running(name: str) -> RunningTask:
    running = running_task.current()
    if running is None:
        raise HandOverError(
            f"The exclusive input {name!r} was requested outside a running task. Request it in a task, or in a test "
            f"inside 'with exclusive_input.overriding({{{name!r}: …}})'."
        )
    return running


def _handed(name: str, running: RunningTask) -> Mapping[str, Source]:
    own, hand_overs = running.identity, dag_runs.WorkerHandOverLookup(running)
    hand_over = hand_overs.find(own.dag_id, own.run_id)
    if isinstance(hand_over, Withdrawn):
        raise HandOverWithdrawnError(
            f"Run {own.run_id} of {own.dag_id} was not handed {name!r} yet, or no longer: its conf points to the "
            f"hand-over of {hand_over.source}, {hand_over.cure}"
        )
    if hand_over is None and has_pointer(hand_overs.conf_of(own.dag_id, own.run_id)):
        raise HandOverError(
            f"Run {own.run_id} of {own.dag_id} was not handed {name!r}: its conf points to a hand-over record that "
            "does not name this run. Either the conf was written by hand, or the hand-over was withdrawn: the caller "
            "(the task that triggered the run) has triggered another run since. Re-run the caller."
        )
    return {} if hand_over is None else hand_over.sources


def _pull(name: str, source: Source) -> Any:
    value = dag_runs.pull_output(source.at)
    if value is dag_runs.MISSING:
        raise HandOverError(
            f"This run was handed {name!r}, which is the output {source.at}, but that output is missing: its task was "
            f"cleared since then, or pushed nothing. Re-run task {source.at.task_id!r} of that run."
        )
    return value


def _not_handed(name: str, running: RunningTask, names: list[str]) -> str:
    own = running.identity
    handed = f"it was handed {', '.join(map(repr, names))}" if names else "it was handed nothing"
    return (
        f"Run {own.run_id} of {own.dag_id} was not handed {name!r}; {handed}. Trigger it with "
        f"ExclusiveTriggerDagRunOperator(task_id=…, trigger_dag_id={own.dag_id!r}, exclusive_keys={{{name!r}: …}}), or "
        f"write exclusive_input({name!r}, default=…)."
    )
