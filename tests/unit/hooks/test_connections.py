"""From a connection or a URL to a driver, without Airflow: a connection is whatever has its fields."""

import json
from dataclasses import dataclass

import pytest

from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.hooks import connections, extras
from airflow_provider_exclusive.storage.files import FilesDriver
from airflow_provider_exclusive.storage.redis.driver import RedisDriver, RedisSettings
from tests.programs import output_of

PASSWORD = "open-sesame"


@dataclass
class Connection:
    """The fields of Airflow's connection, and its reading of ``extra``: what is no JSON counts as nothing."""

    conn_id: str = "my_store"
    conn_type: str = "exclusive"
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = None
    schema: str | None = None
    extra: str | None = None

    @property
    def extra_dejson(self):
        try:
            return json.loads(self.extra) if self.extra else {}
        except ValueError:
            return {}


def connect(*, extra=None, **fields):
    encoded = extra if extra is None or isinstance(extra, str) else json.dumps(extra)
    return connections.create_driver(Connection(extra=encoded, **fields))


def refusal(call, *arguments, **keywords):
    with pytest.raises(ConfigurationError) as caught:
        call(*arguments, **keywords)
    return caught.value


def refused_field(name, **fields):
    """Return the message about field ``name``, which names the connection, too."""
    error = refusal(connect, **fields)
    assert error.option == name
    assert str(error).startswith("Connection 'my_store', field ")
    assert name in str(error)
    return str(error)


def settings_of(driver) -> RedisSettings:
    assert isinstance(driver, RedisDriver)
    return driver._settings


