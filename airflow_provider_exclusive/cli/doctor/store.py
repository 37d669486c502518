"""The store: whether it can be reached, and whether it suits the deployment."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airflow_provider_exclusive.cli.doctor.facts import Facts
from airflow_provider_exclusive.cli.doctor.report import Area, Finding
from airflow_provider_exclusive.config import Settings
from airflow_provider_exclusive.exceptions import ConfigurationError, StorageError
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.storage.files import FilesDriver
from airflow_provider_exclusive.storage.round_trip import make_round_trip

_STORE: Final = Area("store")
_SLOW_MILLISECONDS: Final = 500
_LOCAL_EXECUTORS: Final = frozenset({"LocalExecutor", "SequentialExecutor", "DebugExecutor"})


def check(facts: Facts) -> Iterator[Finding]:
    """Check the store, whichever it is."""
    if isinstance(facts.settings, ConfigurationError):
        return  # the settings' own check has said why
    if isinstance(facts.driver, ConfigurationError):
        yield _STORE.error(
            "driver",
            f"The store cannot be set up: {facts.driver}",
            "Check [exclusive] conn_id or storage, and that the connection it names exists in this deployment.",
        )
        return
    yield _check_round_trip(facts.driver)
    if isinstance(facts.driver, FilesDriver):
        yield from _check_sharing(facts, facts.settings)
        yield from _check_directory(facts.driver.root)
    if facts.driver.type == "object" and facts.settings.ttl_seconds is not None:
        yield _STORE.ok(
            "lifecycle",
            "Object stores do not expire single objects, so deleted runs leave theirs behind.",
            f"Set a lifecycle rule on the prefix that deletes objects older than {facts.settings.ttl_seconds} seconds.",
        )


def _check_round_trip(driver: StorageDriver) -> Finding:
    try:
        milliseconds = make_round_trip(driver)
    except StorageError as failure:
        return _STORE.error("round_trip", str(failure))
    what = f"Wrote, read back and deleted 1 KiB in {milliseconds:.1f} ms: {driver!r}."
    if milliseconds > _SLOW_MILLISECONDS:
        return _STORE.warning(
            "round_trip", what, "Every push and pull waits for it: use a store nearer to the workers."
        )
    return _STORE.ok("round_trip", what)


def _check_sharing(facts: Facts, settings: Settings) -> Iterator[Finding]:
    if _is_local(facts.executor):
        return
    if not settings.has_configured_store:
        yield _STORE.error(
            "sharing",
            f"Values lie in the default directory of each machine, but [core] executor = {facts.executor} runs tasks "
            "on several: a consumer would not find what its producer wrote.",
            "Name a store that all of them reach in [exclusive] conn_id or storage.",
        )
    else:
        yield _STORE.warning(
            "sharing",
            f"The store is a directory, and [core] executor = {facts.executor} runs tasks on several machines.",
            "Make sure that it is one shared file system mounted on each of them, or use Redis or object storage.",
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
        return  # the round trip has said why
    mode = stat.S_IMODE(status.st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield _STORE.error(
            "permissions",
            f"Other users may delete or replace what lies in {directory} (mode {mode:04o}).",
            f"chmod 700 {directory}",
        )
    elif mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield _STORE.warning(
            "permissions",
            f"Other users may list what lies in {directory} (mode {mode:04o}); the values themselves are sealed.",
            f"chmod 700 {directory}",
        )
    else:
        yield _STORE.ok("permissions", f"Only its owner may enter {directory}.")
    if status.st_uid != os.geteuid():
        yield _STORE.warning(
            "owner",
            f"{directory} belongs to user {status.st_uid}, and this command runs as user {os.geteuid()}.",
            "Give it to the user that runs Airflow, and run this command as that user.",
        )
