"""Where an XCom is written and where it is asked for, in Airflow's own terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.scopes.identity import TaskIdentity


def is_kept_as(pushed: str, key: str | None) -> bool:
    """Return whether what was pushed as ``pushed`` lies under ``key``: Airflow decodes percent signs on the way."""
    return key in (pushed, unquote(pushed))


@dataclass(frozen=True, slots=True)
class Target:
    """
    Where a push goes.

    :param map_index: None where Airflow does not say (3.4, for a write to another task instance).
    """

    dag_id: str | None
    run_id: str | None
    task_id: str | None
    map_index: int | None
    key: str | None

    def belongs_to(self, identity: TaskIdentity) -> bool:
        """Return whether this is a coordinate of the task instance ``identity``."""
        return (self.dag_id, self.run_id, self.task_id, self.map_index) == (
            identity.dag_id,
            identity.run_id,
            identity.task_id,
            identity.map_index,
        )

    def key_as_pushed(self, row: Mapping[str, Any]) -> str:
        """Return the key as its task named it, as far as ``row``, which stands here, says so."""
        producer = row.get("producer")
        pushed = producer.get("key") if isinstance(producer, Mapping) else None
        return pushed if isinstance(pushed, str) and is_kept_as(pushed, self.key) else str(self.key)


@dataclass(frozen=True, slots=True)
class Requested:
    """
    The coordinate that a pull asks for; None stands for whatever is not known or will all do.

    :param run_id: None if an earlier run's value will do.
    :param map_index: None if every map index was asked for.
    """

    dag_id: str
    run_id: str | None
    task_id: str | None
    map_index: int | None
    key: str | None

    @classmethod
    def one(cls, query: Mapping[str, Any]) -> Requested:
        """Read the arguments of ``get_one``; Airflow takes a missing map index for an unmapped task."""
        return cls._from(query, -1 if query.get("map_index") is None else query["map_index"])

    @classmethod
    def all(cls, query: Mapping[str, Any]) -> Requested:
        """Read the arguments of ``get_all``."""
        return cls._from(query, None)

    @classmethod
    def _from(cls, query: Mapping[str, Any], map_index: int | None) -> Requested:
        run_id = None if query.get("include_prior_dates") else query["run_id"]
        return cls(query["dag_id"], run_id, query["task_id"], map_index, query["key"])

    def matches(self, reference: Reference) -> bool:
        """Return whether ``reference`` was written at this coordinate."""
        producer = reference.producer
        return (
            producer.dag_id == self.dag_id
            and self.run_id in (None, producer.run_id)
            and self.task_id in (None, producer.task_id)
            and self.map_index in (None, producer.map_index)
            and (self.key is None or is_kept_as(reference.key, self.key))
        )
