"""Payloads in file systems of fsspec, which stand here for the clouds: none of them is reached."""

from __future__ import annotations

import errno
import os
import threading
from types import SimpleNamespace

import airflow.sdk.io
import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError
from airflow_provider_exclusive.storage.base import Wanted
from airflow_provider_exclusive.storage.object_storage import ObjectStorageDriver
from airflow_provider_exclusive.storage.testing import KEY, Collected, StorageDriverContract

OPERATIONS = {
    "store": lambda driver: driver.store(KEY, b"payload", ttl_seconds=None),
    "read": lambda driver: driver.retrieve_many([KEY, "v1/other"]),
    "delete": lambda driver: driver.delete(KEY),
    "scan": lambda driver: list(driver.scan()),
}


class Failing:
    """A file system that raises ``failure`` whatever it is asked for."""

    def __init__(self, failure):
        self.failure = failure

    def _fail(self, *args, **kwargs):
        raise self.failure

    pipe_file = cat_file = rm_file = find = _fail

    def invalidate_cache(self):
        pass


def error_called(*names):
    """Make an error whose class and base classes have these names, as a client that may not be installed has."""
    kind = Exception
    for name in reversed(names):
        kind = type(name, (kind,), {})
    return kind("open-sesame")


def caused_by(failure, cause):
    failure.__cause__ = cause
    return failure


def no_such_bucket():
    cause = error_called("ClientError")
    cause.response = {"Error": {"Code": "NoSuchBucket"}}
    return caused_by(FileNotFoundError("no"), cause)


@pytest.fixture
def driver_on(mocker):
    """Return a driver whose connection leads to this file system."""

    def driver_on(file_system, path="bucket/prefix", protocol="s3"):
        mocker.patch.object(airflow.sdk.io, "get_fs", return_value=file_system)
        return ObjectStorageDriver(SimpleNamespace(protocol=protocol, conn_id="my_cloud", path=path))

    return driver_on


@pytest.fixture
def driver(driver_on, tmp_path):
    return driver_on(LocalFileSystem(auto_mkdir=True), f"{tmp_path}/prefix/", "file")


class TestContract(StorageDriverContract):
    many = 50


