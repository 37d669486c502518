"""
After everything has run, no value and no key lies in clear in anything that is kept, wherever payloads are stored.

Each test runs on two deployments: the one of this folder, with payloads in files, after all that its Dags did; and one
with payloads in a Redis that writes to disk. On both, the example Dags run with distinctive values, intruders are
refused, and decoders fail over values that they cannot read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_exclusive.crypto.keyring import Keyring, parse_key
from airflow_provider_exclusive.format.reference import Reference, is_reference_row
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.storage.files import FilesDriver
from airflow_provider_exclusive.storage.redis.driver import RedisDriver, RedisSettings, connect_single_node
from demo.examples import EXAMPLES
from demo.outcome import judge, run_of
from stack.airflow import AirflowStack
from stack.environment import exclusive_options
from stack.postgres import postgres_server
from stack.processes import HOST
from stack.redis_server import RedisServer, redis_server
from tests.integration.hardened import disguises, search, spoiling
from tests.integration.hardened.dags_for_traces.distinctive import text
from tests.runs import assert_succeeded

HERE = Path(__file__).resolve().parent
SINKS = ["the metadata database", "the store", "the logs and other files of Airflow"]
SPOILED = {"flipped": "EnvelopeError", "serde": "CodecError", "arrow": "CodecError"}
"""How reading fails, by key of the Dag that :func:`spoil` spoils."""
MARKER = "put here by nobody who seals"
# Redis compresses what it dumps, and forgets in a rewrite what was there before: either would blind the search.
DURABLE = [
    *("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"),
    *("--rdbcompression", "no"),
]


@dataclass(frozen=True)
class Deployment:
    """
    A running Airflow and its store.

    :param folder: where the store keeps its bytes.
    :param runs: what ran there before, by Dag and run, without anybody having edited its rows.
    """

    stack: AirflowStack
    driver: StorageDriver
    folder: Path
    runs: tuple[tuple[str, str], ...] = ()
    redis: RedisServer | None = None

    def plant_plainly(self) -> None:
        """Write a marker where payloads lie, sealed by nobody, and let Redis write down what it holds."""
        if self.redis is None:
            (self.folder / "marker").write_text(MARKER)
            return
        client = connect_single_node(settings_of(self.redis))
        client.set("marker", MARKER)
        client.save()


@dataclass(frozen=True)
class Traces:
    """
    What is left when everything has run.

    :param secrets: of every exclusive value that was written: its data key, or the encoded value in its row.
    :param sinks: by the name of the sink, its parts.
    :param judged: by example, what is wrong with its run.
    """

    secrets: frozenset[bytes]
    sinks: dict[str, dict[str, bytes]]
    judged: dict[str, tuple[str, ...]]
    spoiled_run: str


def settings_of(server: RedisServer) -> RedisSettings:
    return RedisSettings(HOST, server.port, password=server.password)


@pytest.fixture(scope="session")
def dags_for_traces(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dags-for-traces")
    shutil.copytree(HERE / "dags_for_traces", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for dag_id in disguises.DISGUISES:
        (folder / f"{dag_id}.py").write_text(disguises.disguise(dag_id))
    return folder


@pytest.fixture(scope="module")
def on_files(hardened, shared_store, dags_for_traces, readers_run, callbacks_run, intrusion) -> Deployment:
    mending = hardened.run("mending")
    assert_succeeded(hardened, "mending", mending)
    shutil.copytree(dags_for_traces, hardened.dags, dirs_exist_ok=True)
    hardened.wait_for_dags([*disguises.DISGUISES, "spoiled"])
    runs = {"readers": readers_run, "callbacks": callbacks_run, "confidences": intrusion.run_id, "mending": mending}
    return Deployment(hardened, FilesDriver(shared_store), shared_store, tuple(runs.items()))


@pytest.fixture(scope="module")
def on_redis(tmp_path_factory, key_pair, dags_for_traces) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("redis")
    options = {"public_key": key_pair.public, "conn_id": "exclusive_default", "inline_bytes": "0", "audit": "all"}
    environment = {
        **exclusive_options(options),
        "AIRFLOW__CORE__EXECUTOR": "clean_executor.CleanExecutor",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
    }
    with redis_server("--dir", str(folder), *DURABLE) as redis, postgres_server() as database:
        api_server = {
            "AIRFLOW__EXCLUSIVE__PRIVATE_KEY": key_pair.private,
            "AIRFLOW_CONN_EXCLUSIVE_DEFAULT": redis.connection,
        }
        with AirflowStack(
            dags_for_traces,
            environment=environment,
            components={"api-server": api_server},
            database=database,
            progress=print,
        ) as stack:
            assert stack.import_errors() == []
            yield Deployment(stack, RedisDriver(settings_of(redis)), folder, redis=redis)


@pytest.fixture(scope="module", params=["files", "redis"])
def deployment(request) -> Deployment:
    return request.getfixturevalue(f"on_{request.param}")


@pytest.fixture(scope="module")
def keyring(key_pair) -> Keyring:
    return Keyring.from_raw_keys([parse_key(key_pair.private, option="test")])


@pytest.fixture(scope="module")
def traces(deployment, keyring) -> Traces:
    """Everything has run on the deployment, and what can be read of it has been read."""
    stack = deployment.stack
    runs = run_everything(stack)
    secrets = secrets_of(stack, keyring, [*deployment.runs, *runs.items()])
    spoil(deployment, keyring, runs["spoiled"])
    secrets |= secrets_of(stack, keyring, [("spoiled", runs["spoiled"])])
    deployment.plant_plainly()
    contents = [
        search.dump_of_database(stack),
        search.content_of(deployment.folder),
        search.content_of(stack.home),
    ]
    judged = {one.dag_id: judge(stack, one, runs[one.dag_id]).faults for one in disguises.disguised_expectations()}
    return Traces(secrets, dict(zip(SINKS, contents, strict=True)), judged, runs["spoiled"])


def run_everything(stack: AirflowStack) -> dict[str, str]:
    """Run the Dags for traces, and return the run of each, of those too that another one triggers."""
    starting = [example.dag_id for example in EXAMPLES if not example.triggered_by]
    runs = {dag_id: stack.trigger(dag_id) for dag_id in ["spoiled", *starting]}
    for dag_id, run_id in runs.items():
        stack.wait(dag_id, run_id)
    return runs | {one.dag_id: run_of(stack, one, runs[one.triggered_by]) for one in EXAMPLES if one.triggered_by}


def secrets_of(stack: AirflowStack, keyring: Keyring, runs: list[tuple[str, str]]) -> frozenset[bytes]:
    """Return the secret of every exclusive row, which only the holder of the private key can learn."""
    rows = [row for dag_id, run_id in runs for row in stack.xcom_rows(dag_id=dag_id, run_id=run_id)]
    references = [Reference.from_row(row.value) for row in rows if is_reference_row(row.value)]
    secrets = (keyring.unwrap(one.wrapped, key_id=one.key_id, context=one.context()) for one in references)
    # A number of a few bytes occurs by accident; the distinctive ones are searched for as values.
    return frozenset(secret for secret in secrets if len(secret) >= search.LEAST_BYTES)


def spoil(deployment: Deployment, keyring: Keyring, run_id: str) -> None:
    """Damage one payload, seal two more under the name of a codec that cannot read them, and have all three read."""
    for row in deployment.stack.xcom_rows(dag_id="spoiled", run_id=run_id):
        if is_reference_row(row.value):
            spoiling.spoil(row, stack=deployment.stack, driver=deployment.driver, keyring=keyring)
    deployment.stack.clear("spoiled", run_id, ["read"], downstream=False)
    deployment.stack.wait("spoiled", run_id)


class TestWhatNobodySeals:
    """Is found: the tests below can fail."""

    def test_a_plain_value_is_found_in_the_database_and_the_log(self, traces):
        published = search.spellings_of_text(text("published"))

        assert {"xcom.value", "xcom_v2.value"} & set(search.places_of(published, traces.sinks[SINKS[0]]))
        logs = search.places_of(published, traces.sinks[SINKS[2]])
        assert [path for path in logs if "task_id=publish" in path]

    def test_a_wrapped_secret_is_found_in_the_metadata_database(self, deployment, traces):
        rows = deployment.stack.xcom_rows(dag_id="spoiled", run_id=traces.spoiled_run)
        secrets = [Reference.from_row(row.value).wrapped for row in rows if is_reference_row(row.value)]

        assert len(secrets) == len(SPOILED)
        for wrapped in secrets:
            assert search.places_of(search.spellings(wrapped), traces.sinks[SINKS[0]])

    def test_a_marker_is_found_in_the_store(self, deployment, traces):
        found = search.places_of(search.spellings_of_text(MARKER), traces.sinks[SINKS[1]])

        kinds = {path.partition("/")[0] for path in found}
        assert kinds == ({"marker"} if deployment.redis is None else {"dump.rdb", "appendonlydir"})


def test_the_examples_ran_and_the_intruder_was_refused(traces):
    assert traces.judged == dict.fromkeys(disguises.DISGUISES, ())


def test_the_spoiled_values_failed_where_they_are_decoded(deployment, traces):
    entries = deployment.stack.log_entries("spoiled", traces.spoiled_run, "read")

    failures = {entry["event"]: [error["exc_type"] for error in entry.get("error_detail", [])] for entry in entries}
    for key, error in SPOILED.items():
        assert error in failures[f"{key} cannot be read"]
    assert SPOILED["arrow"] in failures["Task failed with exception"]


@pytest.mark.parametrize("sink", SINKS)
class TestEverythingThatIsKept:
    def test_holds_no_value(self, traces, canary, sink):
        texts = [canary, text("spoiled"), *disguises.TEXTS]
        spelled = [spelling for one in texts for spelling in search.spellings_of_text(one)]
        spelled += [spelling for one in disguises.NUMBERS for spelling in search.spellings_of_number(one)]

        assert search.places_of(spelled, traces.sinks[sink]) == []

    def test_holds_no_secret(self, traces, key_pair, sink):
        assert len(traces.secrets) >= 12
        secrets = [*traces.secrets, parse_key(key_pair.private, option="test")]

        spelled = [spelling for secret in secrets for spelling in search.spellings(secret)]
        assert search.places_of(spelled, traces.sinks[sink]) == []


def test_the_audit_log_tells_of_reads_and_refusals(deployment, traces):
    events = set(traces.sinks[SINKS[0]]["log.event"].decode().split("\n"))

    assert {"exclusive.read", "exclusive.denied"} <= events
    # Only in the deployment of this folder did somebody try to write where another task writes.
    assert ("exclusive.write_denied" in events) == (deployment.redis is None)