class TestBadConnections:
    @pytest.mark.parametrize("conn_type", ["postgres", "http", "rediss", "", None])
    def test_another_type_is_refused_before_its_fields_are_read(self, conn_type):
        message = refused_field("conn_type", conn_type=conn_type, host="db", login="x", password=PASSWORD)
        assert f"{conn_type!r}; expected exclusive or redis." in message

    def test_an_empty_one_says_what_it_needs(self):
        assert "expected a Redis server, or an object store's URL in 'storage'" in refused_field("host")

    @pytest.mark.parametrize(
        "host",
        [
            f"redis://:{PASSWORD}@server:6379/0",
            f"worker:{PASSWORD}@server",
            "server/0",
            "two servers",
            "server\n",
            " ",
            "server:6380",
        ],
    )
    def test_an_invalid_host_name_is_refused_and_not_repeated(self, host):
        message = refused_field("host", host=host)
        assert "not a host name" in message
        assert PASSWORD not in message

    @pytest.mark.parametrize("port", [-1, 0, 65536, 10**12, "6379/0", "seven"])
    def test_a_port_that_is_none_is_refused(self, port):
        assert f"{port!r}; expected a number from 1 to 65535" in refused_field("port", host="server", port=port)

    @pytest.mark.parametrize("schema", ["public", "-1", "0.5", "٣"])
    def test_a_schema_that_is_no_database_number_is_refused(self, schema):
        message = refused_field("schema", host="server", schema=schema)
        assert f"{schema!r}; expected the number of a Redis database" in message

    def test_files_of_tls_without_tls_are_refused(self):
        message = refused_field("ssl_certfile", host="server", extra={"ssl_certfile": "/cert.pem"})
        assert "Set ssl to true" in message

    def test_two_different_database_numbers_are_refused(self):
        assert "1, and the schema is 2" in refused_field("db", host="server", schema="2", extra={"db": 1})

    @pytest.mark.parametrize("extra", ["{'db': 1}", '{"db": 1', "db=1", '["db"]', '"db"', "7"])
    def test_an_extra_that_is_not_a_json_object_is_refused(self, extra):
        message = refused_field("extra", host="server", extra=extra)
        assert "not a JSON object" in message
        assert extra not in message

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("stroage", "storage"),
            ("ssl_ca_cert", "ssl_ca_certs"),
            ("retry", "retries"),
            ("key-prefix", "key_prefix"),
            ("connect_timeout", "connect_timeout_seconds"),
        ],
    )
    def test_an_unread_field_is_refused_with_the_name_meant(self, name, meant):
        message = refused_field(name, host="server", extra={name: PASSWORD})
        assert f"did you mean {meant!r}?" in message
        assert PASSWORD not in message

    @pytest.mark.parametrize("content", ["x", None, "", False])
    def test_an_unknown_field_is_refused_with_all_valid_fields(self, content):
        assert "it has storage, key_prefix, " in refused_field("quux", host="server", extra={"quux": content})

    @pytest.mark.parametrize("name", ["ssl_cert_reqs", "ssl_check_hostname"])
    def test_server_verification_is_not_a_field(self, name):
        refused_field(name, host="server", extra={name: "none"})

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("cluster", True),
            ("cluster", "true"),
            ("startup_nodes", "a:6379,b:6379"),
            ("sentinels", ["a:26379"]),
            ("service_name", "mymaster"),
        ],
    )
    def test_cluster_and_sentinel_are_refused_rather_than_ignored(self, name, content):
        assert "talks to a single Redis node; unset it" in refused_field(name, host="server", extra={name: content})

    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("storage", 7, "7; expected text"),
            ("storage", {"url": f"s3://x:{PASSWORD}@b"}, "a dict; expected text"),
            ("key_prefix", ["a"], "a list; expected text"),
            ("ssl", "yes", "'yes'; expected true or false"),
            ("ssl", 2, "2; expected true or false"),
            ("ssl_ca_certs", True, "True; expected text"),
            ("db", "zero", "'zero'; expected a whole number"),
            ("db", True, "True; expected a whole number"),
            ("retries", -1, "-1; expected a whole number"),
            ("retries", "3.5", "'3.5'; expected a whole number"),
            ("retries", "9" * 5000, "expected a whole number"),
            ("connect_timeout_seconds", "soon", "'soon'; expected a number of seconds"),
            ("connect_timeout_seconds", 0, "0; expected a number of seconds, more than 0"),
            ("connect_timeout_seconds", True, "True; expected a number of seconds"),
            ("read_timeout_seconds", -1, "-1; expected a number of seconds"),
            ("read_timeout_seconds", "nan", "'nan'; expected a number of seconds"),
            ("read_timeout_seconds", [5], "a list; expected a number of seconds"),
            ("deadline_seconds", "inf", "'inf'; expected a number of seconds"),
            ("deadline_seconds", 1e300, "1e+300; expected a number of seconds, more than 0 and at most 86400"),
        ],
    )  # fmt: skip
    def test_a_field_of_another_type_names_what_is_expected(self, name, content, expected):
        message = refused_field(name, host="server", extra={name: content})
        assert expected in message
        assert PASSWORD not in message

    def test_contradicting_times_name_the_connection_too(self):
        message = refused_field("deadline_seconds", host="server", extra={"deadline_seconds": 10})
        assert "field deadline_seconds: got 10.0, expected at least the 35 seconds" in message

    @pytest.mark.parametrize(
        ("name", "fields"),
        [
            ("host", {"host": "server"}),
            ("port", {"port": 6379}),
            ("login", {"login": "AKIA"}),
            ("password", {"password": PASSWORD}),
            ("schema", {"schema": "0"}),
            ("key_prefix", {"extra": {"storage": "s3://bucket", "key_prefix": "x:"}}),
            ("ssl", {"extra": {"storage": "s3://bucket", "ssl": True}}),
        ],
    )
    def test_a_redis_field_beside_an_object_store_is_refused(self, name, fields):
        message = refused_field(name, **({"extra": {"storage": "s3://bucket"}} | fields))
        assert "set together with 'storage'; a connection names one store: unset one of them." in message
        assert PASSWORD not in message

    def test_an_invalid_url_names_the_connection_not_the_option(self):
        message = refused_field("storage", extra={"storage": "bucket/prefix"})
        assert "'bucket/prefix'; expected the URL of a store" in message
        assert "[exclusive] storage" not in message


