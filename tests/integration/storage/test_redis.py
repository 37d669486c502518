from __future__ import annotations

import json
import os
import threading
import time

import pytest

from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage.base import StoredPayload, Wanted
from airflow_provider_exclusive.storage.redis.driver import RedisDriver, RedisSettings, connect_single_node
from airflow_provider_exclusive.storage.testing import KEY, Collected, StorageDriverContract, start_in_child
from tests import services

pytestmark = pytest.mark.integration

QUICK = {"connect_timeout_seconds": 1, "read_timeout_seconds": 1, "deadline_seconds": 3}


@pytest.fixture(scope="module")
def tls_server(tls_files):
    with services.redis_server(tls=tls_files, password="open-sesame") as server:
        yield server


@pytest.fixture(scope="module")
def guarded_server():
    acl = ["worker on >worker-password ~exclusive:* +set +get +getrange +unlink +scan +strlen"]
    with services.redis_server(password="open-sesame", acl=acl) as server:
        yield server


def driver_for(server: services.RedisServer, **settings) -> RedisDriver:
    return RedisDriver(RedisSettings(server.host, server.port, **{**QUICK, **settings}))


def client_of(server: services.RedisServer, **settings):
    return connect_single_node(RedisSettings(server.host, server.port, **settings))


def refused(operation, advice: str) -> StorageError:
    with pytest.raises(StorageError, match=advice) as caught:
        operation()
    assert not isinstance(caught.value, StorageUnavailableError)
    return caught.value


class TestRedisDriver(StorageDriverContract):
    @pytest.fixture
    def driver(self, redis_server):
        # Glob characters in the prefix, and a neighbour that they would match, so that escaping is part of the contract.
        prefix = f"[{os.urandom(4).hex()}]*\\x-y?^:"
        client_of(redis_server).set(prefix.replace("*", "many").replace("[", "").replace("]", "") + "v1/a/1", b"other")
        return driver_for(redis_server, key_prefix=prefix, read_timeout_seconds=10, deadline_seconds=20)

    def test_a_payload_is_gone_after_its_time(self, driver, redis_server):
        driver.store(KEY, b"payload", ttl_seconds=1)
        assert driver.retrieve(KEY) == b"payload"
        time.sleep(1.1)
        assert driver.retrieve_many([KEY]) == [None]

    def test_a_payload_expires_only_if_it_has_a_lifetime(self, redis_server):
        driver = driver_for(redis_server, key_prefix="times:")
        driver.store("v1/stays", b"payload", ttl_seconds=None)
        driver.store("v1/goes", b"payload", ttl_seconds=3600)
        assert client_of(redis_server).ttl("times:v1/stays") == -1
        assert 3590 < client_of(redis_server).ttl("times:v1/goes") <= 3600

    def test_foreign_keys_under_the_same_prefix_are_not_listed(self, redis_server):
        client = client_of(redis_server)
        client.set("mixed:not an object", b"x")
        client.set(b"mixed:\xff", b"x")
        client.rpush("mixed:v1/list", "x")
        driver = driver_for(redis_server, key_prefix="mixed:")
        driver.store(KEY, b"payload", ttl_seconds=60)
        assert list(driver.scan()) == [StoredPayload(KEY, 7)]

    def test_a_read_of_many_keys_takes_few_round_trips(self, driver, redis_server):
        client = client_of(redis_server)
        before = client.info("stats")["total_reads_processed"]
        assert driver.retrieve_many([f"v1/{number}" for number in range(1000)]) == [None] * 1000
        assert client.info("stats")["total_reads_processed"] - before < 50

    def test_threads_share_a_client_and_a_forked_child_has_another(self, redis_server):
        built: list[int] = []

        def connect(settings):
            built.append(os.getpid())
            return connect_single_node(settings)

        driver = RedisDriver(RedisSettings(redis_server.host, redis_server.port), connect=connect)
        for _ in range(3):
            driver.store(KEY, b"payload", ttl_seconds=60)

        def child() -> None:
            driver.retrieve(KEY)
            driver.retrieve(KEY)
            assert built == [os.getppid(), os.getpid()]

        start_in_child(child)()
        assert built == [os.getpid()]


