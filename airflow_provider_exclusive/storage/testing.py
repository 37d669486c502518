"""The contract of a storage driver as tests, for whoever writes one; needs pytest, and a system that can fork."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.exceptions import PayloadNotFoundError, StorageError
from airflow_provider_exclusive.storage.base import StorageDriver, StoredPayload, Wanted

KEY: Final = "v1/etl/extract/0123456789abcdef0123456789abcdef/fedcba9876543210fedcba9876543210"
_BAD_KEYS: Final = (
    "", "/", "/etc/passwd", "v1/../secret", "..", "../v1/etl", "v1//etl", "v1/etl/", "v1/./etl", "v1/.hidden", "v1/a b",
    "v1/a\0b", "v1/a\nb", "v1/etl\n", "v1/*", "v1/a\\b", "v1/é",
)  # fmt: skip
_BAD_PREFIXES: Final = ("/", "/etc/", "../", "v1/../", "v1//", ".", "v1/*", "v1/a b")


class _Pieces:
    """A payload in pieces, each of which lies where the one before it lay."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def __iter__(self) -> Iterator[Chunk]:
        memory = bytearray(max(map(len, self.pieces)))
        for piece in self.pieces:
            memory[: len(piece)] = piece
            yield memoryview(memory)[: len(piece)]


class Collected:
    """A sink that keeps what it is given; ``received`` is None while nothing came."""

    def __init__(self) -> None:
        self.restarts = 0
        self.received: bytes | None = None

    def restart(self) -> None:
        self.restarts, self.received = self.restarts + 1, None

    def write(self, chunk: Chunk) -> None:
        self.received = (self.received or b"") + bytes(chunk)


