"""What the example Dags must do: who reads what, what each reader logs, and who is refused."""

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

    :param reader: the task that requests it.
    :param because: what the error must say.
    :param secret: what must not be in the log of the reader.
    """

    producer: str
    reader: str
    because: str
    secret: str


@dataclass(frozen=True, slots=True)
class Example:
    """
    One example Dag and everything that is expected of its run.

    :param triggered_by: the example whose run triggers this one; empty if it is started directly.
    :param waits: whether it waits for a run that only a scheduler starts, so that ``dag.test()`` would wait for ever.
    """

    dag_id: str
    readings: tuple[Reading, ...]
    refusals: tuple[Refusal, ...] = field(default=())
    triggered_by: str = ""
    waits: bool = False

    @property
    def failing_tasks(self) -> frozenset[str]:
        """The tasks that fail by design; every other task must succeed."""
        return frozenset(refusal.reader for refusal in self.refusals)


_REPORT: Final = (
    "the report says: north 3,328,800 EUR, south 3,330,625 EUR (targets: ['north: 3,000,000', 'south: 3,000,000'])"
)

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
    Example(
        "exclusive_hand_over",
        readings=(
            Reading(producer="sales", reader="exclusive_reporting.totals", witness="publish", says=_REPORT),
            Reading(producer="currency", reader="exclusive_reporting.summarise", witness="publish", says=_REPORT),
            Reading(producer="target", reader="exclusive_reporting.summarise", witness="publish", says=_REPORT),
            Reading(producer="hand_over", reader="publish", says=_REPORT),
            Reading(
                producer="hand_over",
                keys=("exclusive_hand_over",),
                reader="the triggered run",
                witness="publish",
                says=_REPORT,
            ),
        ),
        waits=True,
    ),
    Example(
        "exclusive_reporting",
        readings=(
            Reading(producer="totals", reader="summarise", says="reporting on 2 stores in EUR"),
            Reading(
                producer="summarise",
                reader="exclusive_hand_over.hand_over",
                witness="summarise",
                says="reporting on 2 stores in EUR",
            ),
        ),
        triggered_by="exclusive_hand_over",
    ),
)