class TestTls:
    def test_an_unknown_authority_is_refused(self, tls_server):
        refused(
            lambda: driver_for(tls_server, ssl=True, password="open-sesame").retrieve(KEY),
            r"certificate .* was not accepted: self.signed certificate in certificate chain.*ssl_ca_certs",
        )

    def test_the_authority_of_somebody_else_is_refused(self, tls_server, tmp_path):
        other = services.make_tls_files(tmp_path)
        driver = driver_for(tls_server, ssl=True, ssl_ca_certs=str(other.authority), password="open-sesame")
        refused(lambda: driver.store(KEY, b"payload", ttl_seconds=60), "ssl_ca_certs")

    def test_a_certificate_for_another_host_is_refused(self, tmp_path):
        files = services.make_tls_files(tmp_path, host_name="redis.example", address="192.0.2.1")
        with services.redis_server(tls=files) as server:
            driver = driver_for(server, ssl=True, ssl_ca_certs=str(files.authority))
            refused(lambda: driver.retrieve(KEY), "host name that the certificate was issued for")

    def test_a_missing_authority_file_is_named_as_a_field(self, tls_server, tmp_path):
        driver = driver_for(tls_server, ssl=True, ssl_ca_certs=str(tmp_path / "none.pem"))
        refused(lambda: driver.retrieve(KEY), "cannot be read .*ssl_ca_certs")

    def test_tls_spoken_to_a_plain_port_mentions_ssl(self, redis_server):
        # The server waits for the rest of what it takes for a command, so all that can be seen is silence.
        with pytest.raises(StorageError, match="host, port and ssl"):
            driver_for(redis_server, ssl=True).retrieve(KEY)

    def test_plain_words_spoken_to_a_tls_port_mention_ssl(self, tls_server):
        with pytest.raises(StorageError, match="ssl"):
            driver_for(tls_server).retrieve(KEY)

    def test_the_right_authority_and_password_open_the_store(self, tls_server, tls_files):
        driver = driver_for(tls_server, ssl=True, ssl_ca_certs=str(tls_files.authority), password="open-sesame")
        driver.store(KEY, b"payload", ttl_seconds=60)
        assert driver.retrieve(KEY) == b"payload"


class TestAccess:
    @pytest.mark.parametrize(
        "credentials",
        [
            {},
            {"password": "wrong-password"},
            {"username": "nobody", "password": "open-sesame"},
            {"username": "worker", "password": "wrong-password"},
        ],
    )
    def test_wrong_credentials_name_the_fields_and_not_the_password(self, guarded_server, credentials):
        started = time.monotonic()
        error = refused(
            lambda: driver_for(guarded_server, **credentials).store(KEY, b"payload", ttl_seconds=60),
            f"127.0.0.1:{guarded_server.port} does not accept the credentials. Check login and password",
        )
        assert not any(word in str(error) + repr(error) for word in ("wrong-password", "open-sesame"))
        assert time.monotonic() - started < 1, "a wrong password must not be tried again"

    def test_a_user_confined_to_a_prefix_is_refused_outside_of_it(self, guarded_server):
        driver = driver_for(guarded_server, username="worker", password="worker-password", key_prefix="other:")
        for operation in (
            lambda: driver.store(KEY, b"payload", ttl_seconds=60),
            lambda: driver.retrieve(KEY),
            lambda: driver.delete(KEY),
        ):
            refused(operation, r"ACL SETUSER .*key_prefix")

    def test_a_user_with_only_the_commands_named_can_do_everything(self, guarded_server):
        driver = driver_for(guarded_server, username="worker", password="worker-password")
        driver.store(KEY, b"payload", ttl_seconds=60)
        assert driver.retrieve_many([KEY, "v1/none"]) == [b"payload", None]
        assert list(driver.scan("v1/")) == [StoredPayload(KEY, 7)]
        driver.delete(KEY)
        assert driver.retrieve_many([KEY]) == [None]


