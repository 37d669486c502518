"""The client that Airflow's Redis provider makes of a connection, with our limits; nothing connects here."""

import json

import pytest
from redis.connection import Connection, SSLConnection

from airflow_provider_exclusive.hooks.redis import ExclusiveRedisHook
from airflow_provider_exclusive.storage.redis.driver import RedisSettings, connect_single_node
from tests.programs import output_of
from tests.unit.hooks import test_connections as connecting

TLS = {"ssl_ca_certs": "/ca.pem", "ssl_certfile": "/me.pem", "ssl_keyfile": "/me.key"}
READ_BY_THE_PROVIDER = {"driver_info", "lib_name", "lib_version"}


def pool_of(settings):
    return ExclusiveRedisHook(settings).get_conn().connection_pool


def plain(arguments):
    """Return those of the arguments that can be compared: no objects, which are made for each client."""
    return {name: value for name, value in arguments.items() if isinstance(value, (str, int, float, type(None)))}


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (RedisSettings("server"), Connection),
        (RedisSettings("::1", 6380, 3, "worker", "open-sesame", ssl=True, **TLS), SSLConnection),
        (RedisSettings("server", connect_timeout_seconds=1, read_timeout_seconds=2, deadline_seconds=9), Connection),
    ],
)
def test_it_differs_from_a_plain_client_only_in_its_name(settings, kind):
    ours, bare = pool_of(settings), connect_single_node(settings).connection_pool
    assert ours.connection_class is bare.connection_class is kind
    assert ours.connection_kwargs.keys() | READ_BY_THE_PROVIDER == bare.connection_kwargs.keys() | READ_BY_THE_PROVIDER
    assert plain(ours.connection_kwargs) == plain(bare.connection_kwargs)
    assert ours.connection_kwargs["retry"].get_retries() == 0


def test_the_server_is_always_verified():
    arguments = pool_of(RedisSettings("server", ssl=True)).connection_kwargs
    assert (arguments["ssl_cert_reqs"], arguments["ssl_check_hostname"]) == ("required", True)


@pytest.mark.parametrize("word", ["None", "false"])
def test_what_the_provider_takes_for_no_password_is_none(word):
    assert pool_of(RedisSettings("server", password=word)).connection_kwargs["password"] is None


@pytest.mark.parametrize("conn_type", ["exclusive", "redis"])
def test_the_driver_asks_the_hook_for_a_client_only_when_needed(conn_type):
    driver = connecting.connect(conn_type=conn_type, host="server", extra={"ssl": "false", "cluster": "false"})
    pool = driver._client().connection_pool
    assert pool.connection_class is Connection
    assert "apache-airflow-providers-redis" in repr(vars(pool.connection_kwargs["driver_info"]))


def test_a_driver_without_a_command_imports_no_client():
    program = (
        "import sys; from types import SimpleNamespace; from airflow_provider_exclusive.hooks import connections\n"
        "connection = SimpleNamespace(conn_type='redis', host='server', port=None, login=None, password=None,\n"
        "    schema=None, extra=None, extra_dejson={}, conn_id='x')\n"
        "print(connections.create_driver(connection), sorted({'airflow', 'redis'} & set(sys.modules)))"
    )
    assert output_of(program).strip().endswith("[]")


class TestVerificationExtras:
    """``ssl_cert_reqs`` and ``ssl_check_hostname`` as the provider's form writes them."""

    @pytest.mark.parametrize("value", ["required", "optional"])
    @pytest.mark.parametrize("checks_host", [True, False, "true"])
    def test_they_may_ask_for_less_than_is_done(self, value, checks_host):
        extra = {"ssl": True, "ssl_cert_reqs": value, "ssl_check_hostname": checks_host}
        assert connecting.settings_of(connecting.connect(conn_type="redis", host="server", extra=extra)).ssl is True

    def test_a_connection_without_tls_may_leave_them_as_they_are(self):
        extra = {"ssl": False, "ssl_cert_reqs": "none"}
        assert connecting.settings_of(connecting.connect(conn_type="redis", host="server", extra=extra)).ssl is False

    def test_tls_without_verification_is_refused(self):
        message = connecting.refused_field(
            "ssl_cert_reqs", conn_type="redis", host="server", extra={"ssl": True, "ssl_cert_reqs": "none"}
        )
        assert "'none'; expected required; this provider always verifies the server's certificate." in message

    @pytest.mark.parametrize("value", ["require", 0, json.dumps({})])
    def test_a_mode_that_there_is_not_is_refused(self, value):
        message = connecting.refused_field(
            "ssl_cert_reqs", conn_type="redis", host="server", extra={"ssl": True, "ssl_cert_reqs": value}
        )
        assert f"{value!r}; expected required" in message
