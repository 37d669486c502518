"""
Tasks that do not cooperate: they go past the backend and send requests of their own to the API server.

``confidences`` holds the outputs and an intruder in the same Dag; ``strangers`` is another Dag. Both attack the run
named in their ``conf``, or their own. For each attempt they print one line of JSON.
"""

from __future__ import annotations

import gc
import json
from datetime import UTC, datetime

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import comms

from airflow_provider_exclusive import exclusive_task

START = datetime(2023, 1, 1, tzinfo=UTC)


def secret(name):
    """Make a confidential value at run time: this source, which Airflow keeps, does not contain it."""
    return f"{name} of the mine".replace(" ", "-")


@dag(start_date=START, schedule=None)
def confidences():
    @exclusive_task(consumers=["friend"])
    def confide(ti=None):
        ti.xcom_push("with/slash", secret("slash"))
        return secret("confided")

    @exclusive_task(consumers=["friend"])
    def confide_each(number):
        return secret(f"each {number}") * 100

    @task
    def plain():
        return "for everybody"

    @task
    def friend(ti=None):
        told = {
            "return value": ti.xcom_pull(task_ids="confide") == secret("confided"),
            "slash": ti.xcom_pull(task_ids="confide", key="with/slash") == secret("slash"),
            "each": sorted(ti.xcom_pull(task_ids="confide_each")) == [secret(f"each {n}") * 100 for n in range(3)],
            "plain": ti.xcom_pull(task_ids="plain") == "for everybody",
        }
        print(json.dumps(told))

    @task
    def intruder(ti=None, dag_run=None):
        attack(ti, dag_run)

    confided = [confide(), confide_each.expand(number=[0, 1, 2]), plain()]
    confided >> friend() >> intruder()


@dag(start_date=START, schedule=None)
def strangers():
    @task
    def intruder(ti=None, dag_run=None):
        attack(ti, dag_run)

    intruder()


def attack(ti, dag_run):
    victim_run = (dag_run.conf or {}).get("victim_run", ti.run_id)
    own = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "key": "own"}
    requests = {
        **reads("confidences", victim_run),
        **writes("confidences", victim_run),
        "count": comms.GetXComCount(**at("confidences", victim_run, "confide_each")),
        "read plain": comms.GetXCom(**at("confidences", victim_run, "plain")),
        "write own": comms.SetXCom(**own, value="mine"),
        "read own": comms.GetXCom(**own),
        "delete own": comms.DeleteXCom(**own),
    }
    for name, request in requests.items():
        report(name, lambda request=request: send(request))
    report("borrow the supervisor's token", lambda: borrow_token(ti, victim_run))


def at(dag_id, run_id, task_id, key="return_value"):
    return {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "key": key}


def reads(dag_id, run_id):
    one, each = at(dag_id, run_id, "confide"), at(dag_id, run_id, "confide_each")
    whole = {"start": None, "stop": None, "step": None}
    return {
        "read": comms.GetXCom(**one),
        "read unmapped": comms.GetXCom(**one, map_index=-1),
        "read with prior dates": comms.GetXCom(**one, include_prior_dates=True),
        "read map index": comms.GetXCom(**each, map_index=1),
        "read map index with prior dates": comms.GetXCom(**each, map_index=1, include_prior_dates=True),
        "read key with slash": comms.GetXCom(**at(dag_id, run_id, "confide", "with/slash")),
        "read encoded key": comms.GetXCom(**at(dag_id, run_id, "confide", "return%5Fvalue")),
        "read encoded run": comms.GetXCom(**at(dag_id, f"{run_id}%2Fconfide", "return_value", "..")),
        "read route in task": comms.GetXCom(**at(dag_id, run_id, "confide", "return_value/item/0")),
        "read as slice": comms.GetXCom(**at(dag_id, run_id, "confide", "return_value/slice")),
        "item": comms.GetXComSequenceItem(**each, offset=0),
        "last item": comms.GetXComSequenceItem(**each, offset=-1),
        "item of unmapped": comms.GetXComSequenceItem(**one, offset=0),
        "slice": comms.GetXComSequenceSlice(**each, **whole),
        "slice of unmapped": comms.GetXComSequenceSlice(**one, **whole),
        "slice with prior dates": comms.GetXComSequenceSlice(**each, **whole, include_prior_dates=True),
        "reversed slice": comms.GetXComSequenceSlice(**each, start=None, stop=None, step=-1),
        "part of a slice": comms.GetXComSequenceSlice(**each, start=1, stop=2, step=1),
    }


def writes(dag_id, run_id):
    one, each, plain = (at(dag_id, run_id, task_id) for task_id in ("confide", "confide_each", "plain"))
    return {
        "write": comms.SetXCom(**one, value="planted"),
        "write map index": comms.SetXCom(**each, map_index=1, value="planted"),
        "write new key": comms.SetXCom(**at(dag_id, run_id, "confide", "new"), value="planted"),
        "write new map index": comms.SetXCom(**each, map_index=7, value="planted"),
        "write null": comms.SetXCom(**one, value=None),
        "write plain": comms.SetXCom(**plain, value="planted"),
        "delete": comms.DeleteXCom(**one),
        "delete map index": comms.DeleteXCom(**each, map_index=1),
        "delete plain": comms.DeleteXCom(**plain),
    }


def send(request):
    from airflow.sdk.execution_time import task_runner

    return task_runner.SUPERVISOR_COMMS.send(request)


def borrow_token(ti, run_id):
    """Look for the supervisor's HTTP client in the memory that this process was forked from, and use it."""
    from airflow.sdk.api.client import Client

    clients = [found for found in gc.get_objects() if isinstance(found, Client)]
    if not clients:
        raise LookupError("the memory of the task holds no client of the API server")
    return clients[0].xcoms.get(**at("confidences", run_id, "confide"))


def report(name, action):
    print(json.dumps({"name": name, **outcome(action)}))


def outcome(action):
    try:
        answer = action()
    except AirflowRuntimeError as refusal:
        detail = refusal.error.detail or {}
        return {"outcome": "refused", "status": detail.get("status_code"), "detail": detail.get("detail")}
    except Exception as failure:
        response = getattr(failure, "response", None)
        status = getattr(response, "status_code", None)
        return {"outcome": "failed", "status": status, "detail": f"{type(failure).__name__}: {failure}"}
    found = getattr(answer, "value", getattr(answer, "root", None))
    detail = {"found": found is not None, "legible": secret("") in str(found)}
    return {"outcome": "answered", "status": 200, "detail": detail}


confidences()
strangers()
