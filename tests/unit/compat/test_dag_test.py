"""What is read off a process that runs a test; the runs themselves are in ``airflow/test_pairs.py``."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

from airflow_provider_exclusive.compat import dag_test
from airflow_provider_exclusive.compat.replace import UnsupportedAirflowError


def bag(folder, *dags, **errors):
    return SimpleNamespace(dag_folder=folder, dags={dag.dag_id: dag for dag in dags}, import_errors=errors)


@pytest.fixture
def dag():
    return DAG("child", schedule=None)


class TestIsTesting:
    def test_a_supervisor_in_this_process_is_one_of_a_test(self, mocker):
        mocker.patch.object(task_runner, "SUPERVISOR_COMMS", InProcessSupervisorComms(supervisor=None), create=True)
        assert dag_test.is_testing()

    def test_another_supervisor_is_not(self, mocker):
        mocker.patch.object(task_runner, "SUPERVISOR_COMMS", object(), create=True)
        assert not dag_test.is_testing()

    def test_no_supervisor_is_not(self):
        assert not hasattr(task_runner, "SUPERVISOR_COMMS")
        assert not dag_test.is_testing()


class TestFindDag:
    def test_the_first_bundle_that_has_it_gives_it(self, dag, mocker):
        mocker.patch.object(dag_test, "_parse_bundles", return_value=iter([bag("/one"), bag("/two", dag)]))
        assert dag_test.find_dag("child") == (dag, ["/one"])

    def test_an_added_one_goes_first(self, dag, mocker):
        mocker.patch.dict(dag_test._added, child=dag)
        assert dag_test.find_dag("child") == (dag, [])

    def test_places_and_files_that_failed_are_named(self, mocker):
        broken = bag("/one", **{"broken.py": "Traceback\n  line\nKeyError: 1\n", "empty.py": ""})
        mocker.patch.object(dag_test, "_parse_bundles", return_value=iter([broken]))
        assert dag_test.find_dag("child") == (
            None,
            [
                "/one",
                "/one/broken.py, which failed to import (KeyError: 1)",
                "/one/empty.py, which failed to import ()",
            ],
        )


class TestWhereADagIs:
    def test_others_of_its_module_are_beside_it(self, dag, mocker):
        module, other = ModuleType("a_module_of_dags"), DAG("other", schedule=None)
        module.__file__, module.other, module.number = dag.fileloc, other, 1
        mocker.patch.dict(sys.modules, a_module_of_dags=module)
        assert dag_test.dags_beside(dag) == [other, dag]

    @pytest.mark.parametrize(("folder", "is_in"), [(Path(__file__).parent, True), (Path("/elsewhere"), False)])
    def test_a_bundle_has_what_is_in_its_folder(self, dag, mocker, folder, is_in):
        mocker.patch.object(dag_test, "_bundles", return_value=[SimpleNamespace(path=folder)])
        dag.fileloc = __file__
        assert dag_test.is_in_bundle(dag) is is_in


@pytest.fixture
def child(dag, mocker):
    """A Dag whose ``test()`` takes its run from Airflow, as ``dag.test()`` does."""
    from airflow.models import dagrun

    run = SimpleNamespace(state="queued", dag=None, start_date=None)
    session = SimpleNamespace(scalars=lambda _: SimpleNamespace(one=lambda: run), commit=lambda: None)

    def test(logical_date):
        dagrun.get_or_create_dagrun(dag=dag, session=session, run_id="other")
        return run

    mocker.patch.object(dag, "test", test, create=True)
    return SimpleNamespace(dag=dag, run=run)


def test_the_triggered_run_is_what_is_run(child):
    from airflow.models import dagrun

    original = dagrun.get_or_create_dagrun

    assert dag_test.run_triggered(child.dag, "run-7") == "running"
    assert child.run.dag is child.dag
    assert child.run.start_date is not None
    assert dagrun.get_or_create_dagrun is original


def test_a_run_that_has_ended_stays_as_it_is(child):
    child.run.state = "success"

    assert dag_test.run_triggered(child.dag, "run-7") == "success"
    assert child.run.start_date is None


def test_an_airflow_that_makes_its_runs_elsewhere_is_refused(child):
    child.dag.test = lambda logical_date: SimpleNamespace(state="success")

    with pytest.raises(UnsupportedAirflowError, match="get_or_create_dagrun"):
        dag_test.run_triggered(child.dag, "run-7")
