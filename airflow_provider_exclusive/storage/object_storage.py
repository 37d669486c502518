"""
Payloads in S3, Google Cloud Storage, Azure Blob Storage or whatever else Airflow's ``ObjectStoragePath`` reaches.

The file system behind the path is used directly: opening the path itself would put every payload into the lineage that
Airflow keeps.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_provider_exclusive.exceptions import StorageError, StorageRefusedError, StorageUnavailableError
from airflow_provider_exclusive.storage.base import Payload, StorageDriver, StoredPayload, Wanted, joined
from airflow_provider_exclusive.storage.errors import Meaning, has_errno, translated
from airflow_provider_exclusive.storage.object_keys import check_object_key, check_prefix, is_object_key

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

_PARALLEL_READS: Final = 16
_AMAZON, _GOOGLE, _AZURE = (
    "'apache-airflow-providers-amazon[s3fs]'",
    "apache-airflow-providers-google",
    "apache-airflow-providers-microsoft-azure",
)
_PROVIDERS: Final = {
    **dict.fromkeys(("s3", "s3a", "s3n"), _AMAZON),
    **dict.fromkeys(("gs", "gcs"), _GOOGLE),
    **dict.fromkeys(("abfs", "abfss"), _AZURE),
}
_PASSING_ERRNOS: Final = frozenset(
    {errno.EBUSY, errno.EIO, errno.EREMOTEIO, errno.ETIMEDOUT, errno.EAGAIN, errno.ECONNREFUSED, errno.ESTALE}
)


def _is_called(*names: str) -> Callable[[Exception], bool]:
    # The clients behind fsspec share no base class and may not be installed, so their errors are told by name:
    # botocore, aiohttp, google.api_core and azure.core; "ConnectionError" is both Python's and botocore's.
    return lambda failure: any(
        base.__name__ in names for error in (failure, failure.__cause__) if error for base in type(error).__mro__
    )


_PROBLEM: Final = "Object storage at {where} failed ({kind})."
_UNAVAILABLE: Final = f"{_PROBLEM} Check the endpoint of connection {{conn_id!r}} and the network; then retry."
_ERRORS: Final = (
    Meaning(
        _is_called(
            "PermissionError", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "SignError",
            "TokenRetrievalError", "GoogleAuthError", "Forbidden", "Unauthorized", "ClientAuthenticationError",
        ),
        f"{_PROBLEM} Check the credentials of connection {{conn_id!r}}; they must allow getting, putting, deleting "
        "and listing objects there (without listing, stores answer 'forbidden' for a missing object).",
        StorageRefusedError,
    ),
    Meaning(
        _is_called("FileNotFoundError"),
        f"{_PROBLEM} The bucket or folder does not exist: create it, or correct the URL.",
    ),
    Meaning(
        _is_called(
            "ConnectionError", "TimeoutError", "HTTPClientError", "FSTimeoutError", "IncompleteRead",
            "ResponseParserError", "ClientConnectionError", "ClientPayloadError", "ServerTimeoutError", "gaierror",
            "TransportError", "RetryError", "ServerError", "TooManyRequests",
            "ServiceRequestError", "ServiceResponseError",
        ),
        _UNAVAILABLE,
        StorageUnavailableError,
    ),
    Meaning(has_errno(*_PASSING_ERRNOS), _UNAVAILABLE, StorageUnavailableError),
    Meaning(Exception, f"{_PROBLEM} Its own message is the cause above; check URL and connection."),
)  # fmt: skip


class ObjectStorageDriver(StorageDriver):
    """
    Keeps each payload in an object of its own, written whole.

    Object stores have no expiry for a single object, so ``ttl_seconds`` is enforced by the reference only: set a
    lifecycle rule on the bucket that deletes what is older. Timeouts and retries are those of the client library and
    are set in the connection (for S3: ``config_kwargs``).

    :param root: bucket and prefix with the connection to use, such as
        ``ObjectStoragePath("s3://bucket/exclusive", conn_id="aws_default")``.
    """

    type: ClassVar[str] = "object"

    def __init__(self, root: ObjectStoragePath) -> None:
        self._protocol = root.protocol or "file"
        self._conn_id = root.conn_id
        self._base = root.path.rstrip("/")
        self._file_systems: dict[int, Any] = {}

    def __repr__(self) -> str:
        return f"ObjectStorageDriver({self._where!r}, conn_id={self._conn_id!r})"

    def store(self, key: str, payload: Payload, *, ttl_seconds: int | None) -> None:  # noqa: ARG002 - see the class
        """Put the object; it is visible whole or not at all."""
        path = self._path(key)
        with self._translated():
            file_system = self._file_system()
            file_system.pipe_file(path, joined(payload))
            self._check_upload(file_system, path, len(payload))

    def read_many(self, wanted: Sequence[Wanted]) -> None:
        """Get the objects, several at a time, each in one piece."""
        paths, sizes = [self._path(one.key) for one in wanted], [one.size for one in wanted]
        with self._translated(), ThreadPoolExecutor(_PARALLEL_READS) as pool:
            read = partial(_read, self._file_system())
            for one, found in zip(wanted, pool.map(read, paths, sizes), strict=True):
                one.sink.restart()
                if found is not None:
                    one.sink.write(found)

    def delete(self, key: str) -> None:
        """Remove the object; older versions stay where the bucket keeps versions."""
        path = self._path(key)
        with self._translated():
            try:
                self._file_system().rm_file(path)
            except (FileNotFoundError, IsADirectoryError) as failure:
                _refuse_missing_bucket(failure)

    def scan(self, prefix: str = "") -> Iterator[StoredPayload]:
        """List what lies below the deepest folder that ``prefix`` names."""
        check_prefix(prefix)
        with self._translated():
            file_system = self._file_system()
            file_system.invalidate_cache()
            folder = prefix.rpartition("/")[0]
            found = file_system.find(f"{self._base}/{folder}".rstrip("/"), detail=True)
            for path, entry in found.items():
                key = path.removeprefix(f"{self._base}/")
                if key.startswith(prefix) and is_object_key(key):
                    yield StoredPayload(key, int(entry["size"]))

    def _check_upload(self, file_system: Any, path: str, size: int) -> None:
        # Whatever answers 200 to everything, such as a proxy, would otherwise be taken for a store.
        file_system.invalidate_cache()
        try:
            stored = file_system.info(path)["size"]
        except FileNotFoundError:
            stored = None
        if stored != size:
            raise StorageUnavailableError(
                f"Object storage at {self._where} accepted an object of {size:,} bytes, and then did not have it. "
                f"Check that the endpoint of connection {self._conn_id!r} is the store itself; then retry."
            )

    @property
    def _where(self) -> str:
        return f"{self._protocol}://{self._base}"

    def _path(self, key: str) -> str:
        check_object_key(key)
        return f"{self._base}/{key}"

    def _file_system(self) -> Any:
        # Airflow keeps one file system for ever, but those that run on asyncio refuse to work in a forked child.
        process = os.getpid()
        return self._file_systems.get(process) or self._file_systems.setdefault(process, self._open_file_system())

    def _open_file_system(self) -> Any:
        from airflow.sdk.io import get_fs

        try:
            return get_fs(self._protocol, self._conn_id)
        except (ImportError, ValueError) as failure:
            # ValueError is Airflow's word for a URL scheme that no installed provider serves.
            raise StorageError(
                f"Object storage at {self._where} cannot be opened. {installation_hint(self._protocol)}"
            ) from failure

    def _translated(self) -> AbstractContextManager[None]:
        return translated(
            _ERRORS,
            lambda failure: {"where": self._where, "kind": type(failure).__name__, "conn_id": self._conn_id},
        )


def installation_hint(protocol: str) -> str:
    """Return a sentence that says what to install for URLs of ``protocol``."""
    provider = _PROVIDERS.get(protocol)
    if provider is None:
        return f"Install the Airflow provider that supports {protocol}:// URLs, or use another store."
    return f"Install what {protocol}:// needs: pip install {provider}."


def _read(file_system: Any, path: str, size: int | None) -> bytes | None:
    limits = {} if size is None else {"start": 0, "end": size + 1}
    try:
        return bytes(file_system.cat_file(path, **limits))[: limits.get("end")]  # a server need not know ranges
    except (FileNotFoundError, IsADirectoryError) as failure:
        _refuse_missing_bucket(failure)
        return None
    except OSError as failure:
        if _error_code(failure) != "InvalidRange":
            raise
        return b""  # of which there is no range


def _refuse_missing_bucket(failure: OSError) -> None:
    # A mistyped bucket must not look like an expired payload.
    if _error_code(failure) == "NoSuchBucket":
        raise failure


def _error_code(failure: OSError) -> object:
    response = getattr(failure.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code")
