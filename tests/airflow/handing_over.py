"""
Hands outputs from a parent Dag to a child Dag, both run by ``dag.test()``.

The parent triggers a run as ever. If it does not wait for that run, nobody picks it up; ``dag.test()`` then runs the
child under the same run id and with the ``conf`` that the trigger gave it, so whatever was handed to that run was handed
to this one.
"""

from __future__ import annotations

import datetime
import itertools
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.sdk import DAG, task
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_exclusive import get_exclusive_input, wiring
from airflow_provider_exclusive.access.hand_over import RECORD_KEY, HandOver
from airflow_provider_exclusive.access.hand_over_record import open_record
from airflow_provider_exclusive.compat.dag_test import add_dag
from airflow_provider_exclusive.exceptions import ExclusiveError
from airflow_provider_exclusive.format.reference import Reference
from tests.airflow.running import Run

_days = itertools.count()
_FIRST_DAY = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


class Triggered:
    """
    One run of a child Dag, to be triggered with ``**triggered.target`` and then to be ``run()``.

    :param child: the Dag.
    """

    def __init__(self, child: DAG) -> None:
        add_dag(child)
        self.child = child
        self.when = _FIRST_DAY + datetime.timedelta(days=next(_days))
        self.run_id = f"manual__{self.when.isoformat()}"

    @property
    def target(self) -> dict[str, Any]:
        """The arguments of a trigger that lead to this run."""
        return {"trigger_dag_id": self.child.dag_id, "trigger_run_id": self.run_id, "logical_date": self.when}

    @property
    def same_date(self) -> dict[str, Any]:
        """The arguments of ``dag.test()`` that give a run the same run id each time."""
        return {"logical_date": self.when, "run_after": self.when}

    @property
    def dag_run(self) -> DagRun | None:
        """The run as the metadata database knows it; None if nobody triggered it."""
        with create_session() as session:
            wanted = select(DagRun).where(DagRun.dag_id == self.child.dag_id, DagRun.run_id == self.run_id)
            return session.scalars(wanted).one_or_none()

    def run(self, conf: Any = None) -> Run:
        """
        Run it.

        :param conf: instead of the one that its trigger gave it.
        """
        given = self.dag_run.conf if conf is None else conf
        return Run(self.child, **self.same_date, run_conf=given)


class Outcomes(dict):
    """What a task's reads of inputs came to: a value or an error for each name."""

    def task(self, *names: str, **defaults: Any) -> Any:
        """Return a TaskFlow task that reads these inputs, one after the other."""

        @task(trigger_rule="all_done")
        def read():
            for name in (*names, *defaults):
                options = {"default": defaults[name]} if name in defaults else {}
                try:
                    self[name] = get_exclusive_input(name, **options)
                except ExclusiveError as error:
                    self[name] = error

        return read

    def refused(self, name: str, kind: type[ExclusiveError], *fragments: str) -> None:
        """Check that reading ``name`` ended in this error."""
        assert isinstance(self[name], kind), repr(self[name])
        for fragment in fragments:
            assert fragment in str(self[name])


def record_of(run: Run, task_id: str = "hand_over", map_index: int = -1) -> HandOver:
    """Open the hand-over record of a trigger task."""
    reference = Reference.from_row(run.xcom_rows()[task_id, map_index, RECORD_KEY])
    return open_record(reference, keys=wiring.current_store().keys)