class TestFaults:
    @pytest.fixture
    def server(self):
        with services.redis_server() as server:
            yield server

    def test_nobody_listening_is_worth_a_retry_and_known_soon(self):
        driver = RedisDriver(RedisSettings("127.0.0.1", services.free_port(), **QUICK))
        for operation in (
            lambda: driver.store(KEY, b"payload", ttl_seconds=60),
            lambda: driver.retrieve(KEY),
            lambda: driver.delete(KEY),
            lambda: list(driver.scan()),
        ):
            started = time.monotonic()
            with pytest.raises(StorageUnavailableError, match=r"not available.*host, port and ssl"):
                operation()
            assert time.monotonic() - started < 3

    def test_an_unknown_host_is_named(self):
        with pytest.raises(StorageUnavailableError, match=r"redis\.invalid:6379"):
            RedisDriver(RedisSettings("redis.invalid", **QUICK)).retrieve(KEY)

    def test_a_database_that_does_not_exist_is_refused(self, server):
        refused(lambda: driver_for(server, db=99).retrieve(KEY), "DB index is out of range")

    def test_a_full_server_says_what_to_raise_and_keeps_what_it_has(self):
        with services.redis_server(maxmemory="24mb") as server:
            driver = driver_for(server)
            driver.store("v1/kept", b"x" * 1000, ttl_seconds=60)
            driver.store("v1/large", b"x" * 8_000_000, ttl_seconds=60)
            refused(lambda: driver.store(KEY, b"x" * 20_000_000, ttl_seconds=60), "Raise maxmemory .*noeviction")
            assert driver.retrieve("v1/kept") == b"x" * 1000

    def test_a_killed_server_is_unavailable_within_the_deadline(self, server):
        driver = driver_for(server)
        driver.store(KEY, b"x" * 8_000_000, ttl_seconds=60)
        threading.Timer(0.2, server.kill).start()
        give_up = time.monotonic() + 10
        failed_at = None
        while failed_at is None and time.monotonic() < give_up:
            started = time.monotonic()
            try:
                assert driver.retrieve(KEY) == b"x" * 8_000_000
            except StorageUnavailableError:
                failed_at = time.monotonic()
        assert failed_at is not None
        assert failed_at - started < QUICK["deadline_seconds"]

    def test_a_read_that_broke_off_begins_anew(self, server):
        driver = driver_for(server)
        payload = os.urandom(16_000_000)
        driver.store(KEY, payload, ttl_seconds=60)
        admin, sink = client_of(server), Collected()
        write, cuts = sink.write, [2_500_000]

        def cut_the_connection(chunk):
            write(chunk)
            if cuts and len(sink.received) > cuts[0]:
                cuts.pop()
                admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        sink.write = cut_the_connection
        driver.read_many([Wanted(KEY, sink, len(payload))])
        assert sink.received == payload
        assert (sink.restarts, cuts) == (2, [])

    def test_a_frozen_server_is_unavailable_within_the_deadline(self, server):
        driver = driver_for(server)
        driver.store(KEY, b"payload", ttl_seconds=60)
        server.freeze()
        started = time.monotonic()
        with pytest.raises(StorageUnavailableError, match=f"127.0.0.1:{server.port}"):
            driver.retrieve(KEY)
        assert time.monotonic() - started < QUICK["deadline_seconds"] + 0.2
        server.thaw()
        assert driver.retrieve(KEY) == b"payload"

    def test_a_restarted_server_is_found_without_an_error(self, server):
        driver = driver_for(server)
        driver.store(KEY, b"payload", ttl_seconds=60)
        server.kill()
        with services.redis_server(port=server.port):
            assert driver.retrieve_many([KEY]) == [None]

    def test_a_connection_closed_by_the_server_is_replaced(self, server):
        driver = driver_for(server)
        driver.store(KEY, b"payload", ttl_seconds=60)
        admin = client_of(server)
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert driver.retrieve(KEY) == b"payload"

    @pytest.mark.parametrize(
        "states",
        [
            [("REPLICAOF", "127.0.0.1", "1")],
            [("REPLICAOF", "127.0.0.1", "1"), ("CONFIG", "SET", "replica-serve-stale-data", "no")],
            [("CONFIG", "SET", "min-replicas-to-write", "1")],
        ],
        ids=["read-only replica", "replica without its master", "too few replicas"],
    )
    def test_a_server_in_the_middle_of_a_failover_is_worth_a_retry(self, server, states):
        for command in states:
            client_of(server).execute_command(*command)
        with pytest.raises(StorageUnavailableError):
            driver_for(server).store(KEY, b"payload", ttl_seconds=60)

    def test_a_server_busy_with_a_script_is_worth_a_retry(self, server):
        admin = client_of(server)
        admin.config_set("busy-reply-threshold", 1)
        script = threading.Thread(target=_run_endless_script, args=(server,))
        script.start()
        time.sleep(0.2)
        try:
            with pytest.raises(StorageUnavailableError, match="BUSY"):
                driver_for(server, retries=0).retrieve_many([KEY, "v1/other"])
        finally:
            admin.execute_command("SCRIPT", "KILL")
            script.join()
        assert driver_for(server).retrieve_many([KEY]) == [None]

    def test_something_that_is_not_redis_is_called_so(self):
        import http.server

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            driver = RedisDriver(RedisSettings("127.0.0.1", server.server_port, **QUICK))
            with pytest.raises(StorageError, match=f"127.0.0.1:{server.server_port}"):
                driver.retrieve(KEY)
        finally:
            server.shutdown()
            server.server_close()


