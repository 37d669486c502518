"""
What is private in ``dag.test()``, which runs one Dag in the calling process; ``airflow tasks test`` runs a task alike.

Neither starts a scheduler, so a run that a task triggers stays queued unless it is run from here. Guarded by row 43
of ``docs/airflow-facts.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from airflow_provider_exclusive.compat.replace import UnsupportedAirflowError

_added: Final[dict[str, Any]] = {}
"""The Dags that tests have added, by Dag id."""


def is_testing() -> bool:
    """Return whether the running task is run by ``dag.test()`` or ``airflow tasks test``."""
    from airflow.sdk.execution_time import task_runner

    # By name, because a worker need not load the supervisor for this.
    return type(getattr(task_runner, "SUPERVISOR_COMMS", None)).__name__ == "InProcessSupervisorComms"


def add_dag(dag: Any) -> None:
    """
    Store a Dag in the metadata database, as the Dag processor would, and remember it for :func:`find_dag`.

    :param dag: an ``airflow.sdk.DAG``, which need not be in a Dag bundle.
    :raises AirflowClusterPolicyViolation: if the parse check refuses it.
    """
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    bundles = _bundle_manager()
    bundles.sync_bundles_to_db()
    bag: Any = BundleDagBag(dag_folder=dag.fileloc, collect_dags=False, bundle_path=Path(dag.fileloc).parent)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, next(iter(bundles.get_all_dag_bundles())).name, None)
    _added[dag.dag_id] = dag


def find_dag(dag_id: str) -> tuple[Any, list[str]]:
    """
    Return a Dag of a test or of a Dag bundle, and where it was looked for: the bundles, with their import errors.

    :return: None in the place of the Dag if there is none.
    """
    if dag_id in _added:
        return _added[dag_id], []
    looked: list[str] = []
    with _outside_the_task():
        for bag in _parse_bundles():
            if dag_id in bag.dags:
                return bag.dags[dag_id], looked
            looked.append(str(bag.dag_folder))
            looked.extend(_describe_errors(bag))
    return None, looked


def dags_beside(dag: Any) -> list[Any]:
    """Return a Dag and the others that its module, or one imported from the same file, has under a name."""
    from airflow.sdk import DAG

    modules = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == dag.fileloc]
    found = {value.dag_id: value for module in modules for value in vars(module).values() if isinstance(value, DAG)}
    return list((found | {dag.dag_id: dag}).values())


def is_in_bundle(dag: Any) -> bool:
    """Return whether the file of a Dag is in a Dag bundle."""
    return any(Path(dag.fileloc).is_relative_to(bundle.path) for bundle in _bundles())


def find_run(dag_id: str, run_id: str) -> Any:
    """Return a run as the metadata database holds it, or None."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return session.scalars(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).one_or_none()


def run_triggered(dag: Any, run_id: str) -> str:
    """
    Run a triggered run of ``dag`` to its end; one that has ended stays as it is.

    ``dag.test()`` would replace the run by one of its own, and run that.

    :return: the state in which it ended.
    :raises UnsupportedAirflowError: if ``dag.test()`` made a run of its own after all.
    """
    from airflow.sdk import timezone

    dagrun: Any = import_module("airflow.models.dagrun")
    original = dagrun.get_or_create_dagrun

    def take_triggered(*, dag: Any, session: Any, **_: Any) -> Any:
        dagrun.get_or_create_dagrun = original
        return _start(dag, run_id, session)

    dagrun.get_or_create_dagrun = take_triggered
    try:
        with _outside_the_task():
            # The date is of no run, so that dag.test() clears none.
            state = str(dag.test(logical_date=timezone.utcnow()).state)
        if dagrun.get_or_create_dagrun is take_triggered:
            raise UnsupportedAirflowError(
                "airflow.models.dagrun.get_or_create_dagrun, which DAG.test() calls", found=None
            )
    finally:
        dagrun.get_or_create_dagrun = original
    return state


def _start(dag: Any, run_id: str, session: Any) -> Any:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import timezone
    from airflow.utils.state import DagRunState
    from sqlalchemy import select

    run = session.scalars(select(DagRun).where(DagRun.dag_id == dag.dag_id, DagRun.run_id == run_id)).one()
    run.dag = dag
    if run.state == DagRunState.QUEUED:
        run.state = DagRunState.RUNNING
        run.start_date = timezone.utcnow()
        session.commit()
    return run


@contextmanager
def _outside_the_task() -> Iterator[None]:
    """Run the block as a scheduler would: without the context and the supervisor of the task that waits."""
    from airflow.sdk.definitions._internal.contextmanager import _CURRENT_CONTEXT
    from airflow.sdk.execution_time.supervisor import set_supervisor_comms

    waiting = _CURRENT_CONTEXT[:]
    _CURRENT_CONTEXT.clear()
    try:
        with set_supervisor_comms(None):
            yield
    finally:
        _CURRENT_CONTEXT[:] = waiting


def _parse_bundles() -> Iterator[Any]:
    from airflow.dag_processing.dagbag import BundleDagBag

    for bundle in _bundles():
        bundle.initialize()
        yield BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)


def _bundles() -> list[Any]:
    return list(_bundle_manager().get_all_dag_bundles())


def _bundle_manager() -> Any:
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    return DagBundlesManager()  # type: ignore[no-untyped-call]  # Airflow's class has no annotations


def _describe_errors(bag: Any) -> Iterator[str]:
    for path, error in sorted(bag.import_errors.items()):
        last_line = (error.strip().splitlines() or [""])[-1]
        yield f"{Path(bag.dag_folder, path)}, which failed to import ({last_line})"