class TestBadUrls:
    @pytest.mark.parametrize(
        "url",
        [
            f"s3://key:{PASSWORD}@bucket/prefix",
            f"s3://:{PASSWORD}@bucket",
            f"//key:{PASSWORD}@bucket",
            f"file://:{PASSWORD}@/data",
            # What no parser reads as its author meant it.
            f"s3://key:{PASSWORD}/x@bucket",
            f"s3://key:{PASSWORD}#x@bucket",
            f"s3://key:{PASSWORD}?x@bucket",
            f"key:{PASSWORD}@bucket",
            f"s3://key:123/{PASSWORD}@bucket",
            f"s3://key:{PASSWORD}@[bucket",
            f"s3://key:{PASSWORD}@bucket\u2100",
            f"file://{PASSWORD}@host/data",
            f"redis://:{PASSWORD}@server:6379/0",
            f"s3://bucket/prefix?X-Amz-Signature={PASSWORD}",
        ],
    )
    def test_a_secret_in_the_url_is_refused_and_never_repeated(self, url):
        error = refusal(connections.create_driver_from_url, url)
        assert error.option == "[exclusive] storage"
        shown = [str(error), repr(error), repr(error.__cause__)]
        assert not any(PASSWORD in text for text in shown)
        assert error.__context__ is None or error.__suppress_context__

    def test_a_password_is_said_to_belong_into_a_connection(self):
        error = refusal(connections.create_driver_from_url, f"s3://key:{PASSWORD}@bucket/prefix")
        assert "Write s3://connection_id@bucket/prefix and keep the password in that Airflow connection." in str(error)

    @pytest.mark.parametrize("url", ["redis://server:6379/0", "rediss://server", "exclusive://server"])
    def test_that_of_a_redis_server_is_said_to_need_a_connection(self, url):
        error = refusal(connections.create_driver_from_url, url)
        assert "Create an Airflow connection of type 'exclusive' for it" in str(error)
        assert "name that in [exclusive] conn_id" in str(error)

    @pytest.mark.parametrize(
        "url", ["", "exclusive", "/var/lib/airflow/exclusive", "s3:bucket", "s3:///prefix", "C:\\data"]
    )
    def test_what_names_no_store_is_refused_with_an_example(self, url):
        error = refusal(connections.create_driver_from_url, url)
        assert str(error) == (
            f"[exclusive] storage: {url!r}; expected the URL of a store, such as file:///path or s3://bucket/prefix."
        )

    @pytest.mark.parametrize(
        "url",
        [
            "file:",
            "file://",
            "file:///",
            "file://///",
            "file:data",
            "file://data",
            "file://host/data",
            "file:///a%00b",
            "local://data",
        ],
    )
    def test_a_file_url_without_an_absolute_local_path_is_refused(self, url):
        error = refusal(connections.create_driver_from_url, url)
        assert str(error) == f"[exclusive] storage: {url!r}; expected file:///absolute/path."

    @pytest.mark.parametrize(
        "url", ["file:///data?x", "file:///data#1", "s3://bucket/prefix?versionId=1", "s3://bucket#x"]
    )
    def test_what_would_be_cut_off_silently_is_refused(self, url):
        assert "a URL with '?' or '#'" in str(refusal(connections.create_driver_from_url, url))


class TestFiles:
    @pytest.mark.parametrize(
        ("url", "root"),
        [
            ("file:///data", "/data"),
            ("file://localhost/data/", "/data"),
            ("FILE:///data", "/data"),
            ("local:///data", "/data"),
            ("file:/data", "/data"),
            ("file:///data/a b", "/data/a b"),
            ("file:///data/a%20b%23c", "/data/a b#c"),
        ],
    )
    def test_a_file_url_names_a_directory(self, url, root):
        driver = connections.create_driver_from_url(url)
        assert isinstance(driver, FilesDriver)
        assert repr(driver) == f"FilesDriver({root!r})"

    @pytest.mark.parametrize("extra", [{}, {"ssl": False}, {"ssl": "false"}, {"key_prefix": "", "retries": None}])
    def test_a_connection_may_name_a_directory_only(self, extra):
        driver = connect(extra={"storage": "file:///data"} | extra, host="", login=None)
        assert repr(driver) == "FilesDriver('/data')"


