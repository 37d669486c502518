"""
The values that tests send from task to task, each with a name.

``KEPT`` are those that Airflow's own backend gives back; ``BEYOND`` are those that it refuses or changes. Functions
make them, so that a test that alters its value harms no other, and a file of Dags can name them.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import numpy as np
import pandas as pd
import pendulum
import polars as pl
import pyarrow as pa
from pydantic import BaseModel

MODULE = __name__
"""Airflow must allow ``f"{MODULE}.*"`` (``[core] allowed_deserialization_classes``) to build the classes below."""


@dataclasses.dataclass
class Order:
    """A dataclass as tasks return them."""

    number: int
    items: list[str]
    total: float | None = None
    shipped: datetime | None = None
    parts: Any = None


@dataclasses.dataclass(frozen=True)
class Point:
    """A frozen dataclass."""

    x: int
    y: int


@attrs.define
class Track:
    """An attrs class, which may hold another."""

    name: str
    inner: Any = None


class Customer(BaseModel):
    """A pydantic model with one inside."""

    name: str
    born: date
    balance: Decimal
    friend: Customer | None = None


class Money:
    """A class that brings its own serialization, in Airflow's way."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.cents == other.cents

    __hash__ = None  # type: ignore[assignment]  # equal by a field that may change

    def serialize(self) -> dict[str, int]:
        return {"cents": self.cents}

    @staticmethod
    def deserialize(data: dict[str, int], version: int) -> Money:
        return Money(data["cents"])


def frame() -> pd.DataFrame:
    return pd.DataFrame({"id": [1, 2, 3], "amount": [1.5, float("nan"), -0.0], "name": ["a", "b", None]})


def _path() -> Any:
    from airflow.sdk import ObjectStoragePath

    return ObjectStoragePath("file:///tmp/some/file.csv")


def _asset() -> Any:
    from airflow.sdk import Asset

    return Asset(name="orders", uri="s3://bucket/orders", extra={"owner": "etl"})


KEPT: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "true": lambda: True,
    "false": lambda: False,
    "zero": lambda: 0,
    "negative_int": lambda: -7,
    "int_of_100_bits": lambda: 2**100 + 1,
    "float": lambda: 0.1,
    "negative_zero": lambda: -0.0,
    "whole_float": lambda: 3.0,
    "text": lambda: "Grüße, 世界 🎈",
    "empty_text": lambda: "",
    "long_text": lambda: "x" * 100_000,
    "text_with_nul": lambda: "a\0b",
    "list": lambda: [1, "two", 3.0, None, True],
    "empty_list": list,
    "dict": lambda: {"a": 1, "b": {"c": [1, 2, {"d": None}]}},
    "empty_dict": dict,
    "dict_rows": lambda: [{"id": number, "name": f"n{number}"} for number in range(100)],
    "tuple": lambda: (1, "a", (2.0, None)),
    "empty_tuple": tuple,
    "set": lambda: {1, 2, 3},
    "frozenset": lambda: frozenset({"a", "b"}),
    "tuples_in_dict": lambda: {"pairs": [(1, 2), (3, 4)], "set": {("a", 1)}},
    "naive_datetime": lambda: datetime(2024, 2, 29, 12, 30, 15, 250000),
    "pendulum_datetime": lambda: pendulum.datetime(2024, 7, 1, 12, 30, tz="America/New_York"),
    "pendulum_utc": lambda: pendulum.datetime(2024, 1, 1),
    "pendulum_fixed_offset": lambda: pendulum.datetime(2024, 1, 1, tz=pendulum.timezone(3600)),
    "date": lambda: date(2024, 2, 29),
    "pendulum_date": lambda: pendulum.date(2024, 2, 29),
    "timedelta": lambda: timedelta(days=1, seconds=1.5),
    "zoneinfo": lambda: ZoneInfo("Asia/Kolkata"),
    "pendulum_zone": lambda: pendulum.timezone("Europe/Paris"),
    "pendulum_offset_zone": lambda: pendulum.timezone(7200),
    "decimal": lambda: Decimal("1.25"),
    "whole_decimal": lambda: Decimal(12345678901234567890),
    "decimal_nan": lambda: Decimal("NaN"),
    "uuid": lambda: UUID("12345678-1234-5678-1234-567812345678"),
    "numpy_int8": lambda: np.int8(-5),
    "numpy_int64": lambda: np.int64(2**62),
    "numpy_uint64": lambda: np.uint64(2**64 - 1),
    "numpy_float16": lambda: np.float16(0.1),
    "numpy_float32": lambda: np.float32(0.1),
    "numpy_float64": lambda: np.float64(0.1),
    "numpy_bool": lambda: np.bool_(True),
    "numpy_in_dict": lambda: {"mean": np.float64(1.5), "count": np.int64(3)},
    "dataframe": frame,
    "dataframe_of_times": lambda: pd.DataFrame({"at": pd.to_datetime(["2024-01-01", None])}),
    "dataframe_of_categories": lambda: pd.DataFrame({"c": pd.Categorical(["a", "b", "a"])}),
    "dataframe_of_nullables": lambda: pd.DataFrame({"n": pd.array([1, None], dtype="Int64")}),
    "dataframe_in_dict": lambda: {"row_count": 3, "frame": frame()},
    "dataclass": lambda: Order(1, ["a", "b"], 9.5, datetime(2024, 1, 1, 12)),
    "frozen_dataclass": lambda: Point(1, 2),
    "dataclasses_in_list": lambda: [Point(1, 2), Point(3, 4)],
    "dataclass_with_tuple": lambda: Order(1, [], parts=(1, {2})),
    "attrs": lambda: Track("a"),
    "attrs_in_attrs": lambda: Track("a", Track("b", (1, 2))),
    "pydantic": lambda: Customer(name="Ann", born=date(1990, 1, 1), balance=Decimal("1.10"), friend=None),
    "pydantic_nested": lambda: Customer(
        name="Ann",
        born=date(1990, 1, 1),
        balance=Decimal(1),
        friend=Customer(name="Bob", born=date(1991, 1, 1), balance=Decimal("2.5"), friend=None),
    ),
    "own_serialization": lambda: Money(1999),
    "own_serialization_in_dict": lambda: {"price": Money(1999)},
    "object_storage_path": _path,
    "asset": _asset,
}

