from __future__ import annotations

import errno
import os
import resource
import stat
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage import files
from airflow_provider_exclusive.storage.base import Wanted
from airflow_provider_exclusive.storage.files import FilesDriver, Leftovers
from airflow_provider_exclusive.storage.testing import KEY, Collected, StorageDriverContract, start_in_child

NOBODY = 65534


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "exclusive"


@pytest.fixture
def driver(root) -> FilesDriver:
    return FilesDriver(root)


def become_nobody() -> None:
    # Permission bits do not bind root, so a test that runs as root steps down first.
    if os.geteuid() == 0:
        os.setuid(NOBODY)


def files_below(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def leave_half_written(path: Path, content: bytes, age: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age,) * 2)


class TestFilesDriver(StorageDriverContract):
    many = 100  # each waits for the disk


class TestFaults:
    @pytest.fixture
    def forbidding(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("forbidding")
        for parent in folder.parents:
            if parent == Path(tempfile.gettempdir()):
                break
            # Everybody may look inside, as on a shared machine, so that only the folder itself says no.
            parent.chmod(parent.stat().st_mode | 0o055)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)

    def test_a_read_only_folder_is_named_together_with_the_cure(self, forbidding):
        def child() -> None:
            become_nobody()
            driver = FilesDriver(forbidding)
            with pytest.raises(StorageError, match=r"(?s)write.*forbidding.*needs read and write access") as caught:
                driver.store(KEY, b"payload", ttl_seconds=None)
            assert not isinstance(caught.value, StorageUnavailableError)
            assert driver.retrieve_many([KEY]) == [None]

        start_in_child(child)()
        assert files_below(forbidding) == []

    def test_a_directory_that_cannot_be_created_is_not_transient(self):
        with pytest.raises(
            StorageError, match=r"Could not create the directory /proc/nowhere.*\[exclusive\] storage"
        ) as caught:
            FilesDriver(Path("/proc/nowhere")).store(KEY, b"payload", ttl_seconds=None)
        assert not isinstance(caught.value, StorageUnavailableError)

    def test_another_users_payload_cannot_be_read_listed_or_deleted(self, forbidding):
        forbidding.chmod(0o755)
        FilesDriver(forbidding).store(KEY, b"payload", ttl_seconds=None)
        if os.geteuid() != 0:
            (forbidding / "v1").chmod(0)

        def child() -> None:
            become_nobody()
            driver = FilesDriver(forbidding)
            for operation in (lambda: driver.retrieve(KEY), lambda: driver.delete(KEY), lambda: list(driver.scan())):
                with pytest.raises(StorageError, match="needs read and write access"):
                    operation()

        start_in_child(child)()
        (forbidding / "v1").chmod(0o700)
        assert FilesDriver(forbidding).retrieve(KEY) == b"payload"

    def test_a_root_that_is_a_file_is_an_error_in_every_operation(self, root, driver):
        root.write_text("somebody's notes")
        operations = [
            lambda: driver.store(KEY, b"payload", ttl_seconds=None),
            lambda: driver.retrieve(KEY),
            lambda: driver.delete(KEY),
            lambda: list(driver.scan()),
        ]
        for operation in operations:
            with pytest.raises(StorageError, match=r"Expected a directory.*\[exclusive\] storage"):
                operation()
        assert root.read_text() == "somebody's notes"

    def test_a_name_too_long_for_the_file_system_says_so(self, driver):
        with pytest.raises(StorageError, match="shorter path"):
            driver.store(f"v1/{'a' * 300}/b", b"payload", ttl_seconds=None)

    def test_a_payload_over_the_file_size_limit_leaves_nothing(self, root, driver):
        def child() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            driver.store("v1/small", b"x" * 4096, ttl_seconds=None)
            with pytest.raises(StorageError, match=r"ulimit -f"):
                driver.store(KEY, b"x" * 8192, ttl_seconds=None)

        start_in_child(child)()
        assert files_below(root) == [root / "v1/small"]

    def test_running_out_of_file_descriptors_is_worth_a_retry(self, driver):
        driver.store(KEY, b"payload", ttl_seconds=None)

        def child() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
            with pytest.raises(StorageUnavailableError, match="then retry"):
                driver.retrieve(KEY)

        start_in_child(child)()

    def test_no_message_carries_the_payload(self, root, driver):
        root.write_text("")
        with pytest.raises(StorageError) as caught:
            driver.store(KEY, b"the-payload", ttl_seconds=None)
        assert "the-payload" not in str(caught.value)


