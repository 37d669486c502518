"""The driver keeps its contract, its deadline and its counsel over a server that answers as it is told."""

from __future__ import annotations

import os

import pytest
from redis import exceptions

from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage.base import StoredPayload
from airflow_provider_exclusive.storage.redis.driver import RedisDriver, RedisSettings, connect_single_node
from airflow_provider_exclusive.storage.testing import KEY, StorageDriverContract

TOO_LARGE = 512 * 1024 * 1024 + 1
PREFIX = "[ab]*\\x-y?^:"


class Sized:
    """A payload that has a size and no bytes, for nothing may look at them."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size


class Clock:
    """Stands for ``time`` in tenacity: its pauses take no time but the clock's."""

    def __init__(self):
        self.now, self.pauses = 1000.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(mocker):
    clock = Clock()
    mocker.patch("tenacity.time", clock)
    mocker.patch("tenacity.nap.time", clock)
    return clock


@pytest.fixture
def driver(redis):
    return RedisDriver(RedisSettings("127.0.0.1", redis.port, key_prefix=PREFIX))


class Client:
    """A client whose every command fails after so many seconds; ``failures`` run out, then it works."""

    def __init__(self, clock, failures, seconds=0.0):
        self.clock, self.failures, self.seconds = clock, list(failures), seconds
        self.started, self.unlinked = [], []

    def unlink(self, name):
        self.started.append(self.clock.now - 1000)
        self.clock.now += self.seconds
        if self.failures:
            raise self.failures.pop(0)
        self.unlinked.append(name)
        return 1


def driver_of(client, **settings):
    return RedisDriver(RedisSettings("server", **settings), connect=lambda settings: client)


def nobody_connects(settings):
    raise AssertionError(settings)


class TestContract(StorageDriverContract):
    many = 250

    def test_a_forked_child_and_its_parent_keep_working(self, driver, mocker):
        """Forking a process whose threads serve would hang; a real server is asked in the integration tests."""
        driver.store(KEY, b"payload", ttl_seconds=60)
        mocker.patch("os.getpid", return_value=os.getpid() + 1)
        assert driver.retrieve(KEY) == b"payload"


