"""What the driver of files does when the disk fails it, or other processes get in its way."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_exclusive.exceptions import StorageError, StorageRefusedError, StorageUnavailableError
from airflow_provider_exclusive.storage import files
from airflow_provider_exclusive.storage.base import StoredPayload
from airflow_provider_exclusive.storage.files import FilesDriver
from airflow_provider_exclusive.storage.testing import KEY


@pytest.fixture
def root(tmp_path):
    return tmp_path / "exclusive"


@pytest.fixture
def driver(root):
    return FilesDriver(root)


@pytest.fixture
def fail_sync(mocker):
    """Let syncing files, or directories, raise an error of the system."""

    def fail_sync(failure, *, of=stat.S_ISREG):
        sync = os.fsync

        def fsync(descriptor):
            if of(os.fstat(descriptor).st_mode):
                raise OSError(failure, os.strerror(failure))
            sync(descriptor)

        mocker.patch.object(os, "fsync", fsync)

    return fail_sync


def left_in(root):
    return [path for path in root.rglob("*") if path.is_file()]


class TestBrokenOffWrites:
    @pytest.mark.parametrize(
        ("failure", "kind", "said"),
        [
            (errno.ENOSPC, StorageRefusedError, "Free or add space there"),
            (errno.EDQUOT, StorageRefusedError, "Free or add space there"),
            (errno.EROFS, StorageError, "needs read and write access"),
            (errno.EIO, StorageUnavailableError, "then retry"),
            (errno.ENOMEM, StorageUnavailableError, "then retry"),
            (errno.ENOTCONN, StorageUnavailableError, "then retry"),
            (errno.EHOSTUNREACH, StorageUnavailableError, "then retry"),
            (errno.ENETDOWN, StorageUnavailableError, "then retry"),
            (errno.EBUSY, StorageUnavailableError, "then retry"),
            (errno.EREMOTEIO, StorageUnavailableError, "then retry"),
            (errno.ENXIO, StorageError, "Check the directory"),
        ],
    )
    def test_it_says_what_failed_and_leaves_nothing(self, driver, root, fail_sync, failure, kind, said):
        fail_sync(failure)
        with pytest.raises(StorageError) as caught:
            driver.store(KEY, b"payload", ttl_seconds=None)
        assert type(caught.value) is kind
        assert str(caught.value).startswith(f"Could not write {root}: {os.strerror(failure)}.")
        assert said in str(caught.value)
        assert left_in(root) == []

    @pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError])
    def test_one_that_was_interrupted_leaves_nothing(self, driver, root, failure):
        class Interrupted:
            def __len__(self):
                return 10

            def __iter__(self):
                yield b"first"
                raise failure

        with pytest.raises(failure):
            driver.store(KEY, Interrupted(), ttl_seconds=None)
        assert left_in(root) == []

    def test_a_failing_clean_up_hides_nothing(self, driver, fail_sync, mocker):
        fail_sync(errno.ENOSPC)
        mocker.patch.object(Path, "unlink", side_effect=PermissionError(errno.EACCES, "no"))
        with pytest.raises(StorageError, match="Free or add space there"):
            driver.store(KEY, b"payload", ttl_seconds=None)

    def test_a_directory_that_cannot_be_synced_is_an_error(self, driver, fail_sync):
        fail_sync(errno.EIO, of=stat.S_ISDIR)
        with pytest.raises(StorageUnavailableError, match="then retry"):
            driver.store(KEY, b"payload", ttl_seconds=None)

    def test_a_file_whose_directory_cannot_be_synced_does_not_stay(self, driver, root, fail_sync):
        neighbour = f"{KEY.rpartition('/')[0]}/neighbour"
        driver.store(neighbour, b"payload", ttl_seconds=None)
        fail_sync(errno.EIO, of=stat.S_ISDIR)
        with pytest.raises(StorageUnavailableError, match="then retry"):
            driver.store(KEY, b"payload", ttl_seconds=None)
        assert left_in(root) == [root / neighbour]

    def test_an_error_without_words_is_named_by_its_class(self, driver, mocker):
        mocker.patch.object(files, "_read", side_effect=TimeoutError)
        with pytest.raises(StorageError, match=r"Could not read .*: TimeoutError"):
            driver.retrieve(KEY)


class TestOtherProcesses:
    @pytest.fixture
    def pruned(self, root, mocker):
        """Let another process take the directory away, so many times, before a file is in it."""

        def pruned(times):
            left, opened = [None] * times, os.open

            def prune_first(path, flags, *args, **kwargs):
                if flags & os.O_CREAT and left:
                    left.pop()
                    shutil.rmtree(root / "v1")
                return opened(path, flags, *args, **kwargs)

            mocker.patch.object(os, "open", prune_first)
            return left

        return pruned

    def test_a_directory_that_never_stays_is_worth_a_retry(self, driver, root, pruned):
        left = pruned(99)
        with pytest.raises(StorageUnavailableError, match=r"20 times in a row\. Retry"):
            driver.store(KEY, b"payload", ttl_seconds=None)
        assert len(left) == 79
        assert left_in(root) == []

    def test_a_directory_that_went_is_made_again(self, driver, pruned):
        pruned(19)
        driver.store(KEY, b"payload", ttl_seconds=None)
        assert driver.retrieve(KEY) == b"payload"

    def test_a_file_that_goes_while_it_is_listed_is_left_out(self, driver, root, mocker):
        driver.store("v1/a", b"1", ttl_seconds=None)
        driver.store("v1/b", b"22", ttl_seconds=None)
        listed = os.scandir

        @contextmanager
        def take_one_away(path):
            with listed(path) as entries:
                found = list(entries)
            (root / "v1/a").unlink(missing_ok=True)
            yield found

        mocker.patch.object(os, "scandir", take_one_away)
        assert list(driver.scan("v1/")) == [StoredPayload("v1/b", 2)]


def test_the_driver_tells_its_root_and_shows_it(driver, root):
    assert driver.root == root
    assert repr(driver) == f"FilesDriver('{root}')"
