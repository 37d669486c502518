"""Open what a run of ``dag.test()`` pushed, and ask who may read an output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_provider_exclusive.cli.output import did_you_mean
from airflow_provider_exclusive.cli.scope_report import describe_key
from airflow_provider_exclusive.compat import dag_test
from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag, DeclaredTask
from airflow_provider_exclusive.format.reference import Reference, is_escaped, is_reference_row
from airflow_provider_exclusive.scopes.consumers import RETURN_KEY
from airflow_provider_exclusive.scopes.identity import CALLER_WORD, TaskIdentity

_UNMAPPED = -1


def result_of(run: Any, task_id: str, key: str = RETURN_KEY, map_index: int | None = None) -> Any:
    """
    Return what a task pushed in a run, exclusive or not, as a permitted reader gets it.

    :param run: what ``dag.test()`` returned, or :func:`triggered_run`.
    :param map_index: of a mapped task; without it, the result is the list of the outputs of all map indexes.
    :raises AssertionError: if the task pushed nothing under ``key``, naming its state and what it pushed.
    :raises ExclusiveError: if the value cannot be opened.
    """
    rows = {row.map_index: row.value for row in _rows(run, task_id, key=key) if map_index in (None, row.map_index)}
    is_one = map_index is not None or set(rows) == {_UNMAPPED}
    if not rows:
        is_one = _require_none_returned(run, task_id, key, map_index)
    values = [_open(rows[index]) for index in sorted(rows)]
    return values if not is_one else values[0] if values else None


def triggered_run(run: Any, task_id: str, dag_id: str, map_index: int | None = None) -> Any:
    """
    Return the run of Dag ``dag_id`` that a trigger task made; if it did not wait for that run, run it now.

    :param map_index: of a mapped trigger task.
    :return: an Airflow ``DagRun``, for :func:`result_of`.
    :raises AssertionError: if the task triggered no run of that Dag, or the Dag is not found.
    """
    run_id = result_of(run, task_id, "trigger_run_id", map_index)
    triggered = dag_test.find_run(dag_id, run_id)
    if triggered is None:
        raise AssertionError(f"Task {task_id!r} triggered run {run_id}, which is no run of Dag {dag_id!r}.")
    if str(triggered.state) != "queued":
        return triggered
    dag, looked = dag_test.find_dag(dag_id)
    if dag is None:
        raise AssertionError(f"Dag {dag_id!r} was not found in: {'; '.join(looked)}. Pass it to add_dag.")
    dag_test.run_triggered(dag, run_id)
    return dag_test.find_run(dag_id, run_id)


def add_dag(dag: Any) -> None:
    """
    Make a Dag known to Airflow that is not in the Dags folder, so that another one can trigger it.

    :raises AirflowClusterPolicyViolation: if the parse check refuses it.
    """
    dag_test.add_dag(dag)


def assert_may_read(dag: Any, producer: str, key: str, reader: str) -> None:
    """
    Assert that the declared scopes let ``reader`` read; no task is run.

    :param dag: an ``airflow.sdk.DAG``.
    :param producer: the id of the task whose output it is.
    :param key: such as ``"return_value"``.
    :param reader: a task id of that Dag, ``"other_dag:task"``, or ``"caller"``.
    :raises AssertionError: if it may not, naming who may; also if there is no such task.
    """
    permitted, who_may = _examine(DeclaredDag.of(dag), producer, key, reader)
    if not permitted:
        raise AssertionError(f"{reader!r} may not read {key!r} of {producer!r}. {who_may}")


def assert_refused(dag: Any, producer: str, key: str, reader: str) -> None:
    """
    Assert that the declared scopes refuse ``reader``; see :func:`assert_may_read`.

    :raises AssertionError: if it may read, naming who may; also if there is no such task.
    """
    permitted, who_may = _examine(DeclaredDag.of(dag), producer, key, reader)
    if permitted:
        raise AssertionError(f"{reader!r} may read {key!r} of {producer!r}. {who_may}")


def _examine(dag: DeclaredDag, producer: str, key: str, reader: str) -> tuple[bool, str]:
    """Return whether ``reader`` may read, and a sentence that says who may."""
    task = _task_of(dag, producer)
    if task.outputs is None:
        return True, f"Task {producer!r} is not exclusive, so every task may. Make it one with @exclusive_task."
    described = describe_key(dag, task, key)
    readers = ", ".join(described.readers) or "nobody"
    declared = f" The scope is declared at {task.declared_at}." if task.declared_at else ""
    return _is_permitted(dag, task, key, reader), f"Besides the producer, it may be read by: {readers}.{declared}"


def _is_permitted(dag: DeclaredDag, task: DeclaredTask, key: str, reader: str) -> bool:
    scope = dag.described_scope_of(task, key)
    if reader == CALLER_WORD:
        return scope.admits_caller
    dag_id, colon, task_id = reader.partition(":")
    if colon and dag_id != dag.dag_id:
        return scope.permits(TaskIdentity(dag_id, dag.identity_of(task_id).run_id, task_id))
    task_id = _task_of(dag, task_id if colon else reader).task_id
    return task_id == task.task_id or scope.permits(dag.identity_of(task_id))


def _task_of(dag: DeclaredDag, task_id: str) -> DeclaredTask:
    if task_id not in dag.tasks:
        raise AssertionError(_no_such_task(f"Dag {dag.dag_id!r}", task_id, dag.tasks))
    return dag.tasks[task_id]


def _no_such_task(where: str, task_id: str, known: Iterable[str]) -> str:
    return f"{where} has no task {task_id!r}{did_you_mean(task_id, known) or f'; it has {sorted(set(known))}.'}"


def _open(row: Any) -> Any:
    from airflow_provider_exclusive.wiring import current_store
    from airflow_provider_exclusive.xcom.pull import plain_value_of

    if not is_reference_row(row) or is_escaped(row):
        return plain_value_of(row)
    reference = Reference.from_answer(row)
    return current_store().get_many([reference], reader=reference.producer)[0]


def _require_none_returned(run: Any, task_id: str, key: str, map_index: int | None) -> bool:
    """
    Return whether one task instance, rather than all of a mapped task, returned None, of which Airflow keeps no row.

    :raises AssertionError: unless that is why there is no row.
    """
    instances = run.get_task_instances()
    if task_id not in (known := {ti.task_id for ti in instances}):
        raise AssertionError(_no_such_task(f"Run {run.run_id} of {run.dag_id}", task_id, known))
    found = [ti for ti in instances if ti.task_id == task_id and map_index in (None, ti.map_index)]
    states = {str(ti.state) for ti in found}
    if key != RETURN_KEY or states != {"success"}:
        pushed = ", ".join(sorted({repr(row.key) for row in _rows(run, task_id)})) or "nothing"
        where = "" if map_index is None else f"[{map_index}]"
        raise AssertionError(
            f"Task {task_id!r}{where} has not pushed {key!r} in run {run.run_id} of {run.dag_id}. It pushed {pushed}; "
            f"its state is {' and '.join(sorted(states)) or 'unknown, because there is no such map index'}."
        )
    return map_index is not None or [ti.map_index for ti in found] == [_UNMAPPED]


def _rows(run: Any, task_id: str, key: str | None = None) -> list[Any]:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    wanted = XComModel.get_many(run_id=run.run_id, key=key, task_ids=task_id, dag_ids=run.dag_id)
    with create_session() as session:
        return list(session.scalars(wanted))