class TestFaults:
    @pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
    @pytest.mark.parametrize(
        ("failure", "said"),
        [
            (PermissionError("open-sesame"), "Check the credentials of connection 'my_cloud'"),
            (error_called("NoCredentialsError", "BotoCoreError"), "Check the credentials of connection 'my_cloud'"),
            (error_called("Special", "Forbidden"), "Check the credentials of connection 'my_cloud'"),
            (caused_by(OSError("no"), error_called("SignError")), "Check the credentials"),
            (error_called("Whatever"), "Its own message is the cause above; check URL and connection."),
            (OSError(errno.EINVAL, "open-sesame"), "check URL and connection"),
        ],
    )
    def test_what_stays_is_an_error_with_advice(self, driver_on, operation, failure, said):
        with pytest.raises(StorageError, match=r"^Object storage at s3://bucket/prefix failed \(\w+\)\.") as caught:
            operation(driver_on(Failing(failure)))
        assert said in str(caught.value)
        assert not isinstance(caught.value, StorageUnavailableError)
        assert caught.value.__cause__ is failure
        assert "open-sesame" not in str(caught.value)

    @pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
    @pytest.mark.parametrize(
        "failure",
        [
            ConnectionRefusedError(),
            TimeoutError(),
            error_called("EndpointConnectionError", "ConnectionError"),
            error_called("FSTimeoutError"),
            caused_by(OSError("no"), error_called("ServiceUnavailable", "ServerError")),
            OSError(errno.EBUSY, "slow down"),
            OSError(errno.ESTALE, "gone"),
        ],
    )
    def test_what_passes_is_worth_a_retry(self, driver_on, operation, failure):
        with pytest.raises(StorageUnavailableError, match=r"Check the endpoint of connection 'my_cloud'.*then retry"):
            operation(driver_on(Failing(failure)))

    @pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
    def test_a_missing_bucket_is_no_missing_payload(self, driver_on, operation):
        with pytest.raises(StorageError, match="bucket or folder does not exist: create it"):
            operation(driver_on(Failing(no_such_bucket())))

    @pytest.mark.parametrize("cause", [None, KeyError("x"), error_called("ClientError")])
    @pytest.mark.parametrize("kind", [FileNotFoundError, IsADirectoryError])
    def test_a_missing_payload_is_no_error(self, driver_on, kind, cause):
        driver = driver_on(Failing(caused_by(kind("no"), cause)))
        assert driver.retrieve_many([KEY]) == [None]
        driver.delete(KEY)

    def test_a_missing_key_in_a_bucket_is_no_error(self, driver_on):
        missing = no_such_bucket()
        missing.__cause__.response["Error"]["Code"] = "NoSuchKey"
        assert driver_on(Failing(missing)).retrieve_many([KEY]) == [None]

    def test_one_that_fails_fails_the_whole_read(self, driver):
        class Half(LocalFileSystem):
            def cat_file(self, path, *args, **kwargs):
                if path.endswith("v1/bad"):
                    raise TimeoutError
                return super().cat_file(path, *args, **kwargs)

        driver.store(KEY, b"payload", ttl_seconds=None)
        driver._file_systems[os.getpid()] = Half()
        with pytest.raises(StorageUnavailableError):
            driver.retrieve_many([KEY, "v1/bad", KEY])

    @pytest.mark.parametrize("size", [0, 6, 8, None])
    def test_an_upload_that_did_not_arrive_is_an_error(self, driver_on, mocker, size):
        file_system = mocker.Mock(info=mocker.Mock(return_value={"size": size}))
        with pytest.raises(StorageUnavailableError, match=r"7 bytes.*connection 'my_cloud'.*then retry"):
            driver_on(file_system).store(KEY, b"payload", ttl_seconds=None)

    def test_an_upload_that_is_not_there_is_an_error(self, driver_on, mocker):
        file_system = mocker.Mock(info=mocker.Mock(side_effect=FileNotFoundError("no")))
        with pytest.raises(StorageUnavailableError, match="7 bytes"):
            driver_on(file_system).store(KEY, b"payload", ttl_seconds=None)


class TestOpening:
    @pytest.mark.parametrize("failure", [ImportError("s3fs"), ValueError("No fs registered")])
    @pytest.mark.parametrize(
        ("protocol", "cure"),
        [
            ("s3", "pip install 'apache-airflow-providers-amazon[s3fs]'"),
            ("gs", "pip install apache-airflow-providers-google"),
            ("abfss", "pip install apache-airflow-providers-microsoft-azure"),
            ("hdfs", "Install the Airflow provider that supports hdfs:// URLs, or use another store."),
        ],
    )
    def test_what_is_not_installed_says_what_to_install(self, driver_on, mocker, protocol, cure, failure):
        driver = driver_on(None, protocol=protocol)
        mocker.patch.object(airflow.sdk.io, "get_fs", side_effect=failure)
        with pytest.raises(StorageError) as caught:
            driver.retrieve(KEY)
        assert str(caught.value).startswith(f"Object storage at {protocol}://bucket/prefix cannot be opened.")
        assert cure in str(caught.value)
        assert caught.value.__cause__ is failure

    def test_any_other_failure_to_open_is_told_apart(self, driver_on, mocker):
        driver = driver_on(None)
        mocker.patch.object(airflow.sdk.io, "get_fs", side_effect=error_called("GoogleAuthError"))
        with pytest.raises(StorageError, match="Check the credentials"):
            driver.retrieve(KEY)

    def test_the_connection_of_the_path_is_used_once(self, driver_on):
        driver = driver_on(Failing(FileNotFoundError()))
        airflow.sdk.io.get_fs.assert_not_called()
        driver.delete(KEY)
        driver.delete(KEY)
        airflow.sdk.io.get_fs.assert_called_once_with("s3", "my_cloud")

    def test_a_forked_process_opens_its_own(self, driver_on, mocker):
        driver = driver_on(Failing(FileNotFoundError()))
        driver.delete(KEY)
        mocker.patch("os.getpid", return_value=os.getpid() + 1)
        driver.delete(KEY)
        assert airflow.sdk.io.get_fs.call_count == 2

    @pytest.mark.parametrize(("protocol", "shown"), [("s3", "s3"), ("", "file")])
    def test_its_text_names_place_and_connection(self, driver_on, protocol, shown):
        driver = driver_on(None, "bucket/prefix/", protocol)
        assert repr(driver) == f"ObjectStorageDriver('{shown}://bucket/prefix', conn_id='my_cloud')"


