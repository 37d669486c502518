"""The values that are measured; the same in every process, so that a consumer can check what it received."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_SEED: Final = 5
_SAMPLE: Final = 8
_MISSING_SHARE: Final = 0.1
_WORD: Final = 24
ROWS_PER_FRAME_MB: Final = 12_500
"""Rows of ten floats that make a megabyte."""


@dataclass(frozen=True, slots=True)
class Payload:
    """
    One kind of value.

    :param title: what to call it in a table.
    :param make: builds it from an amount: characters, rows or bytes.
    :param repetitions: limit on the pushes, so that all of them fit into memory together.
    """

    title: str
    make: Callable[[int], Any]
    amount: int
    repetitions: int = 1000

    def build(self) -> Any:
        """Return the value."""
        return self.make(self.amount)

    def sample(self) -> Any:
        """Return a tiny value of the same type, to import what such values need before anything is timed."""
        return self.make(_SAMPLE)


def text(length: int) -> str:
    """Return characters that no database can compress."""
    return base64.b64encode(random.Random(_SEED).randbytes(length)).decode()[:length]


def rows(count: int) -> list[dict[str, Any]]:
    """Return rows as a query or an API typically returns them."""
    numbers = random.Random(_SEED)
    return [{"id": number, "name": f"row-{number}", "amount": numbers.random()} for number in range(count)]


def floats(count: int) -> Any:
    """Return a DataFrame of ten columns of floats."""
    import numpy as np
    import pandas as pd

    values = np.random.default_rng(_SEED).random((count, 10))
    return pd.DataFrame(values, columns=[f"column_{number}" for number in range(10)])


def mixed(count: int) -> Any:
    """Return a DataFrame of strings, dates and numbers, a tenth of each missing; about 60 bytes a row."""
    import numpy as np
    import pandas as pd

    numbers = np.random.default_rng(_SEED)
    missing = numbers.random((count, 4)) < _MISSING_SHARE
    characters = text(_WORD * count)
    words = pd.Series([characters[begin : begin + _WORD] for begin in range(0, len(characters), _WORD)])
    cities = pd.Series(numbers.choice(["Amsterdam", "Berlin", "Copenhagen", "Dublin"], count))
    days = pd.Series(pd.Timestamp("2026-01-01") + pd.to_timedelta(numbers.integers(0, 31_536_000, count), unit="s"))
    amounts = pd.Series(numbers.random(count))
    columns = {"customer": words, "city": cities, "ordered_at": days, "amount": amounts}
    return pd.DataFrame({name: column.mask(missing[:, n]) for n, (name, column) in enumerate(columns.items())})


def array(size: int) -> Any:
    """Return floats of ``size`` bytes."""
    import numpy as np

    return np.random.default_rng(_SEED).random(size // 8)


def mix() -> dict[str, Any]:
    """Return what one run of the stated mix pushes, by key."""
    scalars = {f"scalar-{number}": number * 1.5 for number in range(10)}
    texts = {f"text-{number}": text(100_000) for number in range(2)}
    return {**scalars, **texts, "rows": rows(5000), "frame": floats(2 * ROWS_PER_FRAME_MB)}


def same(left: Any, right: Any) -> bool:
    """Return whether two values are equal and of one type."""
    if type(left) is not type(right):
        return False
    if hasattr(left, "equals"):
        return bool(left.equals(right))
    equal = left == right
    return bool(equal.all()) if hasattr(equal, "all") else bool(equal)


PAYLOADS: Final = {
    "text-64": Payload("string 64 B", text, 64),
    "text-10k": Payload("string 10 kB", text, 10_000),
    "text-100k": Payload("string 100 kB", text, 100_000),
    "text-1m": Payload("string 1 MB", text, 1_000_000),
    "text-10m": Payload("string 10 MB", text, 10_000_000),
    "rows": Payload("20,000 dict rows", rows, 20_000),
    "floats": Payload("DataFrame 8 MB, floats", floats, 8 * ROWS_PER_FRAME_MB),
    "mixed": Payload("DataFrame 8 MB, strings/dates/nulls", mixed, 130_000),
    "array-16m": Payload("numpy 16 MB", array, 16_000_000, repetitions=12),
    "array-64m": Payload("numpy 64 MB", array, 64_000_000, repetitions=8),
    "array-256m": Payload("numpy 256 MB", array, 256_000_000, repetitions=4),
}
QUICK: Final = ("text-64", "text-100k", "text-1m", "text-10m", "rows", "floats")
