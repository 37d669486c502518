"""``airflow exclusive …`` as a person in a terminal meets it, and its doctor before real Redis servers."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_exclusive.cli.doctor import redis, store
from airflow_provider_exclusive.cli.doctor.facts import Facts
from airflow_provider_exclusive.config import Settings
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.storage.object_keys import new_object_id, object_key
from airflow_provider_exclusive.storage.redis.driver import RedisDriver, RedisSettings, connect_single_node
from stack.environment import airflow_environment, exclusive_options
from tests import services

pytestmark = pytest.mark.integration

QUICK = {"connect_timeout_seconds": 1, "read_timeout_seconds": 2, "deadline_seconds": 4, "retries": 0}
DURABLE = ("--appendonly", "yes")
CONTRADICTED = """
from airflow.sdk import dag, task
from airflow_provider_exclusive import consumers, exclusive_task

print("a Dag file that prints")

@dag(schedule=None)
def contradicted():
    @exclusive_task(consumers={"return_value": ["load"], "side": ["reporting:*", "laod"]})
    def extract(): ...

    @task
    def load(rows): ...

    @task
    def spy(rows): ...

    rows = extract()
    load(rows)
    spy(rows)

contradicted()
"""


def run(environment, *words):
    command = [sys.executable, "-m", "airflow", "exclusive", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)


def answer(environment, *words, exit_code=0):
    """Return the JSON that a command prints, which must be all that it prints."""
    done = run(environment, *words, "--output", "json")
    assert done.returncode == exit_code, done.stdout + done.stderr
    return json.loads(done.stdout)


def refusal(environment, *words):
    """Return the lines in which a command that must fail says why; its own are the last, below Airflow's log."""
    done = run(environment, *words)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.strip().splitlines()


@pytest.fixture(scope="module")
def without_database(tmp_path_factory):
    """An Airflow whose one Dag file contradicts its scopes, and which never saw a database."""
    home = tmp_path_factory.mktemp("cli-home")
    (home / "dags").mkdir()
    (home / "dags" / "contradicted.py").write_text(CONTRADICTED)
    return airflow_environment(home, dags=home / "dags") | exclusive_options({})


class TestKeygen:
    def test_it_prints_a_pair_and_leaves_no_trace_of_it(self, without_database):
        pair = answer(without_database, "keygen")
        home = Path(without_database["AIRFLOW_HOME"])
        traces = [
            path for path in home.rglob("*") if path.is_file() and pair["private_key"].encode() in path.read_bytes()
        ]
        assert traces == []
        facts = answer(without_database | exclusive_options(pair), "doctor", exit_code=1)
        assert [finding["name"] for finding in facts["findings"] if finding["area"] == "keys"] == [
            "source",
            "pair",
            "opens",
        ]


