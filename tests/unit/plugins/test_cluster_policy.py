"""What the policy does with a Dag that is parsed: refuse it, warn, or let it be; and what in a worker."""

from __future__ import annotations

import logging

import pytest
from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_exclusive import config
from airflow_provider_exclusive.definitions import parse_check, pulls, templates
from airflow_provider_exclusive.definitions.hook import consumers
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.execution_time import redaction
from airflow_provider_exclusive.plugins import cluster_policy


@pytest.fixture(autouse=True)
def prepared(mocker, monkeypatch):
    """What was prepared in this process; no Airflow of the tests is changed."""
    monkeypatch.delenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", raising=False)
    monkeypatch.delenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", raising=False)
    prepared = []
    mocker.patch.object(templates, "prepare", side_effect=lambda: prepared.append("templates"))
    mocker.patch.object(redaction, "prepare", side_effect=lambda: prepared.append("redaction"))
    return prepared


@pytest.fixture
def mode(mocker):
    """Set ``[exclusive] parse_check``."""
    return lambda mode: mocker.patch.object(config, "read_parse_check", return_value=mode)


@pytest.fixture
def worker(monkeypatch):
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "etl")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "load")


def a_dag(consumer):
    with DAG("etl", schedule=None) as dag:
        EmptyOperator(task_id="extract", pre_execute=consumers(consumer))
        EmptyOperator(task_id="load")
    return dag


class TestInTheDagProcessor:
    def test_a_contradiction_is_an_import_error(self, mode):
        mode("error")
        with pytest.raises(AirflowClusterPolicyViolation) as violation:
            cluster_policy.dag_policy(a_dag("laod"))
        heading, message = str(violation.value).splitlines()
        assert heading == f"Dag 'etl' ({__file__}) contradicts its consumer scopes:"
        assert "did you mean 'load'?" in message

    def test_each_contradiction_has_its_line(self, mode, mocker):
        mode("error")
        mocker.patch.object(parse_check, "find_contradictions", return_value=["one", "two"])
        with pytest.raises(AirflowClusterPolicyViolation, match=r"scopes:\none\ntwo$"):
            cluster_policy.dag_policy(a_dag("load"))

    def test_an_option_that_cannot_be_is_an_error(self, mocker):
        mocker.patch.object(config, "read_parse_check", side_effect=ConfigurationError("parse_check"))
        with pytest.raises(ConfigurationError, match="parse_check"):
            cluster_policy.dag_policy(a_dag("load"))

    def test_a_warning_lets_the_dag_in(self, mode, caplog):
        mode("warn")
        cluster_policy.dag_policy(a_dag("laod"))
        (record,) = caplog.records
        assert (record.name, record.levelno) == (cluster_policy.__name__, logging.WARNING)
        assert "did you mean 'load'?" in record.getMessage()

    def test_off_does_not_even_look(self, mode, mocker, caplog):
        mode("off")
        find = mocker.patch.object(parse_check, "find_contradictions")
        cluster_policy.dag_policy(a_dag("laod"))
        find.assert_not_called()
        assert caplog.records == []

    @pytest.mark.parametrize("how", ["error", "warn"])
    def test_a_sound_dag_passes_in_silence(self, mode, caplog, how):
        mode(how)
        cluster_policy.dag_policy(a_dag("load"))
        assert caplog.records == []

    @pytest.mark.parametrize(("readers", "shown"), [(1, 1), (10, 10), (25, 10)])
    def test_pulls_that_would_be_refused_are_a_warning(self, mode, caplog, readers, shown):
        mode("error")
        dag = a_dag("load")
        for number in range(readers):
            BashOperator(task_id=f"look_{number}", bash_command="{{ ti.xcom_pull('extract') }}", dag=dag)
        cluster_policy.dag_policy(dag)
        (record,) = caplog.records
        heading, *lines = record.getMessage().splitlines()
        assert (record.levelno, heading) == (logging.WARNING, f"Dag 'etl' ({__file__}) pulls what its scopes forbid:")
        assert "'look_0' pulls key 'return_value' of task 'extract' in its template field 'bash_command'" in lines[0]
        assert len(lines) == shown + (readers > shown)
        assert readers == shown or lines[-1] == "and 15 more: airflow exclusive scopes etl"

    def test_of_a_plain_dag_no_pull_is_read(self, mode, mocker):
        mode("error")
        read = mocker.patch.object(pulls, "read")
        with DAG("etl", schedule=None) as dag:
            BashOperator(task_id="look", bash_command="{{ ti.xcom_pull('extract') }}")
        cluster_policy.dag_policy(dag)
        read.assert_not_called()

    def test_templates_are_prepared_and_nothing_else(self, mode, prepared):
        mode("error")
        cluster_policy.dag_policy(a_dag("load"))
        assert prepared == ["templates"]


@pytest.mark.usefixtures("worker")
class TestInAWorker:
    def test_an_unknown_airflow_does_not_hide_the_dag(self, mocker):
        mocker.patch.object(redaction, "prepare", side_effect=ConfigurationError("unsupported"))
        cluster_policy.dag_policy(a_dag("load"))

    def test_nothing_is_checked(self, mocker):
        read = mocker.patch.object(config, "read_parse_check")
        cluster_policy.dag_policy(a_dag("laod"))
        read.assert_not_called()

    def test_templates_and_records_are_prepared(self, prepared):
        cluster_policy.dag_policy(a_dag("load"))
        assert prepared == ["templates", "redaction"]