class StorageDriverContract:
    """
    Tests that every driver must pass.

    Inherit it and provide the fixture ``driver``, a driver of an empty store::

        import pytest
        from airflow_provider_exclusive.storage.testing import StorageDriverContract

        class TestMyDriver(StorageDriverContract):
            @pytest.fixture
            def driver(self, tmp_path):
                return MyDriver(tmp_path)

    Failures show what was compared if ``conftest.py`` calls
    ``pytest.register_assert_rewrite("airflow_provider_exclusive.storage.testing")``.
    Override a test that cannot hold for a store, and say why.
    """

    many: int = 450
    """How many objects make a big batch; more than any driver fetches at once, unless that would take too long."""

    @pytest.mark.parametrize("key", _BAD_KEYS)
    def test_refuses_to_store_under_a_key_that_no_driver_writes(self, driver: StorageDriver, key: str) -> None:
        with pytest.raises(StorageError, match="Refusing the object key"):
            driver.store(key, b"payload", ttl_seconds=None)
        assert list(driver.scan()) == []

    @pytest.mark.parametrize("key", _BAD_KEYS)
    def test_refuses_to_read_or_delete_a_key_that_no_driver_writes(self, driver: StorageDriver, key: str) -> None:
        with pytest.raises(StorageError, match="Refusing the object key"):
            driver.retrieve_many([KEY, key])
        with pytest.raises(StorageError, match="Refusing the object key"):
            driver.delete(key)

    @pytest.mark.parametrize("prefix", _BAD_PREFIXES)
    def test_refuses_to_scan_a_prefix_that_no_key_can_have(self, driver: StorageDriver, prefix: str) -> None:
        with pytest.raises(StorageError, match="Refusing the prefix"):
            list(driver.scan(prefix))

    def test_a_missing_object_is_an_error_that_names_its_place(self, driver: StorageDriver) -> None:
        with pytest.raises(PayloadNotFoundError, match=f"{driver.type}:{KEY}"):
            driver.retrieve(KEY)

    def test_missing_objects_are_none_in_their_place(self, driver: StorageDriver) -> None:
        driver.store("v1/b", b"2", ttl_seconds=None)
        assert driver.retrieve_many(["v1/a", "v1/b", "v1/c"]) == [None, b"2", None]

    def test_a_folder_of_objects_is_no_object(self, driver: StorageDriver) -> None:
        driver.store("v1/folder/object", b"payload", ttl_seconds=None)
        assert driver.retrieve_many(["v1/folder"]) == [None]
        driver.delete("v1/folder")
        assert driver.retrieve("v1/folder/object") == b"payload"

    def test_deleting_what_is_not_there_is_no_error(self, driver: StorageDriver) -> None:
        driver.delete(KEY)
        driver.delete(KEY)

    def test_a_deleted_object_is_gone_and_its_neighbours_are_not(self, driver: StorageDriver) -> None:
        for key in ("v1/a/1", "v1/a/2", "v1/b/1"):
            driver.store(key, key.encode(), ttl_seconds=None)
        driver.delete("v1/a/1")
        assert driver.retrieve_many(["v1/a/1", "v1/a/2", "v1/b/1"]) == [None, b"v1/a/2", b"v1/b/1"]

    def test_a_key_can_be_used_again_after_its_folder_became_empty(self, driver: StorageDriver) -> None:
        driver.store(KEY, b"first", ttl_seconds=None)
        driver.delete(KEY)
        driver.store(KEY, b"second", ttl_seconds=None)
        assert driver.retrieve(KEY) == b"second"

    @pytest.mark.parametrize("size", [0, 1, 8 * 1024 * 1024])
    def test_gives_back_what_it_was_given(self, driver: StorageDriver, size: int) -> None:
        payload = os.urandom(size)
        driver.store(KEY, payload, ttl_seconds=None)
        retrieved = driver.retrieve(KEY)
        assert retrieved == payload
        assert type(retrieved) in (bytes, bytearray)

    def test_takes_a_payload_in_pieces_whose_memory_is_used_again(self, driver: StorageDriver) -> None:
        payload = _Pieces([b"first", b"", b"second" * 30_000, b"third"])
        driver.store(KEY, payload, ttl_seconds=60)
        assert driver.retrieve(KEY) == b"first" + b"second" * 30_000 + b"third"

    @pytest.mark.parametrize("expected", [None, 0, 7, 1 << 20, 2_500_000, 2_500_001, 2_500_002, 9_000_000])
    def test_passes_on_at_most_one_byte_more_than_expected(self, driver: StorageDriver, expected: int | None) -> None:
        payload = os.urandom(2_500_001)
        driver.store(KEY, payload, ttl_seconds=60)
        sinks = [Collected() for _ in range(3)]
        keys = ["v1/none", KEY, "v1/none/either"]
        driver.read_many([Wanted(key, sink, expected) for key, sink in zip(keys, sinks, strict=True)])
        most = len(payload) if expected is None else expected + 1
        assert [sink.received for sink in sinks] == [None, payload[:most], None]
        assert all(sink.restarts for sink in sinks)

    def test_keeps_every_byte_value(self, driver: StorageDriver) -> None:
        driver.store(KEY, bytes(range(256)) * 3, ttl_seconds=60)
        assert driver.retrieve(KEY) == bytes(range(256)) * 3

    @pytest.mark.parametrize("key", ["a", "v1/Dag_1-x.y~z/%C3%A9%20/0", "v1/" + "d" * 80 + "/" + "t" * 80 + "/0a/0b"])
    def test_keeps_every_key_that_is_made_of_url_safe_segments(self, driver: StorageDriver, key: str) -> None:
        driver.store(key, b"payload", ttl_seconds=None)
        assert driver.retrieve(key) == b"payload"
        assert list(driver.scan()) == [StoredPayload(key, 7)]

    def test_an_expiry_in_the_future_hides_nothing(self, driver: StorageDriver) -> None:
        driver.store(KEY, b"payload", ttl_seconds=3600)
        assert driver.retrieve(KEY) == b"payload"

    def test_storing_the_same_object_again_changes_nothing(self, driver: StorageDriver) -> None:
        driver.store(KEY, b"payload", ttl_seconds=3600)
        driver.store(KEY, b"payload", ttl_seconds=3600)
        assert driver.retrieve(KEY) == b"payload"

    def test_retrieving_nothing_is_nothing(self, driver: StorageDriver) -> None:
        assert driver.retrieve_many([]) == []

    def test_retrieves_in_the_order_asked_for_and_as_often(self, driver: StorageDriver) -> None:
        driver.store("v1/a", b"1", ttl_seconds=None)
        driver.store("v1/b", b"2", ttl_seconds=None)
        assert driver.retrieve_many(["v1/b", "v1/a", "v1/b"]) == [b"2", b"1", b"2"]

    def test_retrieves_a_big_batch(self, driver: StorageDriver) -> None:
        keys = [f"v1/batch/{number}" for number in range(self.many)]
        for key in keys:
            driver.store(key, key.encode(), ttl_seconds=None)
        assert driver.retrieve_many(keys) == [key.encode() for key in keys]
        assert {stored.key for stored in driver.scan("v1/batch/")} == set(keys)

    def test_tells_which_objects_are_there(self, driver: StorageDriver) -> None:
        keys = [f"v1/there/{number}" for number in range(self.many)]
        for key in keys[::2]:
            driver.store(key, b"payload", ttl_seconds=60)
        driver.store("v1/there/folder/object", b"payload", ttl_seconds=60)
        assert driver.contains_many(keys) == [number % 2 == 0 for number in range(self.many)]
        assert driver.contains_many(["v1/there", "v1/there/folder", "v1/there/folder/object"]) == [False, False, True]

    def test_scanning_an_empty_store_finds_nothing(self, driver: StorageDriver) -> None:
        assert list(driver.scan()) == []
        assert list(driver.scan("v1/etl/")) == []

    @pytest.mark.parametrize("prefix", ["", "v1", "v1/", "v1/a", "v1/a/", "v1/a/2", "v1/a/1", "v1/a/3", "v3/"])
    def test_scans_exactly_what_begins_with_the_prefix(self, driver: StorageDriver, prefix: str) -> None:
        keys = ("v1/a/1", "v1/a/22", "v1/ab/1", "v2/a/1")
        for key in keys:
            driver.store(key, b"x" * len(key), ttl_seconds=None)
        found = list(driver.scan(prefix))
        assert sorted(stored.key for stored in found) == [key for key in keys if key.startswith(prefix)]
        assert all(stored.size == len(stored.key) for stored in found)

    def test_threads_do_not_disturb_each_other(self, driver: StorageDriver) -> None:
        def write_read_delete(number: int) -> bytes:
            # Few folders for many writers, so that some prune what others are about to fill.
            key = f"v1/shared/{number % 3}/{number}"
            payload = str(number).encode() * 1000
            driver.store(key, payload, ttl_seconds=60)
            retrieved = driver.retrieve(key)
            driver.delete(key)
            assert retrieved == payload
            return retrieved

        with ThreadPoolExecutor(8) as pool:
            assert len(list(pool.map(write_read_delete, range(80)))) == 80
        assert list(driver.scan()) == []

    def test_a_forked_child_and_its_parent_keep_working(self, driver: StorageDriver) -> None:
        driver.store("v1/parent", b"from the parent", ttl_seconds=60)

        def child() -> None:
            driver.store("v1/child", b"from the child", ttl_seconds=60)
            for _ in range(20):
                assert driver.retrieve_many(["v1/parent", "v1/child"]) == [b"from the parent", b"from the child"]

        finish = start_in_child(child)
        for _ in range(20):
            assert driver.retrieve("v1/parent") == b"from the parent"
        finish()
        assert driver.retrieve("v1/parent") == b"from the parent"

    def test_its_type_is_a_word_that_can_stand_before_a_colon(self, driver: StorageDriver) -> None:
        assert driver.type.isalpha()
        assert driver.type.islower()


def start_in_child(action: Callable[[], object], *, seconds: int = 30) -> Callable[[], None]:
    """Fork and run ``action`` in the child; the function returned waits for it and fails if it failed."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            signal.alarm(seconds)
            action()
            status = 0
        except BaseException:  # noqa: BLE001 - whatever it is, the parent must hear of it
            traceback.print_exc()
        finally:
            os._exit(status)

    def finish() -> None:
        _, status = os.waitpid(process, 0)
        assert os.waitstatus_to_exitcode(status) == 0, "the child process failed; its traceback is above"

    return finish
