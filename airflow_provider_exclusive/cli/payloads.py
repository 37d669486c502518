"""Find out which payloads of a run are gone from the store; reads none of them and needs no key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from airflow_provider_exclusive.cli.lineage_report import SEALED, Output
from airflow_provider_exclusive.exceptions import ConfigurationError, StorageError
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.storage.files import FilesDriver
from airflow_provider_exclusive.store import object_key_of

GONE: Final = "payload gone"
_LOOKED_FOR: Final = 1000


def mark_gone(outputs: Sequence[Output], driver: StorageDriver | ConfigurationError) -> tuple[list[Output], str | None]:
    """
    Return the outputs, those whose payload is gone with the state :data:`GONE`, and what could not be checked.

    :param driver: or why there is none.
    """
    stored = {place: one.reference for place, one in enumerate(outputs) if one.state == SEALED and one.reference}
    stored = {place: reference for place, reference in stored.items() if reference.store is not None}
    try:
        found = _look_for(stored, driver) if stored else {}
    except (ConfigurationError, StorageError) as failure:
        return list(outputs), f"The store was not checked: {failure}"
    marked = [replace(one, state=GONE) if found.get(place) is False else one for place, one in enumerate(outputs)]
    if len(found) == len(stored):
        return marked, None
    return marked, f"Only {len(found):,} of {len(stored):,} payloads were looked for in the store: {driver!r}."


def _look_for(stored: Mapping[int, Reference], driver: StorageDriver | ConfigurationError) -> dict[int, bool]:
    if isinstance(driver, ConfigurationError):
        raise driver
    if isinstance(driver, FilesDriver) and not driver.root.is_dir():
        raise StorageError(f"there is no directory {driver.root} on this machine.")
    here = ((place, object_key_of(one)) for place, one in stored.items() if one.store == driver.type)
    keys = dict(islice(here, _LOOKED_FOR))
    return dict(zip(keys, driver.contains_many(list(keys.values())), strict=True))
