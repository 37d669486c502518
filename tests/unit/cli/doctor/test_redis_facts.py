"""What a Redis server says of itself, read and judged; ``integration/test_cli.py`` asks real ones."""

from dataclasses import replace

import pytest
from redis import exceptions

from airflow_provider_exclusive.cli.doctor import redis as checks
from airflow_provider_exclusive.cli.doctor.redis import check, examine
from airflow_provider_exclusive.storage.redis.driver import RedisDriver, RedisSettings
from airflow_provider_exclusive.storage.redis.server_info import RedisFacts

INFO = {
    "redis_version": "7.2.4",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "maxmemory": 1000,
    "used_memory": 500,
    "evicted_keys": 0,
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
}
HEALTHY = RedisFacts.from_info(INFO, "redis.example.com", is_tls=True, lets_anyone_in=False)


def faults_of(facts):
    findings = examine(facts, usage=lambda: "sales 90%.")
    return {finding.name: finding.severity.value for finding in findings if finding.severity.value != "ok"}


@pytest.mark.parametrize(
    ("spoiled", "faults"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, {"eviction": "error"}),
        ({"maxmemory_policy": "volatile-ttl"}, {"eviction": "error"}),
        ({"role": "slave"}, {"role": "error"}),
        ({"redis_mode": "cluster"}, {"mode": "error"}),
        ({"server_mode": "cluster"}, {"mode": "error"}),
        ({"redis_mode": "sentinel"}, {"mode": "error"}),
        ({"aof_last_write_status": "err"}, {"disk": "error"}),
        ({"rdb_last_bgsave_status": "err"}, {"disk": "error"}),
        ({"aof_enabled": 0}, {"persistence": "warning"}),
        ({"evicted_keys": 7}, {"evicted_keys": "warning"}),
        ({"used_memory": 801}, {"memory": "warning"}),
        ({"redis_version": "5.0.14"}, {"version": "warning"}),
    ],
)
def test_a_fault_in_what_it_says_is_found(spoiled, faults):
    facts = RedisFacts.from_info({**INFO, **spoiled}, "redis.example.com", is_tls=True, lets_anyone_in=False)
    assert faults_of(facts) == faults


def test_a_sentinel_is_one_finding_with_its_cure():
    info = {"redis_version": "7.0.15", "redis_mode": "sentinel"}
    sentinel = RedisFacts.from_info(info, "redis.example.com", is_tls=False, lets_anyone_in=True)
    (finding,) = examine(sentinel, usage=lambda: pytest.fail("asked"))
    assert "is a Sentinel" in finding.what
    assert "Name the primary" in finding.cure


class Client:
    def __init__(self, failure):
        self.failure = failure

    def info(self):
        raise self.failure


@pytest.mark.parametrize(
    ("failure", "cure"),
    [
        (exceptions.NoPermissionError("this user has no permissions to run the 'info' command"), "ACL SETUSER"),
        (exceptions.ResponseError("unknown command 'INFO'"), "Do what it says"),
    ],
)
def test_the_right_to_info_is_advised_where_it_lacks(make_facts, mocker, failure, cure):
    mocker.patch.object(checks, "make_round_trip")
    driver = RedisDriver(RedisSettings("server"), connect=lambda settings: Client(failure))
    (finding,) = check(make_facts(driver=driver))
    assert (finding.name, finding.severity.value) == ("info", "warning")
    assert cure in finding.cure


def test_a_remote_server_without_tls_or_password_is_found():
    assert faults_of(replace(HEALTHY, is_tls=False, lets_anyone_in=True)) == {"tls": "warning", "password": "warning"}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_on_this_machine_neither_is_needed(host):
    assert faults_of(replace(HEALTHY, host=host, is_tls=False, lets_anyone_in=True)) == {}


def test_missing_facts_raise_no_alarm_but_eviction():
    facts = RedisFacts.from_info({"role": "master", "aof_enabled": 1}, "localhost", is_tls=False, lets_anyone_in=True)
    assert faults_of(facts) == {"eviction": "warning"}


@pytest.mark.parametrize("healthy", [HEALTHY, replace(HEALTHY, maxmemory=0), replace(HEALTHY, used_memory=800)])
def test_a_healthy_server_raises_no_alarm(healthy):
    assert faults_of(healthy) == {}


def test_a_server_that_is_nearly_full_comes_with_what_fills_it():
    findings = examine(replace(HEALTHY, used_memory=900), usage=lambda: "sales 90%.")
    (memory,) = [finding for finding in findings if finding.name == "memory"]
    assert memory.what == "90% of maxmemory (1,000 bytes) is in use. sales 90%."


def test_what_fills_it_is_not_asked_without_need():
    list(examine(HEALTHY, usage=lambda: pytest.fail("asked")))