BEYOND: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"\x00\xff",
    "bytearray": lambda: bytearray(b"\x00\xff"),
    "bytearray_deep_inside": lambda: {"a": [{"b": bytearray(b"x")}, b"x"]},
    "complex": lambda: complex(1.5, -0.0),
    "int_keys": lambda: {1: "a", 2: "b"},
    "tuple_keys": lambda: {(1, "a"): 1, None: 2, True: 3},
    "reserved_key": lambda: {"__classname__": "os.system", "__version__": 1, "__data__": "x"},
    "ordered_dict": lambda: OrderedDict(b=1, a=2),
    "default_dict": lambda: defaultdict(list, {"a": [1]}),
    "counter": lambda: Counter("abracadabra"),
    "deque": lambda: deque([1, 2], maxlen=5),
    "range": lambda: range(0, 10, 3),
    "path": lambda: PosixPath("/data/in.csv"),
    "time": lambda: time(12, 30, 0, 5),
    "zoned_time": lambda: time(12, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    "zoneinfo_datetime": lambda: datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin")),
    "utc_datetime": lambda: datetime(2024, 1, 1, tzinfo=UTC),
    "fixed_offset_datetime": lambda: datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30), "IST")),
    "second_of_two_hours": lambda: datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    "far_datetime": lambda: datetime(9999, 12, 31, 23, 59, 59, 999999),
    "precise_timedelta": lambda: timedelta(days=999_999, microseconds=1),
    "pendulum_time": lambda: pendulum.time(12, 30),
    "pendulum_duration": lambda: pendulum.duration(years=1, months=2, days=3, seconds=4),
    "python_utc": lambda: UTC,
    "long_decimal": lambda: Decimal("3.14159265358979323846264338327950288"),
    "decimal_with_trailing_zero": lambda: Decimal("1.10"),
    "int_of_20000_bits": lambda: 2**20_000,
    "lone_surrogate_key": lambda: {"\udc80": 1, 2: "\udc80"},
    "series": lambda: pd.Series([1, 2], index=["a", "b"], name="s"),
    "datetime_index": lambda: pd.date_range("2024-01-01", periods=3, freq="D", tz="UTC"),
    "timestamp": lambda: pd.Timestamp("2024-01-01 12:00", tz="Europe/Berlin"),
    "nat": lambda: pd.NaT,
    "repeated_columns": lambda: pd.DataFrame([[1, 2.0]], columns=["a", "a"]),
    "frame_with_int_columns_and_attrs": lambda: _with_attrs(pd.DataFrame({0: [1], 1: ["x"]})),
    "frame_of_mixed_objects": lambda: pd.DataFrame({"o": pd.Series([1, "a", None, (1, 2)], dtype=object)}),
    "ndarray": lambda: np.arange(12, dtype="int16").reshape(3, 4),
    "fortran_ndarray": lambda: np.asfortranarray(np.eye(3)),
    "zero_dimensional_ndarray": lambda: np.array(5.5),
    "datetime_ndarray": lambda: np.array(["2024-01-01", "NaT"], dtype="datetime64[s]"),
    "numpy_complex": lambda: np.complex128(1 + 2j),
    "numpy_datetime": lambda: np.datetime64("2024-01-01", "D"),
    "polars_frame": lambda: pl.DataFrame({"a": [1, None], "b": [["x"], []]}),
    "polars_series": lambda: pl.Series("s", [1.5, None]),
    "arrow_table": lambda: pa.table({"a": [1, None], "b": ["x", "y"]}),
    "arrow_array": lambda: pa.array([1, None, 3]),
    "frame_series_and_bytes_together": lambda: {"f": frame(), "s": pd.Series([1.0]), "raw": b"x", "p": [Point(1, 2)]},
}


def _with_attrs(table: pd.DataFrame) -> pd.DataFrame:
    table.attrs["source"] = ("a", 1)
    return table