class TestRedis:
    @pytest.mark.parametrize("host", ["::1", "2001:db8::7"])
    def test_an_address_of_ipv6_is_a_host(self, host):
        assert settings_of(connect(host=host)).host == host

    def test_a_host_is_enough(self):
        assert settings_of(connect(host="server")) == RedisSettings("server")

    @pytest.mark.parametrize("extra", [None, "", "{}", "{ }", "null"])
    def test_an_empty_extra_is_none(self, extra):
        assert settings_of(connect(host="server", extra=extra)) == RedisSettings("server")

    def test_every_field_reaches_the_client(self):
        driver = connect(
            host="::1",
            port=6380,
            login="worker",
            password=PASSWORD,
            schema="3",
            extra={
                "key_prefix": "x:",
                "ssl": True,
                "ssl_ca_certs": "/ca.pem",
                "ssl_certfile": "/me.pem",
                "ssl_keyfile": "/me.key",
                "connect_timeout_seconds": 1,
                "read_timeout_seconds": 2.5,
                "deadline_seconds": 60,
                "retries": 0,
            },
        )
        assert settings_of(driver) == RedisSettings(
            host="::1",
            port=6380,
            db=3,
            username="worker",
            password=PASSWORD,
            ssl=True,
            ssl_ca_certs="/ca.pem",
            ssl_certfile="/me.pem",
            ssl_keyfile="/me.key",
            key_prefix="x:",
            connect_timeout_seconds=1,
            read_timeout_seconds=2.5,
            deadline_seconds=60,
            retries=0,
        )

    def test_every_known_field_is_one_of_the_client_or_the_store(self):
        assert set(extras.Extras.model_fields) - {"storage"} <= set(RedisSettings.__dataclass_fields__)

    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("ssl", "true", True),
            ("ssl", "True", True),
            ("ssl", "1", True),
            ("ssl", "false", False),
            ("retries", "5", 5),
            ("db", "2", 2),
            ("read_timeout_seconds", "2.5", 2.5),
        ],
    )
    def test_connection_uri_strings_are_read_as_their_types(self, name, text, value):
        read = getattr(settings_of(connect(host="server", extra={name: text})), name)
        assert (read, type(read)) == (value, type(value))

    @pytest.mark.parametrize("fields", [{"schema": "2"}, {"extra": {"db": 2}}, {"schema": "2", "extra": {"db": "2"}}])
    def test_the_database_number_is_the_schema_or_the_extra(self, fields):
        assert settings_of(connect(host="server", **fields)).db == 2

    @pytest.mark.parametrize("content", [False, "false", 0, "", None])
    def test_a_cluster_that_is_none_is_a_single_node(self, content):
        assert settings_of(connect(host="server", extra={"cluster": content})) == RedisSettings("server")

    def test_a_redis_type_connection_is_read_as_its_provider_does(self):
        extra = {
            "db": 4,
            "ssl": True,
            "ssl_cert_reqs": "required",
            "ssl_ca_certs": "/ca.pem",
            "ssl_keyfile": "/me.key",
            "ssl_certfile": "/me.pem",
            "ssl_check_hostname": False,
        }
        settings = settings_of(connect(conn_type="redis", host="server", password=PASSWORD, extra=extra))
        assert (settings.db, settings.ssl, settings.ssl_ca_certs, settings.password) == (4, True, "/ca.pem", PASSWORD)
        assert (settings.ssl_certfile, settings.ssl_keyfile) == ("/me.pem", "/me.key")

    def test_no_repr_shows_the_password(self):
        driver = connect(host="server", login="worker", password=PASSWORD)
        assert PASSWORD not in repr(driver)
        assert PASSWORD not in repr(settings_of(driver))


def test_importing_the_module_imports_no_airflow_or_client():
    program = (
        "import sys, airflow_provider_exclusive.hooks.connections;"
        "print(sorted({'airflow', 'redis', 'fsspec', 'pyarrow', 'cryptography'} & set(sys.modules)))"
    )
    assert output_of(program).strip() == "[]"
