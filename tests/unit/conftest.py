"""What the core's tests stand on: a store over memory, a codec of plain JSON and two fixed identities."""

import hashlib
import json
from datetime import UTC, datetime

import hypothesis
import pytest

from airflow_provider_exclusive.codecs.base import Codec, CodecRegistry
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import Clause, ConsumerScope
from airflow_provider_exclusive.store import ExclusiveStore
from tests.fakes import InMemoryDriver

# A deadline would be a timed assertion: on a busy machine it fails whatever the code does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


class JsonCodec(Codec):
    name = "json"

    def accepts(self, value):
        return isinstance(value, (str, int, list, dict, type(None)))

    def encode(self, value):
        return json.dumps(value).encode()

    def decode(self, payload):
        return json.loads(payload)


@pytest.fixture
def producer():
    return TaskIdentity("etl", "run-1", "extract", -1, "0193b1a2-0000-7000-8000-000000000001")


@pytest.fixture
def consumer():
    return TaskIdentity("etl", "run-1", "load")


@pytest.fixture
def scope():
    return ConsumerScope((Clause("etl", "load", "run-1"),))


@pytest.fixture
def raw_key():
    return lambda name: hashlib.sha256(f"a test key, {name}".encode()).digest()


@pytest.fixture
def ring(raw_key):
    return Keyring.from_raw_keys([raw_key("current")])


@pytest.fixture
def driver():
    return InMemoryDriver()


@pytest.fixture
def json_codec():
    return JsonCodec()


@pytest.fixture
def make_store(driver, ring, json_codec):
    def make(*, driver=driver, keyring=ring, **settings):
        keys = LocalDataKeys(keyring)
        defaults = {
            "open_driver": lambda: driver,
            "keys": keys,
            "codecs": CodecRegistry([json_codec]),
            "clock": lambda: NOW,
        }
        return ExclusiveStore(**(defaults | settings))

    return make


@pytest.fixture
def store(make_store):
    return make_store()


@pytest.fixture
def put(store, producer):
    """Put a value as a producer would, for ``load`` in its own run, with anything of the call replaced."""

    def put(value="a value", *, into=store, producer=producer, **call):
        own = ConsumerScope((Clause(producer.dag_id, "load", producer.run_id),))
        return into.put(value, **({"producer": producer, "key": "return_value", "scope": own} | call))

    return put
