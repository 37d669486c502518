"""Check that the store can be reached, and that it suits the deployment."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airflow_provider_exclusive.cli.doctor.facts import Facts
from airflow_provider_exclusive.cli.doctor.report import Area, Finding, Severity
from airflow_provider_exclusive.cli.doctor.usage import describe_usage
from airflow_provider_exclusive.config import Settings
from airflow_provider_exclusive.exceptions import ConfigurationError, StorageError
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.storage.files import LEAST_LEFTOVER_SECONDS, TEMPORARY_PREFIX, FilesDriver
from airflow_provider_exclusive.storage.round_trip import measure_round_trip

_STORE: Final = Area("store")
_SLOW_MILLISECONDS: Final = 500
_NEARLY_FULL: Final = 0.95
_LOCAL_EXECUTORS: Final = frozenset({"LocalExecutor", "SequentialExecutor", "DebugExecutor"})


def check(facts: Facts) -> Iterator[Finding]:
    """Check the store, whatever its type."""
    if isinstance(facts.settings, ConfigurationError):
        return  # the check of the settings has reported it
    if isinstance(facts.driver, ConfigurationError):
        yield _STORE.error(
            "driver",
            f"Could not set up the store: {facts.driver}",
            "Check [exclusive] conn_id or storage, and that the connection it names exists in this deployment.",
        )
        return
    tried = _check_round_trip(facts.driver)
    yield tried
    if isinstance(facts.driver, FilesDriver):
        yield from _check_sharing(facts, facts.settings)
        yield from _check_directory(facts.driver.root)
        yield from _check_space(facts.driver)
        if tried.severity is not Severity.ERROR:
            yield from _check_leftovers(facts.driver)
    if facts.driver.type == "object" and facts.settings.ttl_seconds is not None:
        yield _STORE.ok(
            "lifecycle",
            "Object stores do not expire single objects, so the objects of deleted runs stay.",
            f"Set a lifecycle rule on the prefix that deletes objects older than {facts.settings.ttl_seconds} seconds.",
        )


def _check_round_trip(driver: StorageDriver) -> Finding:
    try:
        milliseconds = measure_round_trip(driver)
    except StorageError as failure:
        return _STORE.error("round_trip", str(failure))
    what = f"Writing, reading back and deleting 1 KiB takes {milliseconds:.1f} ms: {driver!r}."
    if milliseconds > _SLOW_MILLISECONDS:
        return _STORE.warning(
            "round_trip", what, "Every push and pull waits that long: use a store closer to the workers."
        )
    return _STORE.ok("round_trip", what)


def _check_sharing(facts: Facts, settings: Settings) -> Iterator[Finding]:
    if _is_local(facts.executor):
        return
    if not settings.has_configured_store:
        yield _STORE.error(
            "sharing",
            f"Values are stored in the default directory of each machine, but [core] executor = {facts.executor} runs "
            "tasks on several machines: a consumer would not find what its producer wrote.",
            "Set [exclusive] conn_id or storage to a store that all machines can reach.",
        )
    else:
        yield _STORE.warning(
            "sharing",
            f"The store is a directory, and [core] executor = {facts.executor} runs tasks on several machines.",
            "Make sure that it is a shared file system mounted on each machine, or use Redis or object storage.",
        )


def _is_local(executors: str) -> bool:
    # "team=Executor;…" and "alias:module.path.Executor" are both allowed, in lists.
    names = executors.replace(";", ",").split(",")
    classes = {name.rpartition("=")[2].rpartition(":")[2].rpartition(".")[2].strip() for name in names}
    return classes - {""} <= _LOCAL_EXECUTORS


def _check_directory(directory: Path) -> Iterator[Finding]:
    try:
        status = directory.stat()
    except OSError:
        return  # the round trip has reported it
    mode = stat.S_IMODE(status.st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield _STORE.error(
            "permissions",
            f"Other users may delete or replace the files in {directory} (mode {mode:04o}).",
            f"chmod 700 {directory}",
        )
    elif mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield _STORE.warning(
            "permissions",
            f"Other users may list the files in {directory} (mode {mode:04o}); the values themselves are sealed.",
            f"chmod 700 {directory}",
        )
    else:
        yield _STORE.ok("permissions", f"Only the owner of {directory} has access to it.")
    if status.st_uid != os.geteuid():
        yield _STORE.warning(
            "owner",
            f"{directory} belongs to user {status.st_uid}, but this command runs as user {os.geteuid()}.",
            "Make the user that runs Airflow its owner, and run this command as that user.",
        )


def _check_space(driver: FilesDriver) -> Iterator[Finding]:
    try:
        space = shutil.disk_usage(driver.root)
    except OSError:
        return  # the round trip has reported it
    # As df does: some blocks are kept for root, and free for nobody else.
    usable = space.used + space.free
    if space.used > _NEARLY_FULL * usable:
        yield _STORE.warning(
            "space",
            f"{space.used / usable:.0%} of the file system of {driver.root} ({usable:,} bytes) is in use. "
            f"{describe_usage(driver)}",
            "Free or add space: once it is full, pushes fail. Delete files older than [exclusive] ttl_seconds.",
        )


def _check_leftovers(driver: FilesDriver) -> Iterator[Finding]:
    try:
        left = driver.find_leftovers()
    except StorageError as failure:
        yield _STORE.warning(
            "leftovers",
            f"Could not look for files that killed writers left: {failure}",
            f"Run this command as the user to whom all of {driver.root} belongs.",
        )
        return
    if left.count:
        yield _STORE.warning(
            "leftovers",
            f"{'' if left.is_complete else 'At least '}{left.count:,} files in {driver.root} ({left.size:,} bytes) are "
            f"what killed writers left; the oldest is {left.oldest_seconds / 3600:,.0f} hours old.",
            f"Nobody reads them: find {shlex.quote(str(driver.root))} -type f -name '{TEMPORARY_PREFIX}*' "
            f"-mmin +{LEAST_LEFTOVER_SECONDS // 60} -delete",
        )
