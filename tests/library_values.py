"""
Values of the libraries that tasks use, each with a name: ``(library, name)`` to a function that makes the value.

``ARRIVE`` are those that come back equal and of the same type; ``REFUSED`` are those that are refused, each with what its
message must say.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import fractions
import functools
import ipaddress
import itertools
import pathlib
import re
import string
import types
import uuid
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import networkx
import numpy as np
import packaging.version
import pandas as pd
import pendulum
import polars as pl
import pyarrow as pa
import pydantic
import sqlalchemy as sa
import yarl
from dateutil import parser, relativedelta, tz

from tests import classes
from tests.zones import ZONES, moment

Make = Callable[[], Any]
ARRIVE: dict[tuple[str, str], Make] = {}
REFUSED: dict[tuple[str, str], tuple[Make, str]] = {}
ALLOWED = "httpx.* networkx.* packaging.*"


def arrive(library: str, values: dict[str, Make]) -> None:
    for name, make in values.items():
        assert (library, name) not in ARRIVE, name
        ARRIVE[library, name] = make


def refused(library: str, values: dict[str, tuple[Make, str]]) -> None:
    for name, said in values.items():
        assert (library, name) not in REFUSED, name
        REFUSED[library, name] = said


def constant(value: Any) -> Make:
    return lambda: value


# --- the standard library

PLAIN: dict[str, Make] = {
    "int": constant(5),
    "int of 64 bits": constant(-(2**63)),
    "int of 65 bits": constant(2**64),
    "float": constant(0.1),
    "nan": constant(float("nan")),
    "infinity": constant(float("-inf")),
    "text": constant("Grüße"),
    "surrogate": constant("\udc80"),
    "bytes": constant(b"\x00\xff"),
    "bytearray": lambda: bytearray(b"x"),
    "complex": constant(1 + 2j),
    "decimal": constant(decimal.Decimal("1.10")),
    "signalling nan": constant(decimal.Decimal("-0E+5")),
    "uuid": constant(uuid.UUID(int=5)),
    "date": constant(dt.date(2026, 1, 1)),
    "naive datetime": constant(dt.datetime(2026, 1, 1, 12)),
    "utc datetime": constant(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    "zoned datetime": constant(dt.datetime(2026, 7, 1, tzinfo=ZoneInfo("Asia/Tokyo"))),
    "time": constant(dt.time(12, 30)),
    "timedelta": constant(dt.timedelta(-5, 3, 1)),
    "fraction": constant(fractions.Fraction(1, 3)),
    "path": constant(pathlib.PosixPath("/a")),
    "pure path": constant(pathlib.PurePosixPath("a/b")),
    "pattern": constant(re.compile(r"a+", re.IGNORECASE)),
    "pattern of bytes": constant(re.compile(rb"a+")),
    "range": constant(range(1, 10, 2)),
    "ipv4": constant(ipaddress.ip_address("10.0.0.1")),
    "ipv6": constant(ipaddress.ip_address("fe80::1%eth0")),
    "ipv4 network": constant(ipaddress.ip_network("10.0.0.0/8")),
    "ipv6 network": constant(ipaddress.ip_network("::/8")),
    "ipv4 interface": constant(ipaddress.ip_interface("10.0.0.1/8")),
    "ipv6 interface": constant(ipaddress.ip_interface("::1/8")),
    "counter": lambda: collections.Counter("abca"),
    "ordered dict": lambda: collections.OrderedDict(b=1, a=2),
    "default dict": lambda: collections.defaultdict(int, a=1),
    "deque": lambda: collections.deque([1, 2], 5),
}
WRAPS: dict[str, Callable[[Any], Any]] = {
    "bare": lambda value: value,
    "in a list": lambda value: [value, [value]],
    "in a tuple in a dict": lambda value: {"k": (value, {"n": value})},
    "in a dataclass": lambda value: classes.Record(part=value),
    "in a frame": lambda value: pd.DataFrame({"a": pd.Series([value, None], dtype=object)}),
}
for _name, _wrap in WRAPS.items():
    arrive(
        "stdlib",
        {
            f"{value} {_name}": (lambda make=make, wrap=_wrap: wrap(make()))
            for value, make in PLAIN.items()
            if _name != "in a frame" or value not in {"counter", "ordered dict", "default dict", "deque", "range"}
        },
    )
refused(
    "stdlib",
    {
        "array": (lambda: array.array("i", [1]), "cannot be encoded"),
        "namespace": (lambda: types.SimpleNamespace(a=1), "Return plain data, a dataclass"),
        "partial": (lambda: functools.partial(print), "Return plain data, a dataclass"),
        "template": (lambda: string.Template("x"), r"List it in \[core\] allowed_deserialization_classes"),
        "user dict": (lambda: collections.UserDict(a=1), r"List it in \[core\] allowed_deserialization_classes"),
        "chain": (lambda: itertools.chain([1]), r"Return list\(value\)"),
        "zip": (lambda: zip([1], [2], strict=True), r"Return list\(value\)"),
        "mapping proxy": (lambda: types.MappingProxyType({"a": 1}), r"Return dict\(value\)"),
        "match": (lambda: re.match("a", "a"), "Return plain data"),
        "ellipsis": (lambda: ..., "Return plain data"),
        "slice": (lambda: slice(1), "Return plain data"),
        "keys": (lambda: {"a": 1}.keys(), r"list\(value\)"),
        "default dict of a function": (lambda: collections.defaultdict(lambda: 1), r"Return dict\(value\)"),
        "context": (lambda: decimal.getcontext().copy(), "Return plain data"),
    },
)

# --- zones of dateutil, pytz and others

for _name in ZONES:
    arrive(
        "zones",
        {
            f"{_name} bare": constant(ZONES[_name]),
            f"{_name} moment": lambda name=_name: moment(name),
            f"{_name} in a model": lambda name=_name: classes.Model(part=[moment(name)]),
            f"{_name} in cells": lambda name=_name: pd.Series([moment(name), None], dtype=object),
        },
    )
    if _name != "dateutil rule":  # pandas does not support it
        arrive(
            "zones",
            {
                f"{_name} index": lambda name=_name: pd.DatetimeIndex(["2026-07-01"]).tz_localize(
                    ZONES[name], ambiguous=True
                )
            },
        )
arrive(
    "dateutil",
    {
        "parsed": lambda: parser.parse("2026-01-01T12:00:00Z"),
        "parsed with offset": lambda: parser.parse("2026-01-01T12:00:00+01:00"),
        "objects of a bucket": lambda: pd.DataFrame(
            [{"Key": "a", "LastModified": parser.parse("2026-01-01T12:00:00Z")}]
        ),
    },
)
refused(
    "dateutil",
    {
        "range": (lambda: tz.tzrange("EST"), r"value\.astimezone\(datetime\.UTC\)"),
        "zone of a file in a column": (
            lambda: pd.DataFrame({"at": pd.Series([dt.datetime(2026, 1, 1, tzinfo=tz.tzfile("/etc/localtime"))])}),
            "column 'at'",
        ),
        "relative delta": (lambda: relativedelta.relativedelta(days=1), r"List it in \[core\]"),
    },
)

# --- classes


def _closed_file() -> Any:
    with pathlib.Path("/dev/null").open() as file:
        return file


def _frozen_model() -> Any:
    return classes.Closed(width=3)


OBJECTS: dict[str, dict[str, Make]] = {
    "dataclasses": {
        "naive": lambda: classes.Record(dt.datetime(2026, 1, 1, 12)),
        "zoned": lambda: classes.Record(moment("dateutil utc")),
        "iso": lambda: classes.Record(dt.datetime.fromisoformat("2026-01-01T12:00:00+01:00")),
        "frozen": lambda: classes.Point(1, (2, 3)),
        "slots": lambda: classes.SlimOpen(None, {1: 2}),
        "frozen slots": lambda: classes.Slim(None, [b"x"]),
        "nested": lambda: classes.Record(part=classes.Point(1, classes.Point(2, 3))),
        "enum": lambda: classes.Record(part=classes.Colour.RED),
        "inner class": lambda: classes.Outer.Inner(1),
        "array": lambda: classes.Record(part=np.arange(3)),
        "frame": lambda: classes.Record(part=pd.DataFrame({"a": [1]})),
        "bytes and paths": lambda: classes.Record(part=[b"x", pathlib.PosixPath("/a"), dt.time(1)]),
    },
    "attrs": {
        "private": lambda: classes.Track(1),
        "nested": lambda: classes.Track(classes.Track((1, {2}))),
        "frozen": lambda: classes.Stone(dt.datetime(2026, 1, 1), b"x"),
        "no slots": lambda: classes.Loose([1]),
        "zoned": lambda: classes.Stone(moment("pytz name localized")),
        "enum": lambda: classes.Stone(classes.Level.LOW),
    },
    "pydantic": {
        "extras": lambda: classes.Model(x=dt.datetime(2026, 1, 1), y=(1, b"x"), z=classes.Patch(name="a")),
        "unset": lambda: classes.Patch(name="n"),
        "alias": lambda: classes.Aliased(Number=1),
        "frozen": _frozen_model,
        "constructed": lambda: classes.Choosy.model_construct(number="no number"),
        "root": lambda: classes.Numbers([1]),
        "subclass of a generic": lambda: classes.IntPage(items=[1]),
        "rich": lambda: classes.Rich(url="http://x", secret="s", address="::1", colour="red"),
        "dataclass": lambda: classes.Checked(1),
        "from json": lambda: classes.Model.model_validate_json(
            '{"at": "2026-01-01T12:00:00Z", "hour": "12:00:00+01:00"}'
        ),
        "dump": lambda: classes.Model.model_validate_json('{"at": "2026-01-01T12:00:00Z"}').model_dump(),
        "copy": lambda: classes.Model(part=1).model_copy(update={"part": object}) and classes.Model(part=2),
        "url": lambda: pydantic.AnyUrl("http://x/a"),
        "database url": lambda: pydantic.PostgresDsn("postgres://a:b@h1:1,h2:2/db"),
        "secret": lambda: pydantic.SecretStr("s"),
        "secret bytes": lambda: pydantic.SecretBytes(b"s"),
    },
    "plain classes": {
        "attributes": lambda: classes.Plain(a=1, b=[classes.Plain()]),
        "slots": lambda: classes.Slotted(1),
        "own state": lambda: classes.Counted(3),
        "empty": classes.Empty,
        "method named serialize": lambda: classes.Serialized(1),
    },
}
for _library, _objects in OBJECTS.items():
    for _name, _wrap in {**WRAPS, "in an object": lambda value: classes.Plain(inner=value)}.items():
        if _name != "in a frame":
            arrive(
                _library,
                {f"{value} {_name}": (lambda make=make, wrap=_wrap: wrap(make())) for value, make in _objects.items()},
            )
refused(
    "pydantic",
    {
        "generic": (lambda: classes.Page[int](items=[1]), "subclass it at module level"),
        "generic in a list": (lambda: [classes.Page[str](items=["a"])], r"^In the value\[0\]: "),
        "created": (lambda: pydantic.create_model("Made", a=(int, 1))(), "define the class by a class statement"),
        "byte size": (lambda: classes.Model(part=pydantic.ByteSize(5)), r"^In the value\.part: .*Return int\(value\)"),
    },
)
refused(
    "dataclasses",
    {
        "made": (lambda: dataclasses.make_dataclass("Made", ["a"])(1), "define the class by a class statement"),
        "function": (lambda: classes.Record(part=print), r"^In the value\.part: "),
        "frame of objects": (lambda: pd.DataFrame({"o": [classes.Point(1, 2)]}), r"column 'o' .* In row \[0\]"),
    },
)
refused("attrs", {"file": (lambda: classes.Track(_closed_file()), r"^In the value\._hidden: .*value\.read\(\)")})

# --- NumPy

for _kind in (
    "b1",
    "i1",
    "i2",
    "i4",
    "i8",
    "u1",
    "u2",
    "u4",
    "u8",
    "f2",
    "f4",
    "f8",
    "c8",
    "c16",
    "M8[s]",
    "m8[ms]",
    "U3",
    "S3",
):
    arrive(
        "numpy",
        {
            f"array {_kind}": lambda kind=_kind: np.arange(4).astype(kind),
            f"matrix {_kind}": lambda kind=_kind: np.arange(6).astype(kind).reshape(2, 3),
            f"scalar {_kind}": lambda kind=_kind: np.arange(4).astype(kind)[1],
            f"cells {_kind}": lambda kind=_kind: pd.DataFrame(
                {"c": [np.arange(2).astype(kind), np.arange(3).astype(kind)]}
            ),
        },
    )
arrive(
    "numpy",
    {
        "big endian": lambda: np.arange(3, dtype=">i4"),
        "structure": lambda: np.array([(1, "a")], dtype=[("n", "i4"), ("t", "U1")]),
        "fortran": lambda: np.asfortranarray(np.eye(3)),
        "split": lambda: np.array_split(np.arange(5), 2),
        "empty": lambda: np.empty((0, 3)),
    },
)
refused(
    "numpy",
    {
        "objects": (lambda: np.array([{}], dtype=object), r"array\.tolist\(\)"),
        "masked": (lambda: np.ma.masked_array([1], [True]), r"value\.filled"),
        "record": (lambda: np.rec.array([(1, 2)]), r"numpy\.asarray\(value\)"),
        "dtype": (lambda: np.dtype("i4"), "cannot be encoded"),
        "generator": (lambda: np.random.default_rng(), "cannot be encoded"),
    },
)

# --- pandas

_TIMES = pd.date_range("2026-01-01", periods=3, freq="D")
FRAMES: dict[str, Make] = {
    "numbers": lambda: pd.Series([1.5, None, -0.0]),
    "ints": lambda: pd.Series([1, 2, 3], dtype="int8"),
    "bools": lambda: pd.Series([True, False, True]),
    "text": lambda: pd.Series(["a", None, "b"]),
    "objects": lambda: pd.Series([1, "a", (1, 2)], dtype=object),
    "lists": lambda: pd.Series([[1], [], None], dtype=object),
    "dicts": lambda: pd.Series([{"a": 1}, {}, None], dtype=object),
    "decimals": lambda: pd.Series([decimal.Decimal("1.10"), None, None], dtype=object),
    "dates": lambda: pd.Series([dt.date(2026, 1, 1), None, None], dtype=object),
    "times": lambda: pd.Series(_TIMES),
    "zoned": lambda: pd.Series(_TIMES.tz_localize("Europe/Berlin")),
    "durations": lambda: pd.Series(pd.to_timedelta([1, 2, 3], unit="s")),
    "periods": lambda: pd.Series(pd.period_range("2026-01", periods=3, freq="M")),
    "categories": lambda: pd.Series(pd.Categorical(["a", "b", None], ordered=True)),
    "intervals": lambda: pd.Series(pd.interval_range(0, 3)),
    "nullable": lambda: pd.Series([1, None, 3], dtype="Int64"),
    "nullable bools": lambda: pd.Series([True, None, False], dtype="boolean"),
    "nullable floats": lambda: pd.Series([1.5, None, 2.5], dtype="Float32"),
    "strings": lambda: pd.Series(["a", None, "b"], dtype="string"),
    "arrow ints": lambda: pd.Series([1, None, 3], dtype="int64[pyarrow]"),
    "arrow lists": lambda: pd.Series([[1], None, []], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "arrays": lambda: pd.Series([np.arange(2), np.arange(3), None], dtype=object),
}
for _name, _make in FRAMES.items():
    arrive(
        "pandas",
        {
            f"series of {_name}": _make,
            f"frame of {_name}": lambda make=_make: make().to_frame("c"),
            f"frame of {_name} by time": lambda make=_make: make().to_frame("c").set_index(_TIMES),
            f"array of {_name}": lambda make=_make: {"k": [make(), make().head(0)]},
        },
    )
arrive(
    "pandas",
    {
        "grouped": lambda: pd.DataFrame({"k": [1, 1], "n": [1, 2], "s": ["a", "b"]}).groupby("k").agg(list),
        "unique": lambda: pd.Series(["a", "b", "a"]).unique(),
        "unique of groups": lambda: pd.DataFrame({"k": [1, 1], "n": [1, 2]}).groupby("k")["n"].unique(),
        "levels": lambda: pd.DataFrame({"a": [1], "b": [2], "c": [3]}).set_index(["a", "b"]),
        "timestamp": lambda: pd.Timestamp("2026-01-01", tz="UTC"),
        "timedelta": lambda: pd.Timedelta(5, "ns"),
        "period": lambda: pd.Period("2026-01"),
        "interval": lambda: pd.Interval(0, 1),
        "NA": lambda: [pd.NA, pd.NaT],
        "describe": lambda: pd.DataFrame({"a": [1.0, 2.0]}).describe(),
        "crosstab": lambda: pd.crosstab(pd.Series(["a", "b"]), pd.Series(["x", "y"])),
    },
)
refused(
    "pandas",
    {
        "sparse": (lambda: pd.Series(pd.arrays.SparseArray([0, 1])), r"Series None has the dtype Sparse"),
        "offset": (lambda: pd.offsets.Day(1), "cannot be encoded"),
        "group": (lambda: pd.DataFrame({"a": [1]}).groupby("a"), "cannot be encoded"),
        "frame in a cell": (lambda: pd.DataFrame({"f": [pd.DataFrame({"a": [1]})]}), "column 'f'"),
    },
)

# --- polars, pyarrow

for _name, _content in {
    "ints": [1, None], "floats": [1.5, None], "text": ["a", None], "bools": [True, None], "bytes": [b"x", None],
    "dates": [dt.date(2026, 1, 1), None], "times": [dt.time(1), None], "moments": [dt.datetime(2026, 1, 1), None],
    "spans": [dt.timedelta(1), None], "lists": [[1], None], "structs": [{"a": 1}, None], "nulls": [None, None],
    "nested": [[[1], []], None],
}.items():  # fmt: skip
    arrive(
        "polars",
        {
            f"series of {_name}": lambda content=_content: pl.Series("s", content),
            f"frame of {_name}": lambda content=_content: pl.DataFrame({"a": content}),
        },
    )
    if _name not in {"lists", "nested"}:  # whose cells are read-only there; see test_cells.py
        arrive("polars", {f"to pandas, {_name}": lambda content=_content: pl.DataFrame({"a": content}).to_pandas()})
    arrive(
        "pyarrow",
        {
            f"array of {_name}": lambda content=_content: pa.array(content),
            f"table of {_name}": lambda content=_content: pa.table({"a": content}),
            f"batch of {_name}": lambda content=_content: pa.RecordBatch.from_pydict({"a": pa.array(content)}),
            f"chunks of {_name}": lambda content=_content: pa.chunked_array([pa.array(content)]),
        },
    )
arrive(
    "polars",
    {
        "category": lambda: pl.Series("c", ["a", "b"], dtype=pl.Categorical),
        "enum": lambda: pl.Series("c", ["a", "b"], dtype=pl.Enum(["a", "b"])),
        "zoned": lambda: pl.Series("z", [dt.datetime(2026, 1, 1)], dtype=pl.Datetime("us", "Europe/Berlin")),
    },
)
refused(
    "polars",
    {
        "lazy": (lambda: pl.LazyFrame({"a": [1]}), r"call \.collect\(\)"),
        "objects": (lambda: pl.Series("o", [object()], dtype=pl.Object), "holds Python objects"),
        "expression": (lambda: pl.col("a"), "cannot be encoded"),
    },
)
refused(
    "pyarrow", {"scalar": (lambda: pa.scalar(1), r"value\.as_py\(\)"), "schema": (lambda: pa.schema([]), "cannot be")}
)

# --- pendulum, SQLAlchemy, httpx and others

arrive(
    "pendulum",
    {
        "moment": lambda: pendulum.datetime(2026, 7, 1, tz="Europe/Paris"),
        "naive": lambda: pendulum.naive(2026, 7, 1),
        "date": lambda: pendulum.date(2026, 7, 1),
        "time": lambda: pendulum.time(12, 30),
        "duration": lambda: pendulum.duration(years=1, days=2),
        "in a dataclass": lambda: classes.Record(pendulum.naive(2026, 7, 1), pendulum.duration(months=1)),
        "in a model": lambda: classes.Model(part=pendulum.datetime(2026, 7, 1)),
    },
)
refused(
    "pendulum",
    {"interval": (lambda: pendulum.datetime(2026, 1, 2) - pendulum.datetime(2026, 1, 1), "cannot be encoded")},
)


def _rows() -> Any:
    with sa.create_engine("sqlite://").connect() as connection:
        return connection.execute(sa.text("select 1 as a, 'x' as b")).fetchall()


arrive(
    "sqlalchemy",
    {
        "tuples": lambda: [tuple(row) for row in _rows()],
        "mappings": lambda: [dict(row._mapping) for row in _rows()],
    },
)
refused(
    "sqlalchemy",
    {
        "rows": (_rows, r"^In the value\[0\]: .*tuple\(value\)"),
        "engine": (lambda: sa.create_engine("sqlite://"), "cannot be encoded"),
        "statement": (lambda: sa.text("select 1"), "cannot be encoded"),
    },
)
arrive(
    "httpx",
    {
        "headers": lambda: httpx.Headers({"a": "b"}),
        "timeout": lambda: httpx.Timeout(5),
    },
)
refused(
    "httpx",
    {
        "client": (httpx.Client, r"^In the value\.\w+.*: "),
        "url": (lambda: httpx.URL("http://x/a?b=c"), r"^In the value\._uri_reference: .*_asdict"),
    },
)
refused("networkx", {"graph": (lambda: networkx.path_graph(3), "Return plain data")})
arrive("packaging", {"version": lambda: packaging.version.Version("1.2.3")})
refused("yarl", {"url": (lambda: yarl.URL("http://x"), "cannot be encoded")})
refused("msgspec", {"struct": (lambda: msgspec.defstruct("S", ["a"])(1), r"msgspec\.to_builtins")})