class TestScopes:
    def test_a_dag_with_an_import_error_shows_its_contradictions(self, without_database):
        shown = answer(without_database, "scopes", "contradicted")
        (extract,) = shown["tasks"]
        assert extract["task_id"] == "extract"
        assert extract["declared_at"].endswith("contradicted.py:9")
        assert [key.pop("admits_caller") for key in extract["keys"]] == [False, False]
        assert extract["keys"] == [
            {"key": "return_value", "consumers": ["load"], "may_read": ["load"], "other_dags": [], "input_of": ["load", "spy"]},
            {"key": "side", "consumers": ["reporting:*", "laod"], "may_read": [], "other_dags": ["reporting:*"], "input_of": []},
        ]  # fmt: skip
        assert ["'laod'" in shown["contradictions"][0], "'spy'" in shown["contradictions"][1]] == [True, True]

    def test_check_fails_on_contradictions_and_passes_without(self, without_database):
        done = run(without_database, "scopes", "contradicted", "--check")
        assert (done.returncode, "2 contradictions." in done.stdout) == (1, True)
        dag_file = Path(__file__).parent.parent.parent / "example_dags" / "exclusive_taskflow.py"
        done = run(without_database, "scopes", "exclusive_taskflow", "--check", "--dagfile-path", str(dag_file))
        assert (done.returncode, "No contradictions." in done.stdout) == (0, True)

    def test_the_diagram_is_all_that_is_printed(self, without_database):
        done = run(without_database, "scopes", "contradicted", "--output", "mermaid")
        assert done.stdout.startswith("flowchart LR\n")
        assert "a Dag file that prints" in done.stderr

    def test_downstream_is_shown_with_the_tasks_that_it_stands_for(self, airflow_home):
        tasks = answer(airflow_home, "scopes", "exclusive_taskflow")["tasks"]
        keys = {task["task_id"]: task["keys"][0] for task in tasks}
        assert keys["numbers"]["consumers"] == ["DOWNSTREAM"]
        assert keys["numbers"]["may_read"] == keys["numbers"]["input_of"] == ["square"]

    def test_an_unknown_dag_is_named_with_the_nearest(self, without_database):
        assert refusal(without_database, "scopes", "contradictd")[-1] == (
            "There is no Dag 'contradictd'; did you mean 'contradicted'?"
        )

    def test_a_file_that_does_not_import_is_named(self, without_database, tmp_path):
        (tmp_path / "broken.py").write_text("from airflow.sdk import dag\nraise RuntimeError('half a Dag')\n")
        said = refusal(without_database, "scopes", "any", "--dagfile-path", str(tmp_path / "broken.py"))
        assert "broken.py" in said[-1]
        assert "half a Dag" in said[-1]

    def test_an_unknown_bundle_and_an_unknown_file_are_named(self, without_database):
        assert (
            "'nowhere'; the configured bundles are 'dags-folder'"
            in refusal(without_database, "scopes", "any", "-B", "nowhere")[-1]
        )
        assert "no file 'nowhere.py'" in refusal(without_database, "scopes", "any", "-f", "nowhere.py")[-1]


class TestLineage:
    def test_an_unknown_dag_or_run_is_named_with_the_nearest(self, airflow):
        run_id = airflow.run("exclusive_intruder")
        known = airflow.variables
        assert "did you mean 'exclusive_intruder'?" in refusal(known, "lineage", "exclusive_intruders", run_id)[-1]
        assert f"did you mean {run_id!r}?" in refusal(known, "lineage", "exclusive_intruder", run_id + "x")[-1]

    def test_an_id_unlike_any_other_comes_with_the_way_to_list_them(self, airflow):
        run_id = airflow.run("exclusive_intruder")
        said = refusal(airflow.variables, "lineage", "nope", run_id)[-1]
        assert said.startswith(
            "Dag 'nope' is not in the metadata database. If its file is new, the Dag processor has not"
        )
        said = refusal(airflow.variables, "lineage", "exclusive_intruder", "~")[-1]
        assert "; its latest is '" in said
        assert said.endswith("List all with: airflow dags list-runs exclusive_intruder")

    def test_a_database_that_is_not_there_is_said_to_be(self, without_database):
        assert "Could not read the metadata database" in refusal(without_database, "lineage", "etl", "run-1")[-1]

    def test_it_names_writer_readers_and_refused_without_any_key(self, airflow):
        run_id = airflow.run("exclusive_intruder")
        keyless = airflow.variables | {
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__EXCLUSIVE__STORAGE": "file:///nowhere",
        }
        told = answer(keyless, "lineage", "exclusive_intruder", run_id)
        assert told["unchecked"] is None or "there is no directory /nowhere" in told["unchecked"]
        (output,) = told["outputs"]
        assert (output["task_id"], output["key"], output["state"]) == ("confide", "return_value", "sealed")
        assert output["consumers"] == "friend"
        (denied,) = [access for access in told["accesses"] if access["outcome"] == "denied"]
        assert (denied["reader"]["task_id"], denied["task_id"], denied["key"]) == (
            "intruder",
            "confide",
            "return_value",
        )
        assert denied["count"] >= 1
        assert "cake" not in json.dumps(told)

    def test_the_text_tells_the_same(self, airflow):
        run_id = airflow.run("exclusive_intruder")
        done = run(airflow.variables, "lineage", "exclusive_intruder")
        assert done.returncode == 0
        assert run_id in done.stdout
        for word in ("confide", "friend", "intruder", "denied"):
            assert word in done.stdout


