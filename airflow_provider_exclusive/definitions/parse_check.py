"""
Checks that a Dag does not contradict its consumer scopes, when it is parsed.

Each contradiction names both tasks, the key, the line of the declaration and the fix. The check reads a
:class:`~airflow_provider_exclusive.definitions.declared_dag.DeclaredDag` and nothing of Airflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import TypeVar

from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag, DeclaredTask, Input
from airflow_provider_exclusive.definitions.pulls import Pull
from airflow_provider_exclusive.scopes.consumers import DOWNSTREAM, Consumer
from airflow_provider_exclusive.scopes.scope import ConsumerScope, matches

_Edge = TypeVar("_Edge")


def find_contradictions(dag: DeclaredDag) -> list[str]:
    """Return what is wrong with the scopes of ``dag``, one message for each contradiction."""
    return [
        *_uncalled_hooks(dag),
        *_dropped_scopes(dag),
        *_unused_scopes(dag),
        *_unknown_consumers(dag),
        *_paths_past_the_backend(dag),
        *_forbidden_edges(dag),
    ]


def _uncalled_hooks(dag: DeclaredDag) -> Iterator[str]:
    for task in dag.tasks.values():
        if task.has_uncalled_hook:
            yield (
                f"Task {task.task_id!r} has pre_execute=consumers, which lacks its parentheses: write "
                "pre_execute=consumers(…)."
            )


def _dropped_scopes(dag: DeclaredDag) -> Iterator[str]:
    for task in dag.tasks.values():
        if task.lost_scope:
            yield (
                f"Task {task.task_id!r} is an @exclusive_task, but .override(pre_execute=…) replaced its scope. Write "
                ".override(pre_execute=consumers(…, then=your_hook))."
            )
        elif task.swallowed_by:
            yield (
                f"Task {task.task_id!r} was given a scope by pre_execute=, and {task.swallowed_by}.__init__ does not "
                "pass pre_execute on, so the scope would be lost. Pass it to super().__init__(…)."
            )
        elif task.dropped_scope:
            yield (
                f"Task {task.task_id!r} drops the scope that default_args gives every task of its Dag or group: its "
                "own pre_execute (or @task.run_if / @task.skip_if) replaces it. Write "
                "pre_execute=consumers(…, then=your_hook) on the task."
            )


def _unused_scopes(dag: DeclaredDag) -> Iterator[str]:
    for line in dag.unused_scopes:
        yield (
            f"consumers(…) at {line} is on no task, so nothing gets this scope. Give it to a task by pre_execute=, the "
            "only argument that takes it, or remove it."
        )


def _unknown_consumers(dag: DeclaredDag) -> Iterator[str]:
    for task in dag.exclusive_tasks:
        for key, consumer in task.scope.consumers():
            if not isinstance(consumer, Consumer) or consumer.dag not in (None, dag.dag_id):
                continue
            if not any(matches(known, consumer.task) for known in dag.tasks):
                yield (
                    f"Task {task.task_id!r} names consumer {consumer.task!r} for {_name_key(key)}, but Dag "
                    f"{dag.dag_id!r} has no such task{_suggestion(consumer.task, list(dag.tasks))} ({_place(task)})."
                )


def _paths_past_the_backend(dag: DeclaredDag) -> Iterator[str]:
    for task in dag.exclusive_tasks:
        if task.ends_from_trigger:
            yield (
                f"Task {task.task_id!r} has a consumer scope and end_from_trigger=True: its trigger would write XComs "
                "straight into the metadata database, past every XCom backend. Set end_from_trigger=False, or remove "
                f"the scope ({_place(task)})."
            )


def find_refused_pulls(dag: DeclaredDag, pulls: Sequence[Pull]) -> list[str]:
    """Return which of ``pulls`` would be refused, one message for each; no contradiction, as it may never be made."""
    edges = ((dag.tasks[pull.reader], pull.taken, pull) for pull in pulls)
    return [_refused_pull(dag, reader, producer, pull) for reader, producer, pull in _refused(dag, edges)]


def _refused_pull(dag: DeclaredDag, reader: DeclaredTask, producer: DeclaredTask, pull: Pull) -> str:
    key = pull.taken.key
    return (
        f"Task {reader.task_id!r} pulls {_name_key(key)} of task {producer.task_id!r} in {pull.where}, which would be "
        f"refused: the consumer scope of that key does not name it ({_place(producer)}{_misspelled(key, producer)}). "
        f"{_cure(dag, reader, producer, key)} the pull."
    )


def _forbidden_edges(dag: DeclaredDag) -> Iterator[str]:
    edges = ((reader, taken, taken.key) for reader in dag.tasks.values() for taken in reader.inputs)
    for reader, producer, key in _refused(dag, edges):
        yield _forbidden_edge(dag, reader, producer, key)


def _refused(
    dag: DeclaredDag, edges: Iterable[tuple[DeclaredTask, Input, _Edge]]
) -> Iterator[tuple[DeclaredTask, DeclaredTask, _Edge]]:
    """Yield reader, producer and what else is known of each edge that the scope of its output forbids."""
    scopes: dict[Input, list[ConsumerScope]] = {}
    for reader, taken, edge in edges:
        producer = dag.tasks.get(taken.task_id) if taken.dag_id == dag.dag_id else None
        if producer is None or producer.outputs is None or producer is reader:
            continue
        if taken not in scopes:  # a Dag may have thousands of readers of one output
            scopes[taken] = dag.possible_scopes_of(producer, taken.key)
        if not any(scope.permits(dag.identity_of(reader.task_id)) for scope in scopes[taken]):
            yield reader, producer, edge


def _forbidden_edge(dag: DeclaredDag, reader: DeclaredTask, producer: DeclaredTask, key: str) -> str:
    what = f"{_name_key(key)} of task {producer.task_id!r}"
    cure = _cure(dag, reader, producer, key)
    if name := reader.hands_over.get((producer.task_id, key)):
        return (
            f"Task {reader.task_id!r} hands over {what} as {name!r}, but the consumer scope of that key does not name "
            f"it ({_place(producer)}), and a task can hand over only what it may read itself. {cure} {name!r} from "
            "exclusive_keys."
        )
    return (
        f"Task {reader.task_id!r} takes {what} as input, but the consumer scope of that key does not name it "
        f"({_place(producer)}{_misspelled(key, producer)}). {cure} the input."
    )


def _cure(dag: DeclaredDag, reader: DeclaredTask, producer: DeclaredTask, key: str) -> str:
    consumer = dag.identity_of(reader.task_id).named_by(dag.identity_of(producer.task_id))
    return f"Add {consumer} to the consumers of {key!r} in {producer.task_id!r}, or remove"


def _misspelled(key: str, producer: DeclaredTask) -> str:
    near = [] if key in producer.scope.by_key else _near(key, producer.scope.by_key)
    return f"; it names the key {near[0]!r}, did you mean {key!r}?" if near else ""


def _suggestion(unknown: str, task_ids: Sequence[str]) -> str:
    if unknown == repr(DOWNSTREAM):
        return "; for the direct downstream tasks write DOWNSTREAM without quotes"
    if any(task_id.startswith(f"{unknown}.") for task_id in task_ids):
        return f"; it is a task group, whose tasks are {unknown + '.*'!r}"
    near = _near(unknown, task_ids) or [known for known in task_ids if known.rpartition(".")[2] == unknown][:1]
    # The name of a task in a group has a dot as well, so a near one with a dot is what was meant.
    other = unknown.replace(".", ":", 1) if "." in unknown and not any("." in known for known in near) else None
    if near:
        return f"; did you mean {near[0]!r}" + (f", or for a task of another Dag {other!r}?" if other else "?")
    if other and not any(known.startswith(f"{unknown.partition('.')[0]}.") for known in task_ids):
        return f"; for a task of another Dag write {other!r}"
    return f"; it has {', '.join(map(repr, sorted(task_ids)[:8]))}"


def _near(unknown: str, known: Iterable[str]) -> list[str]:
    """Return the nearest name, whatever its case, or nothing."""
    by_lower_case = {name.lower(): name for name in known}
    return [by_lower_case[near] for near in get_close_matches(unknown.lower(), by_lower_case, n=1)]


def _name_key(key: str) -> str:
    return "every key" if key == "*" else f"key {key!r}"


def _place(task: DeclaredTask) -> str:
    return f"declared at {task.declared_at}" if task.declared_at else "declared elsewhere"