class TestWrites:
    def test_what_redis_cannot_take_is_refused_unsent(self):
        driver = RedisDriver(RedisSettings("server"), connect=nobody_connects)
        with pytest.raises(StorageError, match=r"536,870,913 bytes does not fit.*at most 536,870,912"):
            driver.store(KEY, Sized(TOO_LARGE), ttl_seconds=60)

    def test_a_bad_key_is_refused_before_a_large_payload(self):
        driver = RedisDriver(RedisSettings("server"), connect=nobody_connects)
        with pytest.raises(StorageError, match="Refusing the object key"):
            driver.store("../key", Sized(TOO_LARGE), ttl_seconds=60)

    @pytest.mark.parametrize(("ttl_seconds", "milliseconds"), [(None, None), (1, 1000), (86_400, 86_400_000)])
    def test_the_expiry_is_set_with_the_value(self, driver, redis, ttl_seconds, milliseconds):
        driver.store(KEY, b"payload", ttl_seconds=ttl_seconds)
        assert redis.expiries == {f"{PREFIX}{KEY}".encode(): milliseconds}
        assert redis.names().count("SET") == 1

    def test_a_full_server_says_what_to_raise(self, driver, redis):
        redis.answers["SET"] = [b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"]
        with pytest.raises(StorageError, match=r"is full.*Raise maxmemory.*noeviction"):
            driver.store(KEY, b"payload", ttl_seconds=60)
        assert redis.names().count("SET") == 1


class TestAnswers:
    @pytest.mark.parametrize("answer", [b"$-1\r\n", b":0\r\n", b"+QUEUED\r\n", b"$2\r\nno\r\n", b"*0\r\n"])
    def test_a_write_that_was_not_acknowledged_is_an_error(self, driver, redis, answer):
        redis.answers["SET"] = [answer]
        with pytest.raises(StorageError, match="is not Redis"):
            driver.store(KEY, b"payload", ttl_seconds=60)

    @pytest.mark.parametrize("answer", [b"$-1\r\n", b"+OK\r\n", b":7\r\n", b":-1\r\n", b"*0\r\n"])
    def test_a_delete_that_was_none_is_an_error(self, driver, redis, answer):
        redis.answers["UNLINK"] = [answer]
        with pytest.raises(StorageError, match="is not Redis"):
            driver.delete(KEY)


class TestReads:
    def test_more_keys_than_a_batch_holds_are_read_in_order(self, driver, redis):
        redis.values = {f"{PREFIX}v1/{number}".encode(): b"%d" % number for number in range(401)}
        assert driver.retrieve_many([f"v1/{number}" for number in range(401)]) == [b"%d" % n for n in range(401)]

    def test_a_forbidden_key_names_the_rights_that_lack(self, driver, redis):
        redis.answers["GET"] = [b"-NOPERM No permissions to access a key\r\n"]
        with pytest.raises(StorageError, match=r"ACL SETUSER .*\+get \+getrange"):
            driver.retrieve(KEY)

    def test_something_else_under_the_key_is_told_apart(self, driver, redis):
        redis.answers["GET"] = [b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"]
        with pytest.raises(StorageError, match="something else wrote under the key") as caught:
            driver.retrieve(KEY)
        assert not isinstance(caught.value, StorageUnavailableError)

    def test_what_is_not_redis_is_called_so(self, driver, redis):
        redis.answers["GET"] = [b"HTTP/1.1 400 Bad Request\r\n\r\n"]
        with pytest.raises(StorageError, match="is not Redis"):
            driver.retrieve(KEY)


class TestRepetition:
    def test_a_hang_up_in_the_middle_is_read_anew(self, driver, redis, clock):
        driver.store(KEY, b"payload", ttl_seconds=60)
        redis.answers["GET"] = [b"", b"$7\r\npay"]
        assert driver.retrieve(KEY) == b"payload"
        assert redis.names().count("GET") == 3

    def test_a_read_is_repeated_on_another_connection(self, driver, redis, clock):
        driver.store(KEY, b"payload", ttl_seconds=60)
        before = redis.connections
        redis.answers["GET"] = [b"-LOADING Redis is loading the dataset in memory\r\n"]
        assert driver.retrieve(KEY) == b"payload"
        assert redis.connections == before + 1

    @pytest.mark.parametrize(
        "passing",
        [
            exceptions.ConnectionError("reset"),
            exceptions.TimeoutError("silence"),
            exceptions.BusyLoadingError("loading"),
            exceptions.ReadOnlyError("a replica"),
            exceptions.ResponseError("BUSY a script"),
            ConnectionResetError(),
        ],
    )
    def test_what_passes_is_tried_again(self, clock, passing):
        client = Client(clock, [passing] * 3)
        driver_of(client).delete(KEY)
        assert client.unlinked == [f"exclusive:{KEY}"]
        assert len(client.started) == 4

    @pytest.mark.parametrize(
        "lasting",
        [
            exceptions.AuthenticationError("wrong"),
            exceptions.NoPermissionError("no"),
            exceptions.OutOfMemoryError("full"),
            exceptions.ResponseError("ERR no such command"),
        ],
    )
    def test_what_stays_is_not_tried_again(self, clock, lasting):
        client = Client(clock, [lasting])
        with pytest.raises(StorageError) as caught:
            driver_of(client).delete(KEY)
        assert not isinstance(caught.value, StorageUnavailableError)
        assert (len(client.started), clock.pauses) == (1, [])

    @pytest.mark.parametrize("retries", [0, 1, 3])
    def test_it_gives_up_after_the_retries(self, clock, retries):
        client = Client(clock, [exceptions.ConnectionError("reset")] * 9)
        with pytest.raises(StorageUnavailableError, match="server:6379 is not available: reset"):
            driver_of(client, retries=retries).delete(KEY)
        assert len(client.started) == retries + 1

    def test_pauses_are_short(self, clock):
        with pytest.raises(StorageUnavailableError):
            driver_of(Client(clock, [exceptions.ConnectionError()] * 99), retries=20).delete(KEY)
        assert len(clock.pauses) == 20
        assert all(0 <= pause <= 1 for pause in clock.pauses)
        assert clock.pauses[0] <= 0.1

    @pytest.mark.parametrize("seconds", [10, 20, 24, 26, 35])
    def test_no_attempt_begins_that_could_pass_the_deadline(self, clock, seconds):
        client = Client(clock, [exceptions.TimeoutError("silence")] * 99, seconds)
        with pytest.raises(StorageUnavailableError):
            driver_of(client, retries=90, deadline_seconds=60).delete(KEY)  # one attempt may hang for 35 seconds
        assert all(start <= 25 for start in client.started)
        assert len(client.started) == {10: 3, 20: 2, 24: 2, 26: 1, 35: 1}[seconds]

    def test_a_deadline_of_one_attempt_allows_one(self, clock):
        client = Client(clock, [exceptions.TimeoutError("silence")] * 9)
        with pytest.raises(StorageUnavailableError):
            driver_of(client, deadline_seconds=35).delete(KEY)
        assert client.started == [0]

    def test_an_error_of_nobody_passes_as_it_is(self, clock):
        client = Client(clock, [ZeroDivisionError()])
        with pytest.raises(ZeroDivisionError):
            driver_of(client).delete(KEY)
        assert len(client.started) == 1


class TestScan:
    def test_characters_of_patterns_stand_for_themselves(self, driver, redis):
        list(driver.scan("v1/a"))
        (scan,) = {command for command in redis.commands if command[0] == "SCAN" and command[1] == b"0"}
        assert scan[2:] == (b"MATCH", rb"\[ab\]\*\\x\-y\?\^:v1/a*", b"COUNT", b"200", b"TYPE", b"STRING")

    def test_a_neighbour_that_a_pattern_would_match_is_not_listed(self, driver, redis):
        redis.values = {b"a-many\\x-y.^:v1/a": b"other", f"{PREFIX}v1/a".encode(): b"own"}
        assert list(driver.scan()) == [StoredPayload("v1/a", 3)]

    def test_what_is_no_object_key_is_not_listed(self, driver, redis):
        redis.values = {f"{PREFIX}{name}".encode("latin-1"): b"x" for name in ("not an object", "\xff", "../v1", "v1/")}
        assert list(driver.scan()) == []

    def test_a_key_that_comes_twice_is_listed_once(self, driver, redis):
        redis.values = {f"{PREFIX}{KEY}".encode(): b"payload"}
        redis.scanned = list(redis.values) * 3
        assert list(driver.scan()) == [StoredPayload(KEY, 7)]

    def test_one_that_goes_meanwhile_has_no_size(self, driver, redis):
        redis.scanned = [f"{PREFIX}{KEY}".encode()]
        assert list(driver.scan()) == [StoredPayload(KEY, 0)]

    def test_a_refusal_in_the_middle_is_an_error(self, driver, redis):
        redis.values = {f"{PREFIX}{KEY}".encode(): b"payload"}
        redis.answers["STRLEN"] = [b"-NOPERM User has no permissions to run the 'strlen' command\r\n"]
        with pytest.raises(StorageError, match=r"\+scan \+strlen"):
            list(driver.scan())

    def test_a_refused_scan_is_an_error(self, driver, redis):
        redis.answers["SCAN"] = [b"-NOPERM User has no permissions to run the 'scan' command\r\n"]
        with pytest.raises(StorageError, match=r"\+scan \+strlen"):
            list(driver.scan())


class TestInspection:
    def test_a_refused_info_is_an_error(self, driver, redis):
        redis.answers["INFO"] = [b"-NOPERM User has no permissions to run the 'info' command\r\n"]
        with pytest.raises(StorageError, match="forbids its user a command"):
            driver.inspect()

    def test_a_server_that_asks_no_password_lets_anyone_in(self, driver):
        facts = driver.inspect()
        assert facts.lets_anyone_in
        assert (facts.host, facts.is_tls, facts.version, facts.maxmemory) == ("127.0.0.1", False, "7.2.4", 1000)

    def test_a_server_that_asks_for_one_does_not(self, redis):
        redis.password = "open-sesame"
        driver = RedisDriver(RedisSettings("127.0.0.1", redis.port, username="me", password="open-sesame"))
        assert not driver.inspect().lets_anyone_in
        assert [words for command, *words in redis.commands if command == "AUTH"] == [[b"me", b"open-sesame"]]

    def test_the_stranger_leaves_again(self, redis):
        clients = []

        def connect(settings):
            clients.append((settings.username, settings.password, connect_single_node(settings)))
            return clients[-1][-1]

        settings = RedisSettings("127.0.0.1", redis.port)
        RedisDriver(settings, connect=connect).inspect()
        assert [client[:2] for client in clients] == [(None, None)] * 2
        stranger = clients[-1][-1].connection_pool
        assert [connection._sock for connection in stranger._available_connections] == [None]


class TestClients:
    def test_its_text_names_the_server_and_no_password(self):
        shown = repr(RedisDriver(RedisSettings("server", 1, username="me", password="open-sesame")))
        assert shown == "RedisDriver('server:1', key_prefix='exclusive:')"

    def test_no_client_is_made_before_a_command(self):
        RedisDriver(RedisSettings("server"), connect=nobody_connects)

    def test_a_process_has_one_client_and_a_forked_one_its_own(self, redis, mocker):
        made = []

        def connect(settings):
            made.append(connect_single_node(settings))
            return made[-1]

        driver = RedisDriver(RedisSettings("127.0.0.1", redis.port), connect=connect)
        for _ in range(3):
            driver.delete(KEY)
        assert (len(made), redis.connections) == (1, 1)
        mocker.patch("os.getpid", return_value=os.getpid() + 1)
        driver.delete(KEY)
        driver.delete(KEY)
        assert (len(made), redis.connections) == (2, 2)
