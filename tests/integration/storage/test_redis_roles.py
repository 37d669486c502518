"""Servers that do not keep values by themselves, where one server was configured: each is named, with the cure."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager

import pytest

from airflow_provider_exclusive.cli.doctor.redis import examine
from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage.redis.driver import RedisDriver, RedisSettings, connect_single_node
from tests import services

pytestmark = pytest.mark.integration

OPERATIONS = {
    "store": lambda driver, key: driver.store(key, b"payload", ttl_seconds=60),
    "read": lambda driver, key: driver.retrieve_many([key]),
    "delete": lambda driver, key: driver.delete(key),
}
KEYS = [f"v1/{number}" for number in range(20)]


def client_of(server):
    return connect_single_node(RedisSettings(server.host, server.port))


def driver_of(server, **settings):
    return RedisDriver(RedisSettings(server.host, server.port, **settings))


def errors_found_by_doctor(server):
    findings = examine(driver_of(server).inspect(), usage=str)
    return {finding.name for finding in findings if finding.severity.value == "error"}


@contextmanager
def cluster_nodes(*slots):
    """Run a node of one cluster for each range of slots; None for a node without any."""
    with ExitStack() as stack:
        nodes = []
        for owned in slots:
            bus = services.free_port()
            node = stack.enter_context(
                services.redis_server(options=["--cluster-enabled", "yes", "--cluster-port", str(bus)])
            )
            nodes.append(node)
            if owned is not None:
                client_of(node).execute_command("CLUSTER", "ADDSLOTSRANGE", *owned)
            client_of(nodes[0]).execute_command("CLUSTER", "MEET", node.host, node.port, bus)
        yield nodes


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the servers did not come together"
        time.sleep(0.05)


def is_complete(node):
    return b"cluster_state:ok" in client_of(node).execute_command("CLUSTER", "INFO")


def error_of(operation, server, key, **settings):
    """Return the error, which must come at once: repeating the operation would not help."""
    started = time.monotonic()
    with pytest.raises(StorageError) as caught:
        operation(driver_of(server, **settings), key)
    assert time.monotonic() - started < 1
    assert not isinstance(caught.value, StorageUnavailableError)
    return str(caught.value)


@pytest.fixture(scope="module")
def nodes():
    with cluster_nodes((0, 8191), (8192, 16383)) as nodes:
        wait_until(lambda: all(map(is_complete, nodes)))
        yield nodes


@pytest.fixture(scope="module", params=[None, (0, 8191)], ids=["without slots", "with half of the slots"])
def node_that_is_down(request):
    with cluster_nodes(request.param) as (node,):
        yield node


@pytest.fixture(scope="module")
def sentinel():
    with services.redis_server(options=["--sentinel"]) as server:
        yield server


@pytest.fixture
def replica():
    with (
        services.redis_server(options=["--repl-diskless-sync-delay", "0"]) as primary,
        services.redis_server(options=["--replicaof", f"{primary.host} {primary.port}"]) as replica,
    ):
        wait_until(lambda: client_of(replica).info()["master_link_status"] == "up")
        yield replica


class TestCluster:
    @pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
    def test_a_key_of_another_node_names_the_cluster(self, nodes, operation):
        refused = set()
        for key in KEYS:
            try:
                operation(driver_of(nodes[0]), key)
            except StorageError as failure:
                refused.add((type(failure), str(failure).partition("Cluster, expected a single server")[0]))
        assert refused == {(StorageError, f"Redis at 127.0.0.1:{nodes[0].port} is a node of a Redis ")}

    @pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
    def test_a_cluster_that_is_down_is_named_and_not_retried(self, node_that_is_down, operation):
        for key in KEYS:
            error = error_of(operation, node_that_is_down, key)
            assert "is a node of a Redis Cluster" in error
            assert "Name a standalone server" in error

    def test_a_database_number_names_the_cluster(self, nodes):
        error = error_of(OPERATIONS["store"], nodes[0], KEYS[0], db=1)
        assert "is a node of a Redis Cluster" in error

    def test_the_doctor_names_the_cluster(self, nodes):
        assert errors_found_by_doctor(nodes[0]) == {"mode"}


class TestSentinel:
    @pytest.mark.parametrize("settings", [{}, {"db": 1}, {"password": "open-sesame"}], ids=str)
    @pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
    def test_it_is_named_and_not_retried(self, sentinel, operation, settings):
        error = error_of(operation, sentinel, KEYS[0], **settings)
        assert "Sentinel" in error
        assert "Name the primary" in error
        assert "payload" not in error

    def test_the_doctor_names_it(self, sentinel):
        assert errors_found_by_doctor(sentinel) == {"mode"}


class TestReplica:
    @pytest.mark.parametrize("operation", ["store", "delete"])
    def test_it_is_named_and_worth_a_retry_for_a_failover_passes(self, replica, operation):
        with pytest.raises(StorageUnavailableError, match=r"is a replica, expected the primary.*Name the primary"):
            OPERATIONS[operation](driver_of(replica, retries=0), KEYS[0])

    def test_it_is_named_when_its_primary_is_gone(self, replica):
        client_of(replica).config_set("replica-serve-stale-data", "no")
        client_of(replica).execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StorageUnavailableError, match=r"is a replica, expected the primary"):
            driver_of(replica, retries=0).retrieve_many(KEYS)

    def test_the_doctor_names_it(self, replica):
        assert errors_found_by_doctor(replica) == {"role"}
