"""
Payloads as files below one directory; the default store, and the one that needs no server.

Every process that reads or writes exclusive outputs must see the same directory. This module knows nothing of Airflow.
"""

from __future__ import annotations

import errno
import itertools
import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from airflow_provider_exclusive.exceptions import StorageError, StorageRefusedError, StorageUnavailableError
from airflow_provider_exclusive.storage.base import Payload, StorageDriver, StoredPayload, Wanted, chunks_of
from airflow_provider_exclusive.storage.errors import Meaning, has_errno, translated
from airflow_provider_exclusive.storage.object_keys import check_object_key, check_prefix, is_object_key

# No object key has a segment that begins with a dot, so a temporary file can never be taken for an object.
TEMPORARY_PREFIX: Final = ".writing-"
LEAST_LEFTOVER_SECONDS: Final = 3600
"""How long nobody must have written to a temporary file before it counts as left."""

_MOST_FILES_EXAMINED: Final = 100_000
_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_READ_BYTES: Final = 1 << 18
# A concurrent delete may prune a directory between its creation and its first file; each round needs another delete.
_PLACING_ATTEMPTS: Final = 20

_NO_FILE: Final = "{path} is not a regular file, and is not read. Delete it, then clear and re-run the producer task."
_PROBLEM: Final = "Could not {action} {root}: {reason}."
_ERRORS: Final = (
    Meaning(
        # What a network file system or an exhausted machine answers for a while.
        has_errno(
            *(errno.EIO, errno.EREMOTEIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY),
            *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENOTCONN),
            *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
        ),
        f"{_PROBLEM} Check that the disk or network share is healthy, and that the machine has free memory and file "
        "handles; then retry.",
        StorageUnavailableError,
    ),
    Meaning(
        has_errno(errno.ENOSPC, errno.EDQUOT),
        f"{_PROBLEM} Free or add space there, or point [exclusive] storage at a larger disk.",
        StorageRefusedError,
    ),
    Meaning(
        has_errno(errno.EACCES, errno.EPERM, errno.EROFS),
        f"{_PROBLEM} The user that runs Airflow needs read and write access: mount it writable and give it to that "
        "user, or name another directory in [exclusive] storage.",
    ),
    Meaning(
        has_errno(errno.ENOTDIR, errno.EEXIST, errno.ELOOP),
        f"{_PROBLEM} Expected a directory and found something else on the way: move it away, or name another directory "
        "in [exclusive] storage.",
    ),
    Meaning(has_errno(errno.ENAMETOOLONG), f"{_PROBLEM} Name a directory with a shorter path in [exclusive] storage."),
    Meaning(
        has_errno(errno.EFBIG),
        f"{_PROBLEM} The payload is larger than the file system or the process's limit allows: split the value, or "
        "raise the limit (ulimit -f).",
    ),
    Meaning(OSError, f"{_PROBLEM} Check the directory, or name another in [exclusive] storage."),
)


@dataclass(frozen=True, slots=True)
class Leftovers:
    """
    Files that writers did not finish, because they were killed.

    :param size: bytes, together.
    :param oldest_seconds: the age of the oldest.
    :param is_complete: False if the directory holds more files than were examined.
    """

    count: int
    size: int
    oldest_seconds: float
    is_complete: bool


