"""Parse and locate the outputs that an operator hands over from this Dag, or collects from the triggered one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow.sdk.definitions._internal.contextmanager import DagContext
from airflow.sdk.definitions.xcom_arg import PlainXComArg, XComArg

from airflow_provider_exclusive.access.hand_over import Source
from airflow_provider_exclusive.definitions.hook import find_hook
from airflow_provider_exclusive.definitions.inputs import REQUIRED, ExclusiveInput, find_source
from airflow_provider_exclusive.exceptions import HandOverError, InvalidScopeError
from airflow_provider_exclusive.execution_time import dag_runs
from airflow_provider_exclusive.scopes.consumers import RETURN_KEY
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.scopes.source_line import naming_the_line

_PAIR = 2


@naming_the_line()
def parse_keys(spec: Any, *, dag: Any = None) -> dict[str, PlainXComArg | ExclusiveInput]:
    """
    Parse ``exclusive_keys`` as a Dag author writes it.

    :param dag: the Dag that the task is given; None means the one that is being defined.
    :raises InvalidScopeError: if it is not a mapping from names to outputs of existing tasks.
    """
    if spec is None:
        return {}
    if not isinstance(spec, Mapping):
        raise InvalidScopeError(
            f"exclusive_keys must be a mapping from names in the triggered run to outputs, such as "
            f"{{'rows': extract.output}}; got {spec!r} of type {type(spec).__name__}."
        )
    dag = dag or DagContext.get_current()
    return {_check_name("exclusive_keys", name): _parse_output(name, output, dag) for name, output in spec.items()}


@naming_the_line()
def parse_collect(spec: Any) -> dict[str, tuple[str, str]]:
    """
    Parse ``collect`` as a Dag author writes it.

    :return: pairs of task id and key, by name.
    :raises InvalidScopeError: if it is not a mapping from names to task ids or pairs.
    """
    if spec is None:
        return {}
    if not isinstance(spec, Mapping):
        raise InvalidScopeError(
            f"collect must be a mapping from names to task ids of the triggered Dag, such as "
            f"{{'summary': 'summarise'}}; got {spec!r} of type {type(spec).__name__}."
        )
    return {_check_name("collect", name): _parse_pair("collect", name, where) for name, where in spec.items()}


def locate(output: PlainXComArg | ExclusiveInput, trigger: Any, ti: Any) -> Source:
    """
    Return where an output is stored that ``trigger``, the running operator, hands over; pulls nothing.

    :param ti: its running task instance.
    :raises HandOverError: if it is an input that this run was not handed.
    """
    if isinstance(output, ExclusiveInput):
        return find_source(output.name)
    operator = output.operator
    at = Coordinate(ti.dag_id, ti.run_id, operator.task_id, _map_index(operator, trigger, ti), output.key)
    return Source(at, is_exclusive=find_hook(operator) is not None)


def collect_one(name: str, where: tuple[str, str], *, dag_id: str, run_id: str, ti: Any) -> Any:
    """
    Pull one result of the triggered run; of a mapped task, the list of all.

    :raises HandOverError: if it is missing.
    :raises AccessDeniedError: if its scope does not permit the caller, which is this task.
    """
    task_id, key = where
    value = dag_runs.pull_result(Coordinate(dag_id, run_id, task_id, key=key))
    if value is dag_runs.MISSING:
        states = (ti.get_task_states(dag_id=dag_id, task_ids=[task_id], run_ids=[run_id]) or {}).get(run_id) or {}
        mapped = [name for name in states if re.fullmatch(rf"{re.escape(task_id)}_\d+", name)]
        found = sorted({str(states[one]) for one in (task_id, *mapped) if one in states})
        why = "does not exist, or was mapped over an empty list. Name a task of that Dag that runs each time"
        if found:
            why = (
                f"is {' and '.join(map(repr, found))} and has not pushed {key!r}. Collect an output that the task "
                "pushes in every run, or fix that run and clear this task"
            )
        raise HandOverError(f"collect={{{name!r}: …}}: task {task_id!r} of {dag_id} (run {run_id}) {why}.")
    return value


def _map_index(operator: Any, trigger: Any, ti: Any) -> int | None:
    if hasattr(operator, "partial_kwargs"):
        return None
    group = operator.get_closest_mapped_task_group()
    if group is None:
        return -1
    # Inside one mapped task group, each instance hands over the output of its sibling, as Airflow's XComArgs do.
    return int(ti.map_index) if trigger.get_closest_mapped_task_group() is group else None


def _parse_output(name: str, output: Any, dag: Any) -> PlainXComArg | ExclusiveInput:
    if isinstance(output, ExclusiveInput) and output.default is not REQUIRED:
        raise InvalidScopeError(
            f"exclusive_keys[{name!r}] is an exclusive_input(…) with a default. Defaults are not stored, so they "
            f"cannot be handed on. Write exclusive_input({output.name!r}) here, and the default in the triggered Dag."
        )
    if isinstance(output, (PlainXComArg, ExclusiveInput)):
        return output
    if isinstance(output, XComArg):
        raise InvalidScopeError(
            f"exclusive_keys[{name!r}] combines or maps outputs (.map, .zip, .concat). Only an output itself can be "
            "handed over, because no value is copied. Hand over its parts, or the output of a task that combines them."
        )
    task_id, key = _parse_pair("exclusive_keys", name, output)
    if dag is None or not dag.has_task(task_id):
        known = ", ".join(map(repr, sorted(dag.task_ids)[:8])) if dag is not None else "no Dag"
        raise InvalidScopeError(
            f"exclusive_keys[{name!r}] names task {task_id!r}, which is not defined yet; defined so far: {known}. "
            "Define it before this operator, or pass its output."
        )
    return PlainXComArg(dag.get_task(task_id), key)


def _parse_pair(argument: str, name: str, where: Any) -> tuple[str, str]:
    pair = (where, RETURN_KEY) if isinstance(where, str) else where
    if (
        not isinstance(pair, (tuple, list))
        or len(pair) != _PAIR
        or not all(isinstance(part, str) and part for part in pair)
    ):
        accepted = "a task id or a pair of task id and key"
        if argument == "exclusive_keys":
            accepted = f"an output of this Dag (an XComArg), {accepted}, or exclusive_input(…)"
        raise InvalidScopeError(
            f"{argument}[{name!r}] is {where!r} of type {type(where).__name__}; expected {accepted}."
        )
    return pair[0], pair[1]


def _check_name(argument: str, name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidScopeError(f"{argument} has the invalid name {name!r}; expected a non-empty text such as 'rows'.")
    return name