class TestAtRest:
    def test_a_half_written_file_is_neither_read_nor_listed(self, root, driver):
        driver.store(KEY, b"whole", ttl_seconds=None)
        folder = (root / KEY).parent
        (folder / ".writing-0123456789abcdef").write_bytes(b"ha")
        assert [stored.key for stored in driver.scan()] == [KEY]
        assert [stored.key for stored in driver.scan(KEY.rpartition("/")[0] + "/")] == [KEY]
        with pytest.raises(StorageError, match="Refusing the object key"):
            driver.retrieve(KEY.rpartition("/")[0] + "/.writing-0123456789abcdef")

    def test_what_killed_writers_left_is_counted(self, root, driver):
        driver.store(KEY, b"payload", ttl_seconds=None)
        hour = 3600
        for name, age in (("a", 2 * hour), ("b", 30 * hour), ("fresh", hour / 2)):
            leave_half_written((root / KEY).parent / f".writing-{name}", b"x" * 100, age)
        os.utime(root / KEY, (0, 0))
        found = driver.find_leftovers()
        assert (found.count, found.size, found.is_complete) == (2, 200, True)
        assert 30 * hour <= found.oldest_seconds < 31 * hour

    def test_a_store_that_does_not_exist_yet_has_no_leftovers(self, driver):
        assert driver.find_leftovers() == Leftovers(count=0, size=0, oldest_seconds=0, is_complete=True)

    def test_the_search_for_leftovers_ends(self, root, driver, mocker):
        mocker.patch.object(files, "_MOST_FILES_EXAMINED", 3)
        for name in "abcd":
            leave_half_written(root / f"v1/.writing-{name}", b"", 7200)
        found = driver.find_leftovers()
        assert (found.count, found.is_complete) == (3, False)

    def test_a_link_is_no_leftover(self, root, driver, tmp_path):
        leave_half_written(tmp_path / "outside/.writing-a", b"x", 7200)
        root.mkdir()
        (root / "v1").symlink_to(tmp_path / "outside")
        (root / ".writing-b").symlink_to(tmp_path / "outside/.writing-a")
        assert driver.find_leftovers().count == 0

    def test_a_reader_never_sees_part_of_a_payload(self, driver):
        payload = os.urandom(1024) * 4096
        finished = threading.Event()
        seen: list[bytes | None] = []

        def read() -> None:
            while not finished.is_set():
                seen.extend(driver.retrieve_many([KEY]))

        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(5):
            driver.store(KEY, payload, ttl_seconds=None)
            driver.delete(KEY)
        finished.set()
        reader.join()
        assert all(found in (None, payload) for found in seen)

    def test_a_link_to_somewhere_else_is_not_listed(self, root, driver, tmp_path):
        driver.store(KEY, b"payload", ttl_seconds=None)
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "file").write_text("x")
        (root / "v1/elsewhere").symlink_to(outside)
        assert [stored.key for stored in driver.scan()] == [KEY]

    @pytest.mark.parametrize("plant", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "link"])
    def test_what_is_no_regular_file_is_refused_unread(self, root, driver, plant):
        driver.store(KEY, b"payload", ttl_seconds=None)
        (root / KEY).unlink()
        plant(root / KEY)
        with pytest.raises(StorageError, match=r"(?s)exclusive.*not a regular file"):
            driver.retrieve_many([KEY])

    @pytest.mark.parametrize("act", ["store", "read", "delete"])
    def test_a_folder_that_is_a_link_is_not_followed(self, root, driver, tmp_path, act):
        driver.store(KEY, b"payload", ttl_seconds=None)
        (root / "v1").rename(tmp_path / "outside")
        (root / "v1").symlink_to(tmp_path / "outside")
        before = {path: path.read_bytes() for path in files_below(tmp_path / "outside")}
        acts = {
            "store": lambda: driver.store(KEY, b"other", ttl_seconds=None),
            "read": lambda: driver.retrieve_many([KEY]),
            "delete": lambda: driver.delete(KEY),
        }
        with pytest.raises(StorageError, match=r"v1 .*symbolic link"):
            acts[act]()
        assert {path: path.read_bytes() for path in files_below(tmp_path / "outside")} == before

    def test_a_file_that_grows_is_read_no_further_than_it_was(self, root, driver):
        driver.store(KEY, b"payload", ttl_seconds=None)
        seen = []

        def write(chunk):
            seen.append(bytes(chunk))
            with (root / KEY).open("ab") as file:
                file.write(b"more")

        driver.read_many([Wanted(KEY, SimpleNamespace(restart=seen.clear, write=write))])
        assert b"".join(seen).startswith(b"payload")
        assert len(b"".join(seen)) <= len(b"payload") + len(b"more")

    def test_of_a_file_that_grew_no_more_than_a_byte_is_read(self, root, driver):
        driver.store(KEY, b"payload", ttl_seconds=None)
        with (root / KEY).open("r+b") as file:
            file.truncate(1 << 40)  # takes no space, and would take hours to read
        sink = Collected()
        driver.read_many([Wanted(KEY, sink, 7)])
        assert sink.received == b"payload\0"

    def test_a_folder_that_is_a_link_is_not_scanned(self, root, driver, tmp_path):
        driver.store(KEY, b"payload", ttl_seconds=None)
        (root / "v1").rename(tmp_path / "outside")
        (root / "v1").symlink_to(tmp_path / "outside")
        for prefix in ("v1/", "v1/etl/extract/"):
            with pytest.raises(StorageError, match=r"v1 .*symbolic link"):
                list(driver.scan(prefix))
        assert list(driver.scan("v1")) == []

    @pytest.mark.parametrize("act", ["store", "read", "delete", "scan"])
    def test_a_folder_that_is_a_pipe_is_refused_unopened(self, root, driver, act):
        root.mkdir()
        os.mkfifo(root / "v1")
        acts = {
            "store": lambda: driver.store(KEY, b"payload", ttl_seconds=None),
            "read": lambda: driver.retrieve_many([KEY]),
            "delete": lambda: driver.delete(KEY),
            "scan": lambda: list(driver.scan("v1/")),
        }
        with pytest.raises(StorageError, match="Expected a directory"):
            acts[act]()

    def test_files_and_folders_belong_to_their_owner_alone(self, root, driver):
        previous = os.umask(0)
        try:
            driver.store(KEY, b"payload", ttl_seconds=None)
        finally:
            os.umask(previous)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*")) if path.is_dir()}
        assert modes == {0o700}
        assert stat.S_IMODE((root / KEY).stat().st_mode) == 0o600

    def test_the_root_appears_with_the_first_payload_only(self, root, driver):
        assert list(driver.scan()) == []
        assert driver.retrieve_many([KEY]) == [None]
        assert not root.exists()
        driver.store(KEY, b"payload", ttl_seconds=None)
        assert files_below(root) == [root / KEY]

    def test_deleting_takes_empty_folders_along_but_never_the_root(self, root, driver):
        driver.store("v1/a/b/1", b"1", ttl_seconds=None)
        driver.store("v1/a/2", b"2", ttl_seconds=None)
        driver.delete("v1/a/b/1")
        assert sorted(root.rglob("*")) == [root / "v1", root / "v1/a", root / "v1/a/2"]
        driver.delete("v1/a/2")
        assert list(root.iterdir()) == []

    def test_processes_may_prune_and_fill_one_folder_at_once(self, root, driver):
        def writer(name: str) -> None:
            for number in range(60):
                key = f"v1/shared/deep/{name}{number}"
                driver.store(key, key.encode(), ttl_seconds=None)
                assert driver.retrieve(key) == key.encode()
                driver.delete(key)

        children = [start_in_child(lambda name=name: writer(name)) for name in ("a", "b", "c")]
        for finish in children:
            finish()
        assert list(root.iterdir()) == []


@pytest.mark.parametrize("failure", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_without_directory_sync_takes_payloads(tmp_path, mocker, failure):
    sync = os.fsync

    def refuse_directories(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(failure, os.strerror(failure))
        sync(descriptor)

    mocker.patch.object(os, "fsync", refuse_directories)
    driver = FilesDriver(tmp_path / "store")
    driver.store("v1/a", b"payload", ttl_seconds=None)

    assert driver.retrieve("v1/a") == b"payload"


def test_a_writable_parent_that_cannot_be_listed_is_enough(tmp_path, mocker):
    opened = os.open

    def refuse_to_list_the_parent(path, flags, *args, **kwargs):
        if Path(path) == tmp_path and flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, flags, *args, **kwargs)

    mocker.patch.object(os, "open", refuse_to_list_the_parent)
    driver = FilesDriver(tmp_path / "store")
    driver.store("v1/a", b"payload", ttl_seconds=None)

    assert driver.retrieve("v1/a") == b"payload"
