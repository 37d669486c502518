"""What stands behind a worker of the attack table: a supervisor that answers from rows in memory, as Airflow's would."""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import (
    DagRunResult,
    ErrorResponse,
    GetDagRun,
    GetXCom,
    GetXComSequenceSlice,
    XComResult,
    XComSequenceSliceResult,
)

from tests.airflow.attacks_metadata import NOW, Rows
from tests.airflow.attacks_places import Place, Run
from tests.airflow.attacks_world import World, conf_of


class Supervisor:
    """
    Answers ``SUPERVISOR_COMMS.send``.

    :param rows: what lies in the metadata database; nothing is kept back, so every refusal is the worker's own.
    """

    def __init__(self, world: World, rows: Rows) -> None:
        self.confs = {run: conf_of(world, run) for run in world.runs}
        self.xcoms = rows.xcoms

    def send(self, msg: Any) -> Any:
        match msg:
            case GetDagRun():
                return self.dag_run(Run(msg.dag_id, msg.run_id))
            case GetXCom():
                where = self.place(msg, msg.map_index)
                return XComResult(key=msg.key, value=self.xcoms.get((where, msg.key)))
            case GetXComSequenceSlice():
                at = self.place(msg, None)[:3]
                rows = [row for (place, key), row in self.xcoms.items() if place[:3] == at and key == msg.key]
                return XComSequenceSliceResult(root=rows)
        raise AssertionError(f"a worker asked for {type(msg).__name__}")

    def dag_run(self, run: Run) -> DagRunResult:
        if run not in self.confs:
            missing = {"status_code": 404, "message": "Not Found"}
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=missing))
        return DagRunResult(
            dag_id=run.dag,
            run_id=run.run,
            conf=self.confs[run],
            run_type="manual",
            state="running",
            run_after=NOW,
            logical_date=None,
            data_interval_start=None,
            data_interval_end=None,
            start_date=NOW,
            end_date=None,
            consumed_asset_events=[],
            partition_key=None,
        )

    @staticmethod
    def place(msg: Any, map_index: int | None) -> Place:
        index = -1 if map_index is None else map_index
        return Place(msg.dag_id, msg.run_id, msg.task_id, index)