class TestDoctorOfAWholeAirflow:
    def test_a_healthy_one_raises_no_alarm_and_its_plugin_is_proved(self, airflow):
        report = answer(airflow.variables, "doctor")
        assert [finding for finding in report["findings"] if finding["severity"] != "ok"] == []
        assert "plugin" in [finding["name"] for finding in report["findings"]]

    @pytest.mark.parametrize("secret", ["", "another secret than that of the API server, and long enough to sign"])
    def test_a_worker_that_cannot_ask_passes_and_names_where_to_ask(self, airflow, secret):
        pair = answer(airflow.variables, "keygen")
        worker = airflow.variables | {
            "AIRFLOW__API_AUTH__JWT_SECRET": secret,
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__EXCLUSIVE__PUBLIC_KEY": pair["public_key"],
        }
        (warned,) = [found for found in answer(worker, "doctor")["findings"] if found["severity"] != "ok"]
        assert (warned["severity"], warned["area"], warned["name"]) == ("warning", "server", "plugin")
        assert "where the API server or a scheduler runs" in warned["cure"]

    def test_faults_are_found_together_and_fail_the_command(self, airflow):
        faulty = airflow.variables | {
            "AIRFLOW__CORE__XCOM_BACKEND": "airflow.sdk.bases.xcom.BaseXCom",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://127.0.0.1:9/execution/",
            "AIRFLOW__EXCLUSIVE__CONN_ID": "no_such_connection",
            "AIRFLOW__EXCLUSIVE__PRIVATE_KEY": "a passphrase",
            "AIRFLOW__EXCLUSIVE__AUDIT": "off",
        }
        report = answer(faulty, "doctor", exit_code=1)
        found = {
            f"{finding['area']}.{finding['name']}" for finding in report["findings"] if finding["severity"] != "ok"
        }
        assert found == {"settings.backend", "settings.audit", "keys.source", "store.driver", "server.plugin"}
        assert "a passphrase" not in json.dumps(report)

    def test_a_connection_to_redis_is_examined(self, airflow):
        with services.redis_server(password="open-sesame", options=DURABLE) as server:
            uri = f"exclusive://:open-sesame@{server.host}:{server.port}/0"
            connected = airflow.variables | {"AIRFLOW_CONN_STORE": uri, "AIRFLOW__EXCLUSIVE__CONN_ID": "store"}
            report = answer(connected, "doctor")
        assert "eviction" in [finding["name"] for finding in report["findings"] if finding["area"] == "redis"]
        assert report["warnings"] == 0
        assert "open-sesame" not in json.dumps(report)


def faults_of(server, **settings):
    """Return what the doctor finds about a Redis server that is not ok."""
    driver = RedisDriver(RedisSettings(server.host, server.port, **{**QUICK, **settings}))
    facts = facts_with(driver)
    findings = [*store.check(facts), *redis.check(facts)]
    return {f"{found.area}.{found.name}": found.severity.value for found in findings if found.severity.value != "ok"}


def facts_with(driver):
    key = base64.b64encode(os.urandom(32)).decode()
    settings = Settings(
        conn_id="store",
        storage="",
        public_key="",
        private_key=key,
        inline_bytes=512,
        offload_bytes=65536,
        max_value_bytes=2**31,
        ttl_seconds=86400,
        allow_cloudpickle=False,
        audit="denied",
    )
    return Facts(
        settings=settings,
        unknown_options=[],
        parse_check="error",
        keys=ConfigurationError("not looked at here"),
        driver=driver,
        backend_modules=frozenset(),
        executor="CeleryExecutor",
        api_url="https://airflow.example.com/execution/",
        redaction_error=None,
        probe=lambda api_url: pytest.fail("not asked here"),
    )


