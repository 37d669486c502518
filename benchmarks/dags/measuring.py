"""The Dags that measure. If this provider is configured, all producers except that of ``plain`` are exclusive."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from airflow.sdk.configuration import conf

from airflow_provider_exclusive import consumers
from benchmarks import load_probe, mapped_outputs, probe
from benchmarks.plan import PLANS

START = dt.datetime(2023, 1, 1, tzinfo=dt.UTC)
READERS = sorted({count for plan in PLANS for count in plan.readers})
IS_EXCLUSIVE = "exclusive" in conf.get("core", "xcom_backend")


def readable_by(*task_ids: str) -> dict[str, Any]:
    """Return the arguments that make a task exclusive, if the stack uses the backend of this provider."""
    return {"pre_execute": consumers(*task_ids)} if IS_EXCLUSIVE else {}


with DAG("measuring", schedule=None, start_date=START):
    task(task_id="push", **readable_by("pull"))(probe.measure_pushes)() >> task(task_id="pull")(probe.measure_pulls)()


with DAG("plain", schedule=None, start_date=START):
    task(task_id="plain")(probe.measure_plain)()


for count in {plan.first for plan in PLANS}:
    with DAG(f"first_{count}", schedule=None, start_date=START, max_active_tasks=1):
        produce = task(task_id="produce", **readable_by("first_pull"))(load_probe.push_for_readers)()
        sides = [*probe.SIDES] * count
        push = task(task_id="first_push", **readable_by("first_pull"))(probe.measure_first).partial(what="push")
        pull = task(task_id="first_pull")(probe.measure_first).partial(what="pull")
        produce >> push.expand(side=sides) >> pull.expand(side=sides)


for count in READERS:
    with DAG(f"readers_{count}", schedule=None, start_date=START, max_active_tasks=count):
        produce = task(task_id="produce", **readable_by("read"))(load_probe.push_for_readers)()
        produce >> task(task_id="read")(load_probe.read_on).expand(readers=[count] * count)


with DAG("mix", schedule=None, start_date=START, max_active_runs=READERS[-1], max_active_tasks=READERS[-1]):
    produce = task(task_id="produce", **readable_by("consume"))(load_probe.push_mix)()
    produce >> task(task_id="consume")(load_probe.pull_mix)()


with DAG("mix_pushed", schedule=None, start_date=START, max_active_runs=READERS[-1], max_active_tasks=READERS[-1]):
    task(task_id="produce", **readable_by("measuring:pull"))(load_probe.push_mix)()


with DAG("scalars", schedule=None, start_date=START, max_active_runs=READERS[-1], max_active_tasks=READERS[-1]):
    produce = task(task_id="produce", **readable_by("consume"))(load_probe.push_scalars)()
    produce >> EmptyOperator(task_id="consume")


class Slots(EmptyOperator):
    """Task instances that the scheduler marks as done without running them; another process pushes for them."""

    def __init__(self, *, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number = number


for count in {count for plan in PLANS for count in plan.mapped}:
    with DAG(f"mapped_{count}", schedule=None, start_date=START):
        slots = Slots.partial(task_id=mapped_outputs.TASK, **readable_by(mapped_outputs.READER))
        gather = task(task_id=mapped_outputs.READER)(load_probe.pull_mapped)
        slots.expand(number=list(range(count))) >> gather(count)
