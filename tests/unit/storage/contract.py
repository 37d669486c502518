"""What every storage driver must do; a driver's test inherits it and provides the fixture ``driver``."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_exclusive.exceptions import PayloadNotFoundError, StorageError
from airflow_provider_exclusive.storage.base import StorageDriver, StoredPayload, Wanted

KEY = "v1/etl/extract/0123456789abcdef0123456789abcdef/fedcba9876543210fedcba9876543210"
BAD_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "v1/../secret",
    "..",
    "../v1/etl",
    "v1//etl",
    "v1/etl/",
    "v1/./etl",
    "v1/.hidden",
    "v1/a b",
    "v1/a\0b",
    "v1/a\nb",
    "v1/etl\n",
    "v1/*",
    "v1/a\\b",
    "v1/é",
]
BAD_PREFIXES = ["/", "/etc/", "../", "v1/../", "v1//", ".", "v1/*", "v1/a b"]


class Pieces:
    """A payload in pieces, each of which lies where the one before it lay."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def __iter__(self):
        memory = bytearray(max(map(len, self.pieces)))
        for piece in self.pieces:
            memory[: len(piece)] = piece
            yield memoryview(memory)[: len(piece)]


class Collected:
    def __init__(self) -> None:
        self.restarts, self.received = 0, None

    def restart(self) -> None:
        self.restarts, self.received = self.restarts + 1, None

    def write(self, chunk) -> None:
        self.received = (self.received or b"") + bytes(chunk)