def fill(server, *, payloads):
    client = connect_single_node(RedisSettings(server.host, server.port))
    for number in range(payloads):
        client.set(f"filler:{number}", os.urandom(65536))
    client.close()


class TestDoctorOnRedis:
    @pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
    def test_an_evicting_policy_is_an_error(self, policy):
        with services.redis_server(maxmemory="100mb", options=[*DURABLE, "--maxmemory-policy", policy]) as server:
            assert faults_of(server) == {"redis.eviction": "error"}

    def test_evictions_of_the_past_are_a_warning(self):
        with services.redis_server(maxmemory="4mb", options=[*DURABLE, "--maxmemory-policy", "allkeys-lru"]) as server:
            fill(server, payloads=100)
            client = connect_single_node(RedisSettings(server.host, server.port))
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "100mb")
            client.close()
            assert faults_of(server) == {"redis.evicted_keys": "warning"}

    def test_memory_that_is_nearly_full_is_a_warning(self):
        with services.redis_server(maxmemory="10mb", options=DURABLE) as server:
            fill(server, payloads=115)
            assert faults_of(server) == {"redis.memory": "warning"}

    def test_no_append_only_file_is_a_warning(self):
        with services.redis_server() as server:
            assert faults_of(server) == {"redis.persistence": "warning"}

    def test_a_replica_is_an_error(self):
        with services.redis_server(options=DURABLE) as primary:
            replica_of = ["--replicaof", f"{primary.host} {primary.port}"]
            with services.redis_server(options=[*DURABLE, *replica_of]) as replica:
                assert faults_of(replica) == {"store.round_trip": "error", "redis.role": "error"}

    def test_a_server_that_is_gone_is_one_error_and_no_more(self):
        with services.redis_server() as server:
            server.kill()
            assert faults_of(server) == {"store.round_trip": "error"}

    def test_a_wrong_password_is_one_error_and_no_more(self):
        with services.redis_server(password="open-sesame", options=DURABLE) as server:
            assert faults_of(server, password="wrong") == {"store.round_trip": "error"}

    def test_a_full_server_comes_with_the_dags_that_fill_it(self):
        with services.redis_server(maxmemory="10mb", options=DURABLE) as server:
            driver = RedisDriver(RedisSettings(server.host, server.port, **QUICK))
            for number in range(115):
                xcom = Coordinate("etl" if number % 4 else "web.site", "run-1", "extract", number, "return_value")
                driver.store(object_key(xcom, new_object_id()), os.urandom(65536), ttl_seconds=60)
            (found,) = [finding for finding in redis.check(facts_with(driver)) if finding.name == "memory"]
        assert "115 objects" in found.what
        assert found.what.endswith("etl 75%, web_site 25%.")

    def test_a_user_without_permission_to_ask_is_a_warning(self):
        acl = ["worker on >secret ~exclusive:* +set +get +getrange +unlink +scan +strlen"]
        with services.redis_server(password="open-sesame", acl=acl, options=DURABLE) as server:
            assert faults_of(server, username="worker", password="secret") == {"redis.info": "warning"}

    def test_a_user_who_may_ask_needs_no_other_right_for_it(self):
        acl = ["worker on >secret ~exclusive:* +set +get +getrange +unlink +scan +strlen +info"]
        with services.redis_server(password="open-sesame", acl=acl, options=DURABLE) as server:
            assert faults_of(server, username="worker", password="secret") == {}

    @pytest.mark.parametrize("password", [None, "open-sesame"])
    def test_whether_anybody_gets_in_is_tried_and_not_guessed(self, password):
        acl = ["worker on >secret ~exclusive:* +@all"]
        with services.redis_server(password=password, acl=acl) as server:
            driver = RedisDriver(RedisSettings(server.host, server.port, username="worker", password="secret"))
            assert driver.inspect().lets_anyone_in is (password is None)

    def test_a_healthy_server_raises_no_alarm(self):
        with services.redis_server(maxmemory="100mb", password="open-sesame", options=DURABLE) as server:
            assert faults_of(server, password="open-sesame") == {}
