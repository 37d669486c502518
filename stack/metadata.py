"""Access to Airflow's metadata database that bypasses Airflow."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

# Airflow 3.4 stores XComs per attempt, under the id of the task instance, and keeps those of earlier attempts. Older
# versions store the coordinates in the row. "Working set" is Airflow's term for the current attempts.
_COORDINATES_IN_ROW = (
    "SELECT dag_id, run_id, task_id, map_index, key, CAST(value AS TEXT) AS stored FROM xcom "
    "ORDER BY dag_id, run_id, task_id, map_index, key"
)
_COORDINATES_BY_ATTEMPT = (
    "SELECT t.dag_id, t.run_id, t.task_id, t.region_index AS map_index, x.key, CAST(x.value AS TEXT) AS stored "
    "FROM xcom_v2 x JOIN task_instance t ON t.id = x.task_instance_id "
    "WHERE t.working_set IS TRUE "
    "ORDER BY t.dag_id, t.run_id, t.task_id, t.region_index, x.key"
)
_WRITE_IN_ROW = (
    "UPDATE xcom SET value = {value} WHERE dag_id = :dag_id AND run_id = :run_id AND task_id = :task_id "
    "AND map_index = :map_index AND key = :key"
)
_WRITE_BY_ATTEMPT = (
    "UPDATE xcom_v2 SET value = {value} WHERE key = :key AND task_instance_id IN (SELECT id FROM task_instance "
    "WHERE dag_id = :dag_id AND run_id = :run_id AND task_id = :task_id "
    "AND region_index = :map_index AND working_set IS TRUE)"
)


@dataclass(frozen=True, slots=True)
class XComRow:
    """
    One XCom as it is stored in the database.

    :param stored: the text of the JSON column, character for character.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    key: str
    stored: str

    @property
    def value(self) -> Any:
        """The content of the column, parsed as JSON."""
        return json.loads(self.stored)


class MetadataDatabase:
    """
    Reads the rows of a metadata database, and changes them for tests that play the attacker.

    :param url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.pool.NullPool)

    def query(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run a SELECT with ``:named`` parameters."""
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(statement), parameters).mappings()]

    def execute(self, statement: str, **parameters: Any) -> int:
        """Run an UPDATE, INSERT or DELETE and return how many rows it touched."""
        with self._engine.begin() as connection:
            return int(connection.execute(sa.text(statement), parameters).rowcount)

    def xcom_rows(self, *, dag_id: str | None = None, run_id: str | None = None) -> list[XComRow]:
        """Return the XComs of the current attempts in order: all, or those of one Dag or run."""
        rows = self.query(_COORDINATES_BY_ATTEMPT if self._is_by_attempt() else _COORDINATES_IN_ROW)
        found = (XComRow(**row) for row in rows)
        return [row for row in found if dag_id in (None, row.dag_id) and run_id in (None, row.run_id)]

    def overwrite(self, row: XComRow, value: Any) -> None:
        """
        Write another value into an XCom row, as anybody with access to the database could.

        :raises LookupError: if the row no longer exists.
        """
        cast = "CAST(:value AS JSONB)" if self._engine.dialect.name == "postgresql" else ":value"
        statement = (_WRITE_BY_ATTEMPT if self._is_by_attempt() else _WRITE_IN_ROW).format(value=cast)
        where = {name: entry for name, entry in asdict(row).items() if name != "stored"}
        if self.execute(statement, value=json.dumps(value), **where) != 1:
            raise LookupError(f"There is no XCom {row.key!r} of {row.dag_id}.{row.task_id} in run {row.run_id}.")

    def occurrences(self, needle: str) -> list[str]:
        """Return each ``table.column`` in which ``needle`` occurs, in any row; for tests of redaction."""
        tables = sa.MetaData()
        tables.reflect(self._engine)
        places = []
        with self._engine.connect() as connection:
            for table in tables.sorted_tables:
                for row in connection.execute(sa.select(table)).mappings():
                    places += [f"{table.name}.{name}" for name, value in row.items() if needle in _text(value)]
        return sorted(set(places))

    def _is_by_attempt(self) -> bool:
        return sa.inspect(self._engine).has_table("xcom_v2")


def _text(value: Any) -> str:
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).decode("latin-1")
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
