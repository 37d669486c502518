"""Every way in which a consumer may read, and every moment at which a task reads and writes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, BaseOperatorLink, dag, task

from airflow_provider_exclusive import consumers, exclusive_task

START = datetime(2023, 1, 1, tzinfo=UTC)


def secret(name):
    """Make a confidential value at run time: this source, which Airflow keeps, does not contain it."""
    return f"{name} of the mine".replace(" ", "-")


def frame_of_secrets():
    import pandas as pd

    return pd.DataFrame({"text": [secret(f"row {number}") for number in range(2_000)], "number": range(2_000)})


class Verdict(BaseOperatorLink):
    """A link that reads its own task's output, and shows only whether it arrived."""

    name = "Verdict"

    def get_link(self, operator, *, ti_key):
        from airflow.sdk.execution_time.xcom import XCom

        own = XCom.get_value(ti_key=ti_key, key="return_value")
        return f"https://example.invalid/{'intact' if own == secret('resumed') else 'lost'}"


class Deferring(BaseOperator):
    """Reads before and after its deferral, pushes after it."""

    operator_extra_links = (Verdict(),)

    def execute(self, context):
        self.tell(context, "before")
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=3)), method_name="resume")

    def resume(self, context, event=None):
        self.tell(context, "after")
        context["ti"].xcom_push(key="side", value=secret("side"))
        return secret("resumed")

    def tell(self, context, when):
        print(json.dumps({when: context["ti"].xcom_pull(task_ids="scalar") == secret("scalar")}))


@exclusive_task(consumers=["load", "waiting", "flaky"])
def scalar():
    return secret("scalar")


@exclusive_task(consumers=["load"])
def frame():
    return frame_of_secrets()


@exclusive_task
def numbers():
    return [0, 1, 2]


@exclusive_task(consumers=["load"])
def letters(number):
    return secret(f"letter {number}")


@exclusive_task(consumers={"left": ["load"], "right": ["load"]}, multiple_outputs=True)
def halves():
    return {"left": secret("left"), "right": secret("right")}


@exclusive_task(consumers=["load"], retries=1, retry_delay=timedelta(seconds=1))
def flaky(ti=None):
    ti.xcom_push("attempt", secret(f"attempt {ti.try_number}"))
    print(json.dumps({f"try {ti.try_number}": ti.xcom_pull(task_ids="scalar") == secret("scalar")}))
    if ti.try_number == 1:
        raise RuntimeError("the first try fails")
    return secret("second try")


@dag(start_date=START, schedule=None)
def readers():
    # A trigger that fires before the scheduler has heard of the deferral makes Airflow fail the task, on a busy machine
    # after seconds ("finished with state success, but the task instance's state attribute is queued"); hence retries.
    waiting = Deferring(task_id="waiting", pre_execute=consumers("load"), retries=3, retry_delay=timedelta(seconds=1))

    @exclusive_task(consumers=["afterwards"], on_success_callback=note_success)
    def load(scalar, frame, letters, left, retried, resumed, ti=None):
        print(json.dumps(arguments_that_arrived(scalar, frame, left, retried, resumed)))
        print(json.dumps(lazy_reads_that_arrived(letters)))
        print(json.dumps(pulls_that_arrived(ti)))
        return secret("loaded")

    @task
    def afterwards(ti=None):
        print(
            json.dumps(
                {
                    "loaded": ti.xcom_pull(task_ids="load") == secret("loaded"),
                    "note": ti.xcom_pull(task_ids="load", key="note") == secret("note"),
                }
            )
        )

    confided = scalar()
    retried = flaky()
    confided >> [retried, waiting]
    loaded = load(confided, frame(), letters.expand(number=numbers()), halves()["left"], retried, waiting.output)
    loaded >> afterwards()


def arguments_that_arrived(scalar, frame, left, retried, resumed):
    return {
        "scalar": scalar == secret("scalar"),
        "frame": frame.equals(frame_of_secrets()),
        "half": left == secret("left"),
        "retried": retried == secret("second try"),
        "deferred": resumed == secret("resumed"),
    }


def lazy_reads_that_arrived(letters):
    expected = [secret(f"letter {number}") for number in range(3)]
    return {
        "lazy list": list(letters) == expected,
        "lazy item": letters[1] == expected[1],
        "lazy last item": letters[-1] == expected[-1],
        "lazy slice": list(letters[1:]) == expected[1:],
        "lazy length": len(letters) == len(expected),
    }


def pulls_that_arrived(ti):
    letters = [secret(f"letter {number}") for number in range(3)]
    several = ti.xcom_pull(task_ids=["scalar", "waiting"])
    return {
        "one map index": ti.xcom_pull(task_ids="letters", map_indexes=2) == letters[2],
        "some map indexes": list(ti.xcom_pull(task_ids="letters", map_indexes=[0, 2])) == [letters[0], letters[2]],
        "all map indexes": sorted(ti.xcom_pull(task_ids="letters")) == letters,
        "half by key": ti.xcom_pull(task_ids="halves", key="right") == secret("right"),
        "key of a retried task": ti.xcom_pull(task_ids="flaky", key="attempt") == secret("attempt 2"),
        "key of a deferred task": ti.xcom_pull(task_ids="waiting", key="side") == secret("side"),
        "several tasks": list(several) == [secret("scalar"), secret("resumed")],
        "with prior dates": ti.xcom_pull(task_ids="scalar", include_prior_dates=True) == secret("scalar"),
    }


def note_success(context):
    read_and_write(context, "success", source="scalar")


def note_retry(context):
    read_and_write(context, "retry", source="source")


def note_failure(context):
    read_and_write(context, "failure", source="source")


def read_and_write(context, occasion, *, source):
    """Read another task's output and push a key of one's own, and tell how both went."""
    told = {"callback": occasion, "read": attempt(lambda: context["ti"].xcom_pull(task_ids=source) == secret(source))}
    note = "a plain note" if context["ti"].task_id == "plain_stumbling" else secret("note")
    told["wrote"] = attempt(lambda: context["ti"].xcom_push(key="note", value=note))
    print(json.dumps(told))


def attempt(action):
    try:
        return str(action())
    except Exception as failure:
        return f"{type(failure).__name__}: {failure}"


@dag(start_date=START, schedule=None)
def callbacks():
    @exclusive_task(consumers=["stumbling", "plain_stumbling"])
    def source():
        return secret("source")

    stumble = {
        "retries": 1,
        "retry_delay": timedelta(seconds=1),
        "on_retry_callback": note_retry,
        "on_failure_callback": note_failure,
    }

    @exclusive_task(consumers=["nobody_yet"], **stumble)
    def stumbling():
        raise RuntimeError("every try fails")

    @task(**stumble)
    def plain_stumbling():
        raise RuntimeError("every try fails")

    @task
    def nobody_yet(): ...

    source() >> [stumbling(), plain_stumbling()] >> nobody_yet()


readers()
callbacks()
