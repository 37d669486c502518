"""
Checks that a Dag does not contradict its own consumer scopes, when it is parsed.

Each contradiction names both tasks, the key, the line of the declaration and the way to mend it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from airflow_provider_exclusive import config
from airflow_provider_exclusive.definitions.consumers import (
    ConsumersHook,
    argument_of,
    consumers,
    default_pre_execute,
    downstream_of,
    find_hook,
    inputs_of,
    pre_execute_of,
)
from airflow_provider_exclusive.scopes.declaration import DOWNSTREAM, EVERY_KEY, RETURN_KEY, Consumer, ScopeDeclaration
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import ConsumerScope

log = logging.getLogger(__name__)

# Any run will do: at parse time only clauses about tasks can be contradicted.
_SOME_RUN = "parse"


def find_contradictions(dag: Any) -> list[str]:
    """Return what is wrong with the scopes of ``dag``, an ``airflow.sdk.DAG``, one message for each contradiction."""
    hooks = {task.task_id: hook for task in dag.tasks if (hook := find_hook(task)) is not None}
    return [
        *_uncalled_hooks(dag),
        *_dropped_scopes(dag, hooks),
        *_unknown_consumers(dag, hooks),
        *_paths_past_the_backend(dag, hooks),
        *_forbidden_edges(dag, hooks),
    ]


def enforce(dag: Any) -> None:
    """
    Treat the contradictions of ``dag`` as ``[exclusive] parse_check`` says.

    :raises AirflowClusterPolicyViolation: naming all of them, if it says ``error``.
    """
    mode = config.read_parse_check()
    contradictions = find_contradictions(dag) if mode != "off" else []
    if not contradictions:
        return
    message = "\n".join([f"Dag {dag.dag_id!r} ({dag.fileloc}) contradicts its consumer scopes:", *contradictions])
    if mode == "warn":
        log.warning("%s", message)
        return
    from airflow.exceptions import AirflowClusterPolicyViolation

    raise AirflowClusterPolicyViolation(message)


def _uncalled_hooks(dag: Any) -> Iterator[str]:
    for task in dag.tasks:
        if pre_execute_of(task) is consumers:
            yield (
                f"Task {task.task_id!r} has pre_execute=consumers, which lacks its parentheses: write "
                "pre_execute=consumers(…)."
            )


def _dropped_scopes(dag: Any, hooks: dict[str, ConsumersHook]) -> Iterator[str]:
    for task in dag.tasks:
        if task.task_id in hooks:
            continue
        if getattr(getattr(task, "operator_class", task), "custom_operator_name", None) == "@task.exclusive":
            yield (
                f"Task {task.task_id!r} is an @exclusive_task, but .override(pre_execute=…) replaced its scope. Write "
                ".override(pre_execute=consumers(…, then=your_hook))."
            )
        elif isinstance(default_pre_execute(task), ConsumersHook):
            yield (
                f"Task {task.task_id!r} drops the scope that default_args gives every task of its Dag or group: its "
                "own pre_execute (or @task.run_if / @task.skip_if) replaces it. Write "
                "pre_execute=consumers(…, then=your_hook) on the task."
            )


def _unknown_consumers(dag: Any, hooks: dict[str, ConsumersHook]) -> Iterator[str]:
    for task_id, hook in hooks.items():
        for key, consumer in hook.declaration.consumers():
            if not isinstance(consumer, Consumer) or consumer.dag not in (None, dag.dag_id):
                continue
            if not any(fnmatchcase(known, consumer.task) for known in dag.task_ids):
                yield (
                    f"Task {task_id!r} names consumer {consumer.task!r} for {_name_key(key)}, but Dag {dag.dag_id!r} "
                    f"has no such task{_suggestion(consumer.task, dag.task_ids)} ({_place(hook)})."
                )


def _paths_past_the_backend(dag: Any, hooks: dict[str, ConsumersHook]) -> Iterator[str]:
    for task_id, hook in hooks.items():
        if argument_of(dag.get_task(task_id), "end_from_trigger"):
            yield (
                f"Task {task_id!r} has a consumer scope and end_from_trigger=True: its trigger would write XComs "
                "straight into the metadata database, past every XCom backend. Set end_from_trigger=False, or remove "
                f"the scope ({_place(hook)})."
            )


def _forbidden_edges(dag: Any, hooks: dict[str, ConsumersHook]) -> Iterator[str]:
    scopes: dict[tuple[str, str], list[ConsumerScope]] = {}
    for reader in dag.tasks:
        for producer, key in dict.fromkeys(inputs_of(reader)):
            hook, place = hooks.get(producer.task_id), (producer.task_id, key)
            if hook is None or producer.dag_id != dag.dag_id or reader.task_id == producer.task_id:
                continue
            if place not in scopes:  # a Dag may have thousands of readers of one output
                scopes[place] = _scopes_of(hook.declaration, producer, key)
            if not any(scope.permits(_identity(reader)) for scope in scopes[place]):
                yield _forbidden_edge(reader, producer, key, hook)


def _forbidden_edge(reader: Any, producer: Any, key: str, hook: ConsumersHook) -> str:
    what = f"{_name_key(key)} of task {producer.task_id!r}"
    consumer = _identity(reader).named_by(_identity(producer))
    cure = f"Add {consumer} to the consumers of {key!r} in {producer.task_id!r}, or remove"
    if name := _handed_over_as(reader, producer, key):
        return (
            f"Task {reader.task_id!r} hands over {what} as {name!r}, but the consumer scope of that key does not name "
            f"it ({_place(hook)}), and a task can hand over only what it may read itself. {cure} {name!r} from "
            "exclusive_keys."
        )
    return (
        f"Task {reader.task_id!r} takes {what} as input, but the consumer scope of that key does not name it "
        f"({_place(hook)}). {cure} the input."
    )


def _handed_over_as(reader: Any, producer: Any, key: str) -> str | None:
    """Return the name under which ``reader`` hands this output to the run that it triggers, if it does."""
    from airflow.sdk.definitions.xcom_arg import XComArg

    handed = argument_of(reader, "exclusive_keys")
    for name, output in handed.items() if isinstance(handed, Mapping) else ():
        if any((task.task_id, part) == (producer.task_id, key) for task, part in XComArg.iter_xcom_references(output)):
            return str(name)
    return None


def _scopes_of(declaration: ScopeDeclaration, producer: Any, key: str) -> list[ConsumerScope]:
    """Return the scopes of an output, of which one has to permit a reader."""
    resolve = partial(declaration.resolve, producer=_identity(producer), downstream=downstream_of(producer))
    if key != RETURN_KEY or not argument_of(producer, "multiple_outputs"):
        return [resolve(key)]
    if EVERY_KEY in declaration.by_key and RETURN_KEY not in declaration.by_key:
        # Nobody knows yet which keys the whole will have, and only a certain contradiction is an error.
        return [resolve(part) for part in declaration.by_key]
    return [resolve(key, parts=declaration.by_key)]


def _identity(task: Any) -> TaskIdentity:
    return TaskIdentity(task.dag_id, _SOME_RUN, task.task_id)


def _suggestion(unknown: str, task_ids: list[str]) -> str:
    if unknown == repr(DOWNSTREAM):
        return "; for the direct downstream tasks write DOWNSTREAM without quotes"
    if any(task_id.startswith(f"{unknown}.") for task_id in task_ids):
        return f"; it is a task group, whose tasks are {unknown + '.*'!r}"
    near = get_close_matches(unknown, task_ids, n=1)
    if not near:
        near = [task_id for task_id in task_ids if task_id.rpartition(".")[2] == unknown][:1]
    return f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(map(repr, sorted(task_ids)[:8]))}"


def _name_key(key: str) -> str:
    return "every key" if key == "*" else f"key {key!r}"


def _place(hook: ConsumersHook) -> str:
    return f"declared at {hook.declared_at}" if hook.declared_at else "declared elsewhere"
