from __future__ import annotations

import json
import os
import time

import pytest

from airflow_provider_exclusive.exceptions import StorageError, StorageRefusedError, StorageUnavailableError
from airflow_provider_exclusive.storage.base import Wanted
from airflow_provider_exclusive.storage.object_storage import ObjectStorageDriver
from airflow_provider_exclusive.storage.testing import KEY, Collected, StorageDriverContract, start_in_child
from tests import services
from tests.programs import output_of

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def s3():
    with services.s3_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _fresh_file_systems():
    """Let each test's connection count: Airflow keeps the file system of a connection for the life of a process."""
    from airflow.sdk.io import store

    kept = dict(store._STORE_CACHE)
    store._STORE_CACHE.clear()
    yield
    store._STORE_CACHE.clear()
    store._STORE_CACHE.update(kept)


@pytest.fixture
def connect(monkeypatch):
    """Define the connection ``aws_default``; its clients neither wait nor retry for long."""

    def define(endpoint_url: str, **config) -> None:
        quick = {"connect_timeout": 1, "read_timeout": 2, "retries": {"max_attempts": 0}}
        connection = {
            "conn_type": "aws",
            "login": "any",
            "password": "any-secret",
            "extra": {"endpoint_url": endpoint_url, "region_name": "us-east-1", "config_kwargs": {**quick, **config}},
        }
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))

    return define


def driver_at(url: str, conn_id: str | None = None) -> ObjectStorageDriver:
    from airflow.sdk import ObjectStoragePath

    return ObjectStorageDriver(ObjectStoragePath(url, conn_id=conn_id))


def driver_on_files(folder) -> ObjectStorageDriver:
    """Return a driver of a file system that makes folders like object stores do: by writing into them."""
    driver = driver_at(f"file://{folder}")
    driver._file_system().auto_mkdir = True
    return driver


def refused(operation, advice: str) -> StorageError:
    with pytest.raises(StorageError, match=advice) as caught:
        operation()
    assert not isinstance(caught.value, StorageUnavailableError)
    return caught.value


class TestOnLocalFiles(StorageDriverContract):
    @pytest.fixture
    def driver(self, tmp_path):
        return driver_on_files(f"{tmp_path}/objects/")

    def test_a_folder_that_may_not_be_written_names_the_permission(self, tmp_path):
        folder = tmp_path / "forbidding"
        folder.mkdir(0o555)

        def child() -> None:
            if os.geteuid() == 0:
                os.setuid(65534)
            refused(lambda: driver_on_files(folder).store(KEY, b"x", ttl_seconds=None), "must allow getting, putting")

        start_in_child(child)()


class TestOnS3(StorageDriverContract):
    many = 40

    @pytest.fixture
    def driver(self, s3, connect):
        connect(s3.endpoint_url)
        return driver_at(f"s3://{s3.bucket}/prefix-{os.urandom(4).hex()}", "aws_default")

    def test_an_emptied_object_is_no_failure_of_the_store(self, driver):
        driver.store(KEY, b"", ttl_seconds=None)
        sink = Collected()
        driver.read_many([Wanted(KEY, sink, 7)])
        assert sink.received == b""

    def test_a_whole_bucket_can_be_the_root(self, driver, s3):
        whole = driver_at(f"s3://{s3.bucket}", "aws_default")
        whole.store(KEY, b"payload", ttl_seconds=None)
        assert whole.retrieve(KEY) == b"payload"
        assert KEY in {stored.key for stored in whole.scan("v1/")}
        whole.delete(KEY)

    def test_one_prefix_does_not_see_another_that_begins_alike(self, s3, connect):
        connect(s3.endpoint_url)
        name = f"s3://{s3.bucket}/{os.urandom(4).hex()}"
        driver_at(f"{name}-other", "aws_default").store(KEY, b"other", ttl_seconds=None)
        assert list(driver_at(name, "aws_default").scan()) == []

    def test_a_scan_sees_what_another_process_wrote_meanwhile(self, driver):
        assert list(driver.scan()) == []
        start_in_child(lambda: driver.store(KEY, b"payload", ttl_seconds=None))()
        assert [stored.key for stored in driver.scan()] == [KEY]


