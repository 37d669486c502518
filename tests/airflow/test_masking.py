"""``mask=True``: Airflow's secrets masker hides an exclusive value in the logs of its producer and its consumers."""

from __future__ import annotations

import uuid

import pytest
import structlog
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import task
from airflow.sdk._shared.secrets_masker import reset_secrets_masker
from airflow.sdk.log import mask_logs
from structlog.processors import KeyValueRenderer
from structlog.stdlib import PositionalArgumentsFormatter

from airflow_provider_exclusive import consumers, exclusive_task
from airflow_provider_exclusive.format.reference import Reference
from tests.airflow.running import Run, a_dag


@pytest.fixture
def log():
    """A log that masks as that of a supervised task does; dag.test() has none that masks."""
    return structlog.wrap_logger(
        structlog.PrintLogger(), processors=[PositionalArgumentsFormatter(), mask_logs, KeyValueRenderer()]
    )


@pytest.fixture(autouse=True)
def no_masks():
    """A process masks what it masked before; each test begins without."""
    reset_secrets_masker()
    yield
    reset_secrets_masker()


@pytest.fixture
def canary():
    return f"canary-{uuid.uuid4()}"


@pytest.mark.parametrize("value", [str, lambda text: {"rows": [text, 7]}])
def test_producer_and_consumer_log_stars(canary, log, capfd, value):
    seen = []
    with a_dag() as dag:

        @exclusive_task("load", mask=True)
        def extract(ti=None):
            ti.xcom_push(key="other", value=value(canary))
            log.info("producer says %s", canary)

        @task
        def load(ti=None):
            reset_secrets_masker()  # as in a process of its own
            seen.append(ti.xcom_pull(task_ids="extract", key="other"))
            log.info("consumer says %s", canary)

        extract() >> load()

    run = Run(dag)

    output = "".join(capfd.readouterr())
    assert run.state == "success", output[-2000:]
    assert seen == [value(canary)]
    assert canary not in output
    assert "producer says ***" in output
    assert "consumer says ***" in output
    assert Reference.from_row(run.xcom_rows()["extract", -1, "other"]).is_masked


def test_a_return_value_is_masked_for_the_callbacks_of_its_task(canary, log, capfd):
    with a_dag() as dag:
        PythonOperator(
            task_id="extract",
            python_callable=lambda: canary,
            pre_execute=consumers([], mask=True),
            on_success_callback=lambda context: log.info("callback says %s", canary),
        )

    assert Run(dag).state == "success"

    output = "".join(capfd.readouterr())
    assert "callback says ***" in output
    assert canary not in output


def test_without_it_nothing_is_masked(canary, log, capfd):
    with a_dag() as dag:

        @exclusive_task("load")
        def extract():
            return canary

        @task
        def load(value):
            log.info("consumer says %s", value)

        load(extract())

    run = Run(dag)

    assert f"consumer says {canary}" in "".join(capfd.readouterr())
    assert not Reference.from_row(run.xcom_rows()["extract", -1, "return_value"]).is_masked