class StorageDriverContract:
    many = 450
    """How many objects make a big batch; more than any driver fetches at once, unless that would take too long."""

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_refuses_to_store_under_a_key_that_no_driver_writes(self, driver: StorageDriver, key):
        with pytest.raises(StorageError, match="Refusing the object key"):
            driver.store(key, b"payload", ttl_seconds=None)
        assert list(driver.scan()) == []

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_refuses_to_read_or_delete_a_key_that_no_driver_writes(self, driver: StorageDriver, key):
        with pytest.raises(StorageError, match="Refusing the object key"):
            driver.retrieve_many([KEY, key])
        with pytest.raises(StorageError, match="Refusing the object key"):
            driver.delete(key)

    @pytest.mark.parametrize("prefix", BAD_PREFIXES)
    def test_refuses_to_scan_a_prefix_that_no_key_can_have(self, driver: StorageDriver, prefix):
        with pytest.raises(StorageError, match="Refusing the prefix"):
            list(driver.scan(prefix))

    def test_a_missing_object_is_an_error_that_says_where_it_was_sought(self, driver: StorageDriver):
        with pytest.raises(PayloadNotFoundError, match=f"{driver.type}:{KEY}"):
            driver.retrieve(KEY)

    def test_missing_objects_are_none_in_their_place(self, driver: StorageDriver):
        driver.store("v1/b", b"2", ttl_seconds=None)
        assert driver.retrieve_many(["v1/a", "v1/b", "v1/c"]) == [None, b"2", None]

    def test_a_folder_of_objects_is_no_object(self, driver: StorageDriver):
        driver.store("v1/folder/object", b"payload", ttl_seconds=None)
        assert driver.retrieve_many(["v1/folder"]) == [None]
        driver.delete("v1/folder")
        assert driver.retrieve("v1/folder/object") == b"payload"

    def test_deleting_what_is_not_there_is_no_error(self, driver: StorageDriver):
        driver.delete(KEY)
        driver.delete(KEY)

    def test_a_deleted_object_is_gone_and_its_neighbours_are_not(self, driver: StorageDriver):
        for key in ("v1/a/1", "v1/a/2", "v1/b/1"):
            driver.store(key, key.encode(), ttl_seconds=None)
        driver.delete("v1/a/1")
        assert driver.retrieve_many(["v1/a/1", "v1/a/2", "v1/b/1"]) == [None, b"v1/a/2", b"v1/b/1"]

    def test_a_key_can_be_used_again_after_its_folder_became_empty(self, driver: StorageDriver):
        driver.store(KEY, b"first", ttl_seconds=None)
        driver.delete(KEY)
        driver.store(KEY, b"second", ttl_seconds=None)
        assert driver.retrieve(KEY) == b"second"

    @pytest.mark.parametrize("size", [0, 1, 8 * 1024 * 1024])
    def test_gives_back_what_it_was_given(self, driver: StorageDriver, size):
        payload = os.urandom(size)
        driver.store(KEY, payload, ttl_seconds=None)
        retrieved = driver.retrieve(KEY)
        assert retrieved == payload
        assert type(retrieved) in (bytes, bytearray)

    def test_takes_a_payload_in_pieces_whose_memory_is_used_again(self, driver: StorageDriver):
        payload = Pieces([b"first", b"", b"second" * 30_000, b"third"])
        driver.store(KEY, payload, ttl_seconds=60)
        assert driver.retrieve(KEY) == b"first" + b"second" * 30_000 + b"third"

    @pytest.mark.parametrize("expected", [None, 0, 7, 2_500_000, 2_500_001, 2_500_002, 9_000_000])
    def test_passes_on_what_is_there_whatever_size_was_expected(self, driver: StorageDriver, expected):
        payload = os.urandom(2_500_001)
        driver.store(KEY, payload, ttl_seconds=60)
        sinks = [Collected() for _ in range(3)]
        keys = ["v1/none", KEY, "v1/none/either"]
        driver.read_many([Wanted(key, sink, expected) for key, sink in zip(keys, sinks, strict=True)])
        assert [sink.received for sink in sinks] == [None, payload, None]
        assert all(sink.restarts for sink in sinks)

    def test_keeps_every_byte_value(self, driver: StorageDriver):
        driver.store(KEY, bytes(range(256)) * 3, ttl_seconds=60)
        assert driver.retrieve(KEY) == bytes(range(256)) * 3

    @pytest.mark.parametrize("key", ["a", "v1/Dag_1-x.y~z/%C3%A9%20/0", "v1/" + "d" * 80 + "/" + "t" * 80 + "/0a/0b"])
    def test_keeps_every_key_that_is_made_of_url_safe_segments(self, driver: StorageDriver, key):
        driver.store(key, b"payload", ttl_seconds=None)
        assert driver.retrieve(key) == b"payload"
        assert list(driver.scan()) == [StoredPayload(key, 7)]

    def test_an_expiry_in_the_future_hides_nothing(self, driver: StorageDriver):
        driver.store(KEY, b"payload", ttl_seconds=3600)
        assert driver.retrieve(KEY) == b"payload"

    def test_storing_the_same_object_again_changes_nothing(self, driver: StorageDriver):
        driver.store(KEY, b"payload", ttl_seconds=3600)
        driver.store(KEY, b"payload", ttl_seconds=3600)
        assert driver.retrieve(KEY) == b"payload"

    def test_retrieving_nothing_is_nothing(self, driver: StorageDriver):
        assert driver.retrieve_many([]) == []

    def test_retrieves_in_the_order_asked_for_and_as_often(self, driver: StorageDriver):
        driver.store("v1/a", b"1", ttl_seconds=None)
        driver.store("v1/b", b"2", ttl_seconds=None)
        assert driver.retrieve_many(["v1/b", "v1/a", "v1/b"]) == [b"2", b"1", b"2"]

    def test_retrieves_a_big_batch(self, driver: StorageDriver):
        keys = [f"v1/batch/{number}" for number in range(self.many)]
        for key in keys:
            driver.store(key, key.encode(), ttl_seconds=None)
        assert driver.retrieve_many(keys) == [key.encode() for key in keys]
        assert {stored.key for stored in driver.scan("v1/batch/")} == set(keys)

    def test_scanning_an_empty_store_finds_nothing(self, driver: StorageDriver):
        assert list(driver.scan()) == []
        assert list(driver.scan("v1/etl/")) == []

    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [
            ("", {"v1/a/1", "v1/a/22", "v1/ab/1", "v2/a/1"}),
            ("v1", {"v1/a/1", "v1/a/22", "v1/ab/1"}),
            ("v1/", {"v1/a/1", "v1/a/22", "v1/ab/1"}),
            ("v1/a", {"v1/a/1", "v1/a/22", "v1/ab/1"}),
            ("v1/a/", {"v1/a/1", "v1/a/22"}),
            ("v1/a/2", {"v1/a/22"}),
            ("v1/a/1", {"v1/a/1"}),
            ("v1/a/3", set()),
            ("v3/", set()),
        ],
    )
    def test_scans_exactly_what_begins_with_the_prefix(self, driver: StorageDriver, prefix, expected):
        for key in ("v1/a/1", "v1/a/22", "v1/ab/1", "v2/a/1"):
            driver.store(key, b"x" * len(key), ttl_seconds=None)
        found = list(driver.scan(prefix))
        assert {stored.key for stored in found} == expected
        assert len(found) == len(expected)
        assert all(stored.size == len(stored.key) for stored in found)

    def test_threads_do_not_disturb_each_other(self, driver: StorageDriver):
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

    def test_a_forked_child_reads_what_its_parent_wrote_and_both_go_on(self, driver: StorageDriver):
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

    def test_its_type_is_a_word_that_can_stand_before_a_colon(self, driver: StorageDriver):
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
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def finish() -> None:
        _, status = os.waitpid(process, 0)
        assert os.waitstatus_to_exitcode(status) == 0, "the child process failed; its traceback is above"

    return finish
