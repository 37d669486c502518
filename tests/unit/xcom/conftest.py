"""A Dag of real operators, a task of it that runs in this process, and the store that push and pull are given."""

import pytest
from airflow.sdk import DAG, BaseOperator

from airflow_provider_exclusive import consumers
from airflow_provider_exclusive.execution_time import running_task
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.xcom import pull, push


class Work(BaseOperator):
    """Does nothing; may be mapped over ``number``, and may be said to have multiple outputs."""

    template_fields = ("number",)

    def __init__(self, *, number=0, multiple_outputs=False, **kwargs):
        super().__init__(**kwargs)
        self.number = number
        self.multiple_outputs = multiple_outputs

    def execute(self, context): ...


@pytest.fixture
def work():
    return Work


@pytest.fixture
def dag(work):
    """``extract``, whose output only ``load`` may read, then ``load`` and ``look``, which are plain."""
    with DAG("etl") as dag:
        work(task_id="extract", pre_execute=consumers("load")) >> [work(task_id="load"), work(task_id="look")]
    return dag


@pytest.fixture
def run_as(mocker):
    """Let this process run a task: ``run_as(identity, operator)``; None for no task at all."""

    def run_as(identity, task=None, **known):
        running = None if identity is None else RunningTask(identity, task, **known)
        mocker.patch.object(running_task, "current", return_value=running)
        return running

    return run_as


@pytest.fixture(autouse=True)
def used_store(mocker, store):
    """Let push and pull use a store over memory, or the one that this is called with."""

    def use(store):
        for module in (push, pull):
            mocker.patch.object(module, "current_store", return_value=store)
        mocker.patch.object(push, "current_driver", return_value=store.driver)

    use(store)
    return use