class TestObjects:
    def test_an_object_lies_below_the_root(self, driver, tmp_path):
        driver.store("v1/a", bytearray(b"payload"), ttl_seconds=60)
        assert (tmp_path / "prefix/v1/a").read_bytes() == b"payload"

    def test_a_scan_does_not_trust_what_was_listed_before(self, driver_on, tmp_path):
        class Remembering(Failing):
            is_stale = True

            def invalidate_cache(self):
                self.is_stale = False

            def find(self, path, *, detail):
                return {} if self.is_stale else {"bucket/prefix/v1/a": {"size": "7"}}

        (found,) = driver_on(Remembering(None)).scan()
        assert (found.key, found.size) == ("v1/a", 7)

    @pytest.mark.parametrize(("prefix", "folder"), [("", ""), ("v1", ""), ("v1/a", "/v1"), ("v1/a/", "/v1/a")])
    def test_a_scan_lists_the_deepest_folder_only(self, driver_on, mocker, prefix, folder):
        file_system = mocker.Mock(find=mocker.Mock(return_value={}))
        assert list(driver_on(file_system).scan(prefix)) == []
        file_system.find.assert_called_once_with(f"bucket/prefix{folder}", detail=True)

    def test_a_neighbour_and_what_is_no_object_are_not_listed(self, driver_on, mocker):
        names = ["bucket/prefix/v1/a", "bucket/prefix/v1/.hidden", "bucket/prefix/not an object", "/bucket/other"]
        file_system = mocker.Mock(find=mocker.Mock(return_value={name: {"size": 1} for name in names}))
        assert [stored.key for stored in driver_on(file_system).scan()] == ["v1/a"]

    def test_sinks_are_filled_by_the_thread_that_asked(self, driver):
        class Sink(Collected):
            def write(self, chunk):
                super().write(chunk)
                writers.add(threading.get_ident())

        writers = set()
        driver.store(KEY, b"payload", ttl_seconds=None)
        driver.read_many([Wanted(KEY, Sink()) for _ in range(20)])
        assert writers == {threading.get_ident()}

    @pytest.mark.parametrize("size", [0, 7])
    def test_no_more_is_asked_for_than_one_byte_too_many(self, driver_on, mocker, size):
        file_system, sink = mocker.Mock(cat_file=mocker.Mock(return_value=b"payload" * 9)), Collected()
        driver_on(file_system).read_many([Wanted(KEY, sink, size)])
        file_system.cat_file.assert_called_once_with(f"bucket/prefix/{KEY}", start=0, end=size + 1)
        assert sink.received == (b"payload" * 9)[: size + 1]

    def test_an_object_without_bytes_has_no_range_and_is_no_failure(self, driver_on, mocker):
        empty, sink = no_such_bucket(), Collected()
        empty.__cause__.response["Error"]["Code"] = "InvalidRange"
        failure = caused_by(OSError(errno.EINVAL, "not satisfiable"), empty.__cause__)
        driver_on(mocker.Mock(cat_file=mocker.Mock(side_effect=failure))).read_many([Wanted(KEY, sink, 7)])
        assert sink.received == b""

    def test_objects_are_read_side_by_side(self, driver_on):
        together = threading.Barrier(4, timeout=20)

        class Waiting(Failing):
            def cat_file(self, path, **limits):
                together.wait()
                return b"payload"

        assert driver_on(Waiting(None)).retrieve_many([f"v1/{number}" for number in range(4)]) == [b"payload"] * 4