class TestFaultsOnS3:
    def test_a_missing_bucket_is_not_mistaken_for_a_missing_payload(self, s3, connect):
        connect(s3.endpoint_url)
        driver = driver_at("s3://no-such-bucket/prefix", "aws_default")
        for operation in (
            lambda: driver.store(KEY, b"payload", ttl_seconds=None),
            lambda: driver.retrieve(KEY),
        ):
            refused(operation, "s3://no-such-bucket/prefix .*bucket or folder does not exist: create it")

    def test_nobody_listening_is_worth_a_retry(self, connect):
        connect(f"http://127.0.0.1:{services.free_port()}")
        driver = driver_at("s3://exclusive/prefix", "aws_default")
        for operation in (
            lambda: driver.store(KEY, b"payload", ttl_seconds=None),
            lambda: driver.retrieve_many([KEY, "v1/other"]),
            lambda: driver.delete(KEY),
            lambda: list(driver.scan()),
        ):
            started = time.monotonic()
            with pytest.raises(StorageUnavailableError, match=r"s3://exclusive/prefix .*then retry") as caught:
                operation()
            assert "any-secret" not in str(caught.value)
            assert time.monotonic() - started < 20

    @pytest.mark.parametrize(
        ("answer", "error", "advice"),
        [
            ((403, "AccessDenied"), StorageRefusedError, "credentials of connection 'aws_default'"),
            ((403, "InvalidAccessKeyId"), StorageRefusedError, "credentials of connection 'aws_default'"),
            ((403, "SignatureDoesNotMatch"), StorageRefusedError, "credentials of connection 'aws_default'"),
            ((503, "ServiceUnavailable"), StorageUnavailableError, "then retry"),
            ((400, "InvalidRequest"), StorageError, "check URL and connection"),
        ],
    )
    def test_what_the_server_refuses_is_told_apart(self, connect, answer, error, advice):
        with services.s3_refusing(*answer) as url:
            connect(url)
            driver = driver_at("s3://exclusive/prefix", "aws_default")
            for operation in (lambda: driver.store(KEY, b"payload", ttl_seconds=None), lambda: driver.retrieve(KEY)):
                with pytest.raises(StorageError, match=advice) as caught:
                    operation()
                assert type(caught.value) is error

    def test_what_answers_yes_to_everything_is_no_store(self, connect):
        with services.answering(200, b"<html>Please log in</html>") as url:
            connect(url)
            driver = driver_at("s3://exclusive/prefix", "aws_default")
            with pytest.raises(StorageUnavailableError, match=r"accepted an object of 7 bytes, and then did not have"):
                driver.store(KEY, b"payload", ttl_seconds=None)


class TestUnknownStores:
    def test_a_protocol_whose_library_is_missing_names_the_extra(self):
        program = (
            "import sys; sys.modules['s3fs'] = None\n"
            "from airflow.sdk import ObjectStoragePath\n"
            "from airflow_provider_exclusive.storage.object_storage import ObjectStorageDriver\n"
            "driver = ObjectStorageDriver(ObjectStoragePath('s3://exclusive/prefix', conn_id='aws_default'))\n"
            "try: driver.retrieve('v1/a')\n"
            "except Exception as failure: print(type(failure).__name__, failure)\n"
        )
        printed = output_of(program)
        assert "StorageError Object storage at s3://exclusive/prefix cannot be opened." in printed
        assert "pip install 'apache-airflow-providers-amazon[s3fs]'" in printed

    def test_a_protocol_that_no_provider_serves_says_so(self):
        refused(
            lambda: driver_at("memory://exclusive/prefix").retrieve(KEY), "Airflow provider that supports memory://"
        )

    def test_importing_the_driver_imports_no_airflow_or_file_system(self):
        program = (
            "import sys, airflow_provider_exclusive.storage.object_storage;"
            "print(sorted({'airflow', 'fsspec', 'botocore'} & set(sys.modules)))"
        )
        assert output_of(program).strip() == "[]"
