"""What has to come out when the example Dags run: who reads what, what each reader says of it, and who is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Reading:
    """
    An output that arrives.

    :param producer: the task that pushes it, under ``keys``.
    :param reader: the task that reads it.
    :param says: the line in a task's log that can only be printed if the value arrived intact.
    :param witness: the task that prints it; empty for the reader itself.
    """

    producer: str
    reader: str
    says: str
    keys: tuple[str, ...] = ("return_value",)
    witness: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    An output that does not arrive.

    :param reader: the task that asks for it.
    :param because: what the error must say.
    :param secret: what must not occur in the log of the reader.
    """

    producer: str
    reader: str
    because: str
    secret: str


@dataclass(frozen=True, slots=True)
class Example:
    """One example Dag and everything that is expected of its run."""

    dag_id: str
    readings: tuple[Reading, ...]
    refusals: tuple[Refusal, ...] = field(default=())

    @property
    def failing_tasks(self) -> frozenset[str]:
        """The tasks that fail by design; every other one has to succeed."""
        return frozenset(refusal.reader for refusal in self.refusals)


EXAMPLES: Final = (
    Example(
        "exclusive_xcom_demo",
        readings=(
            Reading(
                producer="extract",
                keys=("return_value", "row_count"),
                reader="transform",
                says="transforming 42 rows of /data/sales_2023.csv",
            ),
            Reading(
                producer="transform",
                reader="load",
                says="loading 42 rows of /data/sales_2023.parquet, columns ('id', 'name', 'amount')",
            ),
        ),
    ),
    Example(
        "exclusive_taskflow",
        readings=(
            Reading(producer="sales", reader="report", says="3650 days, total 6659425, unchanged: True"),
            Reading(producer="numbers", reader="square", witness="add_up", says="sum of the squares: 87"),
            Reading(producer="square", reader="add_up", says="sum of the squares: 87"),
        ),
    ),
    Example(
        "exclusive_intruder",
        readings=(Reading(producer="confide", reader="friend", says="a friend hears that the cake is in the oven"),),
        refusals=(
            Refusal(
                producer="confide",
                reader="intruder",
                because="may be read by: exclusive_intruder.friend",
                secret="the cake is in the oven",
            ),
        ),
    ),
)
