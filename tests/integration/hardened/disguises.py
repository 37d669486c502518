"""
The example Dags with distinctive values in place of their own.

The values of the examples are constants, which Airflow keeps with each source and shows to everybody; and their
consumers print what they read, which is theirs to do. So a search for them would find what nobody leaked. The disguise
replaces constants by calls of ``distinctive``, and ``print`` by one that shows a digest; everything else stays.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from demo.examples import EXAMPLES, Example
from tests.integration.hardened.dags_for_traces.distinctive import digest, number, text

ORIGINALS = Path(__file__).resolve().parents[3] / "example_dags"
FIRST_IMPORT = "from __future__ import annotations\n"
DISGUISED_IMPORTS = f"{FIRST_IMPORT}\nfrom distinctive import number, tell as print, text\n"

DISGUISES = {
    "exclusive_hand_over": {
        '["north", "south"] * (DAYS // 2)': '[text("north"), text("south")] * (DAYS // 2)',
        '"amount": range(DAYS)': '"amount": range(number("amount"), number("amount") + DAYS)',
        '"EUR"': 'text("currency")',
        "3,000,000": "{number('target')}",
    },
    "exclusive_intruder": {'"the cake is in the oven"': 'text("cake")'},
    "exclusive_reporting": {
        "per_store['north']": "per_store[text('north')]",
        "per_store['south']": "per_store[text('south')]",
    },
    "exclusive_taskflow": {
        '"amount": range(DAYS)': '"amount": range(number("amount"), number("amount") + DAYS)',
        '["north", "south"]': '[text("north"), text("south")]',
        "[2, 3, 5, 7]": '[number("two"), number("three"), number("five"), number("seven")]',
    },
    "exclusive_xcom_demo": {
        "value=42": 'value=number("rows")',
        '"/data/sales_2023.csv"': '"/data/" + text("sales") + ".csv"',
        '("id", "name", "amount")': '("id", text("column"))',
    },
}
"""By example: what stands in its source, and what is to stand there."""

DAYS = 3650
AMOUNTS = range(number("amount"), number("amount") + DAYS)
NORTH, SOUTH = sum(AMOUNTS[::2]), sum(AMOUNTS[1::2])
PRIMES = [number(name) for name in ("two", "three", "five", "seven")]
SQUARES = [prime * prime for prime in PRIMES]
TEXTS = [text(name) for name in ("cake", "north", "south", "sales", "column", "currency")]
NUMBERS = [number("rows"), number("target"), AMOUNTS[0], AMOUNTS[-1], NORTH, SOUTH, *PRIMES, *SQUARES]

SAYS = {
    "a friend hears that the cake is in the oven": f"a friend hears that {text('cake')}",
    "3650 days, total 6659425, unchanged: True": f"3650 days, total {sum(AMOUNTS)}, unchanged: True",
    "sum of the squares: 87": f"sum of the squares: {sum(SQUARES)}",
    "transforming 42 rows of /data/sales_2023.csv": f"transforming {number('rows')} rows of /data/{text('sales')}.csv",
    "loading 42 rows of /data/sales_2023.parquet, columns ('id', 'name', 'amount')": (
        f"loading {number('rows')} rows of /data/{text('sales')}.parquet, columns ('id', '{text('column')}')"
    ),
    "reporting on 2 stores in EUR": f"reporting on 2 stores in {text('currency')}",
    ("the report says: north 3,328,800 EUR, south 3,330,625 EUR (targets: ['north: 3,000,000', 'south: 3,000,000'])"): (
        f"the report says: north {NORTH:,} {text('currency')}, south {SOUTH:,} {text('currency')} "
        f"(targets: ['north: {number('target')}', 'south: {number('target')}'])"
    ),
}
"""What a reader says of the original value, and of the distinctive one."""


def disguise(dag_id: str) -> str:
    """Return the source of an example, disguised."""
    source = (ORIGINALS / f"{dag_id}.py").read_text()
    for old, new in {FIRST_IMPORT: DISGUISED_IMPORTS, **DISGUISES[dag_id]}.items():
        assert source.count(old) == 1, f"{dag_id}.py holds {old!r} {source.count(old)} times: adapt its disguise."
        source = source.replace(old, new)
    return source


def disguised_expectations() -> list[Example]:
    """Return what has to come out when the disguised examples run."""
    return [
        replace(
            example,
            readings=tuple(replace(reading, says=digest(SAYS[reading.says])) for reading in example.readings),
            refusals=tuple(replace(refusal, secret=text("cake")) for refusal in example.refusals),
        )
        for example in EXAMPLES
    ]
