"""
Scopes that a Dag file writes and gives to no task.

A hook does not know whether an operator got it. So the hooks that ``consumers(…)`` makes are remembered while a file is
parsed, with the Dag in whose block they were made, and compared with those that are on tasks afterwards.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from airflow_provider_exclusive.compat.dag import dag_being_written, module_being_parsed
from airflow_provider_exclusive.definitions import source
from airflow_provider_exclusive.scopes.source_line import SourceLine

_REMEMBERED: Final = 10_000
_ARGUMENT: Final = "pre_execute"


@dataclass(frozen=True, slots=True)
class _Written:
    """
    A hook that was made.

    :param dag: in whose block, if in one.
    :param module: that was being parsed as a Dag file, if one was.
    """

    hook: weakref.ref[Any]
    declared_at: SourceLine
    dag: weakref.ref[Any] | None
    module: weakref.ref[ModuleType] | None

    def belongs_to(self, dag: Any) -> bool:
        """Return whether it was made in the block of ``dag``, or in its file and in the block of no Dag."""
        if self.dag is not None:
            return self.dag() is dag
        module = self.module() if self.module is not None else None
        # A file that is parsed again makes another module.
        is_current = module is not None and sys.modules.get(module.__name__) is module
        return is_current and self.declared_at.path == dag.fileloc


_written: deque[_Written] = deque(maxlen=_REMEMBERED)


def remember(hook: Any) -> None:
    """Remember a hook that was made while a Dag was written."""
    dag, module = dag_being_written(), module_being_parsed()
    if hook.declared_at is not None and (dag is not None or module is not None):
        of_dag, of_module = (None if one is None else weakref.ref(one) for one in (dag, module))
        _written.append(_Written(weakref.ref(hook), hook.declared_at, of_dag, of_module))


def lost_in(dag: Any, used: Iterable[SourceLine | None]) -> list[SourceLine]:
    """
    Return the lines on which a scope is written that no task was given.

    :param dag: an ``airflow.sdk.DAG``.
    :param used: the lines of the scopes that its tasks were given.
    """
    found = set(used)
    lost = [one for one in _written if one.declared_at not in found and one.belongs_to(dag)]
    return list(dict.fromkeys(one.declared_at for one in lost if not _is_given(one)))


def _is_given(written: _Written) -> bool:
    """
    Return whether something holds the hook as its ``pre_execute``.

    That may be a task of another Dag, ``default_args`` or a decorated function that no Dag has called.
    """
    hook = written.hook()
    if hook is not None and any(_gives(holder, hook) for holder in gc.get_referrers(hook)):
        return True
    # A decorated function that was never called is no task, and may be gone by now.
    return source.gives_decorator(written.declared_at.path, written.declared_at.line, _ARGUMENT)


def _gives(holder: Any, hook: Any) -> bool:
    if isinstance(holder, tuple):  # a hook that @task.run_if chains
        return True
    is_namespace = isinstance(holder, dict) and "__name__" in holder
    return isinstance(holder, dict) and not is_namespace and holder.get(_ARGUMENT) is hook