def _run_endless_script(server: services.RedisServer) -> None:
    import redis.exceptions

    with pytest.raises(redis.exceptions.ResponseError, match="killed"):
        client_of(server).eval("while true do end", 0)


class TestThroughAnAirflowConnection:
    """Connections as users have them for Airflow's Redis provider, by way of its hook."""

    @pytest.fixture
    def driver_at(self):
        def driver_at(server, *, conn_type="redis", extra=None, **fields):
            from airflow.sdk import Connection

            from airflow_provider_exclusive.hooks import connections

            return connections.create_driver(
                Connection(
                    conn_id="a_redis",
                    conn_type=conn_type,
                    host=server.host,
                    port=server.port,
                    extra=json.dumps(extra or {}),
                    **fields,
                )
            )

        return driver_at

    def test_the_database_is_the_one_that_the_providers_extra_names(self, driver_at, redis_server):
        driver = driver_at(redis_server, extra={"db": 3})
        driver.store(KEY, b"payload", ttl_seconds=60)
        assert client_of(redis_server, db=3).get(f"exclusive:{KEY}") == b"payload"
        assert driver.retrieve(KEY) == b"payload"

    @pytest.mark.parametrize("conn_type", ["exclusive", "redis"])
    def test_a_user_with_a_password_reaches_a_server_behind_tls(self, driver_at, tls_server, tls_files, conn_type):
        extra = {"ssl": True, "ssl_ca_certs": str(tls_files.authority)}
        if conn_type == "redis":
            extra |= {"ssl_cert_reqs": "required", "ssl_check_hostname": False}
        driver = driver_at(tls_server, conn_type=conn_type, password="open-sesame", extra=extra)
        driver.store(KEY, b"payload", ttl_seconds=60)
        assert driver.retrieve(KEY) == b"payload"

    def test_an_unknown_authority_is_refused_despite_the_provider(self, driver_at, tls_server):
        extra = {"ssl": True, "ssl_cert_reqs": "optional", "ssl_check_hostname": False}
        driver = driver_at(tls_server, password="open-sesame", extra=extra)
        refused(lambda: driver.retrieve(KEY), r"certificate .* was not accepted")

    def test_a_frozen_server_is_unavailable_within_the_deadline(self, driver_at):
        with services.redis_server() as server:
            driver = driver_at(server, conn_type="exclusive", extra=QUICK)
            driver.store(KEY, b"payload", ttl_seconds=60)
            server.freeze()
            started = time.monotonic()
            with pytest.raises(StorageUnavailableError):
                driver.retrieve(KEY)
            assert time.monotonic() - started < QUICK["deadline_seconds"] + 0.2
            server.thaw()

    def test_a_password_alone_does_not_admit_a_confined_user(self, driver_at, guarded_server):
        driver = driver_at(guarded_server, login="worker", password="worker-password")
        driver.store(KEY, b"payload", ttl_seconds=60)
        assert driver.retrieve(KEY) == b"payload"
        refused(
            lambda: driver_at(guarded_server, login="worker", password="another").retrieve(KEY),
            "does not accept the credentials",
        )
