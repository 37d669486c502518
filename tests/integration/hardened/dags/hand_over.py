"""
Outputs handed from run to run: ``ho_parent`` triggers ``ho_child``, which hands on to ``ho_leaf``.

``ho_again`` triggers the same run of ``ho_leaf`` each time it runs. ``ho_thief`` has nothing handed to it and tries.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import comms

from airflow_provider_exclusive import ExclusiveTriggerDagRunOperator, exclusive_input, exclusive_task

START = datetime(2023, 1, 1, tzinfo=UTC)
ROWS = 2000


def frame_of(rows):
    import pandas as pd

    return pd.DataFrame({"number": range(rows), "text": ["text"] * rows})


@dag(start_date=START, schedule=None)
def ho_parent():
    @exclusive_task
    def scalar():
        return "scalar handed over"

    @exclusive_task
    def each(number):
        return number * 10

    @exclusive_task
    def frame():
        return frame_of(ROWS)

    keys = {"scalar": scalar(), "each": each.expand(number=[1, 2, 3]), "frame": frame()}
    waits = ExclusiveTriggerDagRunOperator(
        task_id="waits",
        trigger_dag_id="ho_child",
        conf={"mine": "stays"},
        exclusive_keys=keys,
        collect={"summary": "summarise", "echoes": "echo", "said": "said_below"},
        poke_interval=1,
    )
    defers = ExclusiveTriggerDagRunOperator(
        task_id="defers",
        trigger_dag_id="ho_leaf",
        exclusive_keys=keys,
        collect={"summary": "say"},
        poke_interval=5,  # no sooner, for the scheduler has to hear of the deferral before it ends: see readers.py
        deferrable=True,
    )
    mapped = ExclusiveTriggerDagRunOperator.partial(
        task_id="mapped",
        trigger_dag_id="ho_leaf",
        trigger_run_id="{{ run_id }}-{{ ti.map_index }}",
        exclusive_keys=keys,
        collect={"summary": "say"},
        poke_interval=5,
        deferrable=True,  # one that waits holds a slot of the executor, which the runs below need
    ).expand(note=["first", "second"])

    @task
    def publish(waited, deferred, collected):
        print(json.dumps({"waited": waited, "deferred": deferred, "mapped": list(collected)}))

    publish(waits.output, defers.output, mapped.output)


@dag(start_date=START, schedule=None)
def ho_child():
    @exclusive_task(consumers=["caller"])
    def summarise(scalar, each, frame, dag_run=None):
        return f"{scalar} {each} {frame.equals(frame_of(ROWS))} {dag_run.conf['mine']}"

    @exclusive_task(consumers=["caller"])
    def echo(number):
        return number + 1

    @task
    def numbers(each):
        return list(each)

    below = ExclusiveTriggerDagRunOperator(
        task_id="hand_on",
        trigger_dag_id="ho_leaf",
        exclusive_keys={name: exclusive_input(name) for name in ("scalar", "each", "frame")},
        collect={"summary": "say"},
        poke_interval=1,
    )

    @exclusive_task(consumers=["caller"])
    def said_below(results):
        return results["summary"]

    summarise(exclusive_input("scalar"), exclusive_input("each"), exclusive_input("frame"))
    echo.expand(number=numbers(exclusive_input("each")))
    said_below(below.output)


@dag(start_date=START, schedule=None)
def ho_leaf():
    @exclusive_task(consumers=["caller"])
    def say(scalar, each, frame, author):
        print(f"told {scalar}")
        return f"{scalar} {each} {frame.equals(frame_of(ROWS))} {author}"

    inputs = [exclusive_input(name) for name in ("scalar", "each", "frame")]
    say(*inputs, exclusive_input("author", default="nobody"))


@dag(start_date=START, schedule=None)
def ho_again():
    @exclusive_task
    def scalar(ti=None):
        return f"try {ti.try_number}"

    @exclusive_task
    def frame():
        return frame_of(ROWS)

    ExclusiveTriggerDagRunOperator(
        task_id="trigger",
        trigger_dag_id="ho_leaf",
        trigger_run_id="again-{{ run_id }}",
        exclusive_keys={"scalar": scalar(), "each": "scalar", "frame": frame()},
        collect={"summary": "say"},
        reset_dag_run=True,
        poke_interval=1,
    )


@dag(start_date=START, schedule=None)
def ho_thief():
    @task
    def steal(ti=None, dag_run=None):
        for name, run_id in dag_run.conf["victims"].items():
            task_id = name.rpartition(".")[2]
            where = {"dag_id": name.partition(".")[0], "run_id": run_id, "task_id": task_id, "key": "return_value"}
            attempt(name, comms.GetXCom(**where))
            attempt(f"{name}, all", comms.GetXComSequenceSlice(**where, start=None, stop=None, step=None))

    steal()


def attempt(name, request):
    from airflow.sdk.execution_time import task_runner

    try:
        task_runner.SUPERVISOR_COMMS.send(request)
    except AirflowRuntimeError as refusal:
        print(json.dumps({"name": name, "status": (refusal.error.detail or {}).get("status_code")}))
    else:
        print(json.dumps({"name": name, "status": 200}))


ho_parent()
ho_child()
ho_leaf()
ho_again()
ho_thief()