class FilesDriver(StorageDriver):
    """
    Keeps each payload in a file of its own, readable by its owner only.

    Files know no expiry: ``ttl_seconds`` is enforced by the reference, and a file stays until it is deleted.

    :param root: the directory; created, owner-only, by the first :meth:`store`.
    """

    type: ClassVar[str] = "files"

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def root(self) -> Path:
        """The directory that holds the payloads."""
        return self._root

    def __repr__(self) -> str:
        return f"FilesDriver({str(self._root)!r})"

    def store(self, key: str, payload: Payload, *, ttl_seconds: int | None) -> None:  # noqa: ARG002 - see the class
        """Write the file under a temporary name, then rename it: a reader sees all of it or nothing."""
        path = self._path(key)
        with self._translated("write"):
            self._check_folders(path)
            written, descriptor = self._open_temporary(path.parent)
            try:
                with open(descriptor, "wb") as file:  # noqa: PTH123 - it has a descriptor, not a path
                    file.writelines(chunks_of(payload))
                    file.flush()
                    os.fsync(file.fileno())
                written = written.rename(path)
                _sync_directory(path.parent)
            except BaseException:
                # What went wrong first is what the caller must hear, so a failing clean-up stays silent.
                with suppress(OSError):
                    written.unlink()
                raise

    def read_many(self, wanted: Sequence[Wanted]) -> None:
        """Read the files one after the other."""
        paths = [self._path(one.key) for one in wanted]
        with self._translated("read"):
            for path, one in zip(paths, wanted, strict=True):
                self._check_folders(path)
                _read(path, one)

    def delete(self, key: str) -> None:
        """Remove the file, and the directories that it leaves empty."""
        path = self._path(key)
        with self._translated("delete in"):
            self._check_folders(path)
            try:
                path.unlink()
            except (FileNotFoundError, IsADirectoryError):
                return
            self._prune(path.parent)

    def scan(self, prefix: str = "") -> Iterator[StoredPayload]:
        """Yield the files below the deepest directory that ``prefix`` names."""
        check_prefix(prefix)
        with self._translated("list"):
            self._check_folders(self._root / f"{prefix}any")  # the folders that it names
            for key, status in _walk(self._root, prefix.rpartition("/")[0]):
                if key.startswith(prefix) and is_object_key(key):
                    yield StoredPayload(key, status.st_size)

    def find_leftovers(self) -> Leftovers:
        """Return what killed writers left: unfinished files that nobody has written to for an hour."""
        with self._translated("list"):
            now, every = time.time(), _walk(self._root, "")
            left = [
                status
                for key, status in itertools.islice(every, _MOST_FILES_EXAMINED)
                if _is_temporary(key) and now - status.st_mtime > LEAST_LEFTOVER_SECONDS
            ]
            return Leftovers(
                count=len(left),
                size=sum(status.st_size for status in left),
                oldest_seconds=max((now - status.st_mtime for status in left), default=0),
                is_complete=next(every, None) is None,
            )

    def _path(self, key: str) -> Path:
        check_object_key(key)
        return self._root / key

    def _check_folders(self, path: Path) -> None:
        # Nothing here makes links, and what is behind one may be anybody's.
        for folder in path.parents:
            if folder == self._root:
                return
            if folder.is_symlink():
                raise StorageError(f"{folder} is a symbolic link, which is not followed. Replace it by a directory.")

    def _open_temporary(self, directory: Path) -> tuple[Path, int]:
        temporary = directory / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        for _ in range(_PLACING_ATTEMPTS):
            _make_directory(directory)
            # A prune can only take the directory while it is empty: once this file exists, it stays.
            with suppress(FileNotFoundError):
                return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        if not self._root.is_dir():  # nothing ever prunes it
            raise StorageError(
                f"Could not create the directory {self._root}: {os.strerror(errno.ENOENT)}. Name another directory in "
                "[exclusive] storage."
            )
        raise StorageUnavailableError(
            f"Could not write to {self._root}: another process removed its directories {_PLACING_ATTEMPTS} times in a "
            "row. Retry; if it persists, find out what else cleans up there."
        )

    def _prune(self, directory: Path) -> None:
        for folder in (directory, *directory.parents):
            if folder == self._root:
                return
            try:
                folder.rmdir()
            except OSError:
                # Somebody else's payload lies here, or somebody else pruned: both are as good as done.
                return

    def _translated(self, action: str) -> AbstractContextManager[None]:
        return translated(
            _ERRORS,
            lambda failure: {
                "action": action,
                "root": self._root,
                "reason": failure.strerror or type(failure).__name__,
            },
        )


def _make_directory(directory: Path) -> None:
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    # If another process makes or prunes it meanwhile, opening a file in it will tell.
    with suppress(FileExistsError, FileNotFoundError):
        directory.mkdir(_DIRECTORY_MODE)
        _sync_directory(directory.parent)


def _sync_directory(directory: Path) -> None:
    # Without this a crash may forget the directory entry of a file whose bytes are safe. A directory that is gone was
    # pruned, so nothing in it is left to keep; one that only its owner may list is the owner's to keep; and some file
    # systems know no such thing.
    with suppress(FileNotFoundError, PermissionError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as failure:
            if failure.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)


def _read(path: Path, wanted: Wanted) -> None:
    sink = wanted.sink
    sink.restart()
    descriptor = _open_regular(path)
    if descriptor is None:
        return
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - it has a descriptor, not a path
        sink.write(b"")  # it is there, if empty
        left = os.fstat(descriptor).st_size  # no further, should somebody be appending to it
        if wanted.size is not None:
            left = min(left, wanted.size + 1)
        buffer = memoryview(bytearray(min(_READ_BYTES, left)))
        while left and (count := file.readinto(buffer[:left])):
            sink.write(buffer[:count])
            left -= count


def _open_regular(path: Path) -> int | None:
    """
    Return a descriptor of the file, or None if there is none.

    :raises StorageError: if something else is there: a pipe would block and a device never end.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as failure:
        if failure.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise StorageError(_NO_FILE.format(path=path)) from failure
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        return None
    raise StorageError(_NO_FILE.format(path=path))


def _is_temporary(key: str) -> bool:
    return key.rpartition("/")[2].startswith(TEMPORARY_PREFIX)


def _walk(root: Path, folder: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        listed = os.scandir(root / folder)
    except FileNotFoundError:
        # Nothing was stored yet, or it was pruned since its parent was listed.
        return
    with listed as entries:
        for entry in entries:
            key = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(root, key)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    yield key, entry.stat(follow_symlinks=False)
