"""What this process makes of its settings: one driver and one store, each made once and no sooner than needed."""

from __future__ import annotations

import base64
import threading

import pytest

from airflow_provider_exclusive import config, wiring
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys, ServerDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring, format_key
from airflow_provider_exclusive.exceptions import CodecError, ConfigurationError
from airflow_provider_exclusive.storage.files import FilesDriver
from tests.fakes import InMemoryDriver


@pytest.fixture(autouse=True)
def fresh_process():
    caches = (wiring._settings, wiring._driver, wiring._store)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def configure(mocker, tmp_path, raw_key):
    """Set options, over a store in a temporary folder and a key; return how often they were read."""

    def configure(**options):
        found = {"storage": tmp_path.as_uri(), "private_key": format_key(raw_key("current")), **options}
        read = lambda section, option, fallback="": str(found.get(option, fallback))  # noqa: E731
        mocker.patch.object(config, "_read", side_effect=read)
        return mocker.spy(config, "read_settings")

    return configure


class TestRefused:
    def test_a_store_that_cannot_be_is_named_each_time(self, configure):
        configure(storage="nonsense")

        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"\[exclusive\] storage"):
                wiring.current_driver()

    def test_a_key_that_cannot_be_is_named(self, configure):
        configure(private_key="short")

        with pytest.raises(ConfigurationError) as refusal:
            wiring.current_store()
        assert refusal.value.option == "[exclusive] private_key"

    def test_cloudpickle_unless_the_deployment_allows_it(self, configure):
        configure()

        with pytest.raises(CodecError, match="allow_cloudpickle"):
            wiring.current_store().codecs.encode(threading.Event, codec="cloudpickle")


class TestTheDriver:
    def test_it_needs_no_key(self, configure):
        configure(private_key="short")

        assert isinstance(wiring.current_driver(), FilesDriver)

    def test_it_is_made_once(self, configure):
        read = configure()

        assert wiring.current_driver() is wiring.current_driver()
        assert read.call_count == 1

    def test_it_is_that_of_the_connection_if_one_is_named(self, configure, mocker):
        from airflow_provider_exclusive.hooks.exclusive import ExclusiveHook

        driver = InMemoryDriver()
        get_conn = mocker.patch.object(ExclusiveHook, "get_conn", autospec=True, return_value=driver)
        configure(conn_id="our_store")

        assert wiring.current_driver() is driver
        (hook,) = get_conn.call_args.args
        assert hook.exclusive_conn_id == "our_store"


class TestTheStore:
    def test_it_is_made_once_and_uses_the_driver(self, configure):
        configure()

        assert wiring.current_store() is wiring.current_store()
        assert wiring.current_store().driver is wiring.current_driver()

    def test_it_is_as_the_settings_say(self, configure):
        configure(inline_bytes="7", ttl_seconds="60")

        store = wiring.current_store()

        assert (store.inline_bytes, store.ttl_seconds) == (7, 60)

    def test_zero_seconds_are_for_ever(self, configure):
        configure(ttl_seconds="0")

        assert wiring.current_store().ttl_seconds is None

    def test_it_opens_what_it_sealed(self, configure, producer, scope, consumer):
        configure()
        store = wiring.current_store()

        reference = store.put({"a": [1]}, producer=producer, key="k", scope=scope)

        assert store.get(reference, reader=consumer) == {"a": [1]}

    def test_with_a_private_key_it_opens_by_itself(self, configure):
        configure()

        assert isinstance(wiring.current_store().keys, LocalDataKeys)

    def test_with_the_public_key_alone_the_server_opens(self, configure, raw_key):
        public = Keyring.from_raw_keys([raw_key("current")]).keys[0].public
        configure(private_key="", public_key=base64.b64encode(public).decode())

        assert isinstance(wiring.current_store().keys, ServerDataKeys)


class TestOptions:
    @pytest.mark.parametrize("audit", ["off", "denied", "all"])
    def test_the_audit(self, configure, audit):
        configure(audit=audit)

        assert wiring.current_audit() == audit

    def test_large_plain_values_move_to_a_store_that_was_named(self, configure):
        configure(offload_bytes="1000")

        assert wiring.offload_threshold() == 1000

    def test_they_move_to_the_store_of_a_connection(self, configure):
        configure(storage="", conn_id="our_store", offload_bytes="1000")

        assert wiring.offload_threshold() == 1000

    def test_they_stay_if_no_store_was_named(self, configure):
        configure(storage="", offload_bytes="1000")

        assert wiring.offload_threshold() == 0


class TestCodecs:
    def test_without_cloudpickle(self):
        codecs = wiring.create_codecs(allow_cloudpickle=False)

        assert codecs.encode({"a": 1})[0] == "msgpack"
        with pytest.raises(CodecError):
            codecs.decode("cloudpickle", b"anything")

    def test_with_cloudpickle_it_must_be_asked_for(self):
        codecs = wiring.create_codecs(allow_cloudpickle=True)

        assert codecs.encode(threading.Event, codec="cloudpickle")[0] == "cloudpickle"
        with pytest.raises(CodecError):
            codecs.encode(threading.Event)
