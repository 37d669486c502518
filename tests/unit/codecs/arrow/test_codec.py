from __future__ import annotations

import subprocess
import sys
import zlib
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec
from airflow_provider_exclusive.exceptions import CodecError
from tests.programs import output_of
from tests.same import same
from tests.unit.codecs.hostile import decode_everything

CODEC = ArrowCodec()


class Frame(pd.DataFrame):
    """As geopandas and others have them."""


class Vector(np.ndarray):
    pass


class Opaque:
    pass


@pytest.mark.parametrize(
    "value",
    [
        1,
        "x",
        {"a": 1},
        [pd.DataFrame()],
        Frame({"a": [1]}),
        np.arange(3).view(Vector),
        np.ma.array([1]),
        pd,
        np.dtype("i4"),
    ],
)
def test_what_is_no_table_or_array_is_left_to_others(value):
    assert not CODEC.accepts(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pl.LazyFrame({"a": [1]}), r"call \.collect\(\)"),
        (pl.DataFrame({"a": pl.Series([Opaque()], dtype=pl.Object)}), "column 'a' holds Python objects"),
        (pl.Series("s", [], dtype=pl.List(pl.Object)), "Series 's' holds Python objects"),
        (pl.Series("s", [], dtype=pl.Array(pl.Object, 1)), "Series 's' holds Python objects"),
        (pl.DataFrame(schema={"a": pl.Struct({"f": pl.List(pl.Object)})}), "column 'a' holds Python objects"),
        (pl.DataFrame(height=5), "5 rows but no column"),
        (pd.Timestamp(2024, 1, 1, fold=1), "a Series does not restore it exactly"),
        (pl.DataFrame({"wide": pl.Series([1], dtype=pl.Int128)}), "Int128 of column 'wide'; cast"),
        (pd.DataFrame({"ok": [1], "bad": [1j]}), "column 'bad' .* dtype complex128"),
        (pd.DataFrame({"s": pd.arrays.SparseArray([0, 1])}), r"column 's' .* Sparse.*\.astype"),
        (pd.DataFrame({"o": [Opaque()]}), r"column 'o' .*Opaque cannot be encoded"),
        (pd.DataFrame({"o": [pd.DataFrame()]}), r"column 'o' .*DataFrame cannot be encoded"),
        (pd.Series([Opaque()], name="s"), "Series 's'"),
        (np.array([1, "a"], dtype=object), r"return array\.tolist\(\)"),
        (np.zeros(2, dtype=[("a", "i4"), ("b", "O")]), "Python objects"),
        (np.longlong(1), "longlong cannot be encoded"),
        (np.zeros(1, dtype="i4,f8")[0], "void cannot be encoded"),
    ],
)
def test_an_inexact_round_trip_is_refused_with_an_alternative(value, message):
    assert CODEC.accepts(value)
    with pytest.raises(CodecError, match=message):
        CODEC.encode(value)


def test_a_panic_of_polars_is_an_error_like_any_other():
    field = pa.field("0", pa.int8(), metadata={b"k": b"\xff"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([field], metadata={b"exclusive": b"\x91\xa1a"})) as writer:
        writer.write(pa.record_batch([pa.array([1], pa.int8())], schema=pa.schema([field])))

    with pytest.raises(CodecError, match="polars cannot read"):
        CODEC.decode(b"d".ljust(8, b"\0") + sink.getvalue().to_pybytes())


def test_a_frame_inside_itself_is_refused():
    frame = pd.DataFrame({"o": [None]}, dtype=object)
    frame.loc[0, "o"] = [frame]

    with pytest.raises(CodecError, match="column 'o'"):
        CODEC.encode(frame)


def test_the_refusal_does_not_quote_the_cell():
    with pytest.raises(CodecError) as refused:
        CODEC.encode(pd.DataFrame({"o": pd.Series(["hunter2", object()], dtype=object)}))

    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_text_with_a_lone_surrogate_comes_back_in_a_column():
    value = pd.Series(["a", "\udc80", None], dtype=object)

    assert CODEC.decode(CODEC.encode(value)).tolist() == value.tolist()


@pytest.mark.parametrize(
    "payload", [b"", b"D", b"\0" * 16, b"Z\0\0\0\0\0\0\0", b"D\0\0\0\0\0\0\0", b"n\0\0\0\0\0\0\0x"]
)
def test_a_malformed_payload_is_refused(payload):
    with pytest.raises(CodecError):
        CODEC.decode(payload)


@pytest.mark.parametrize("value", [np.array([1]), pa.table({"a": [1]})])
def test_a_payload_under_the_mark_of_another_kind_is_refused(value):
    with pytest.raises(CodecError):
        CODEC.decode(b"D" + CODEC.encode(value)[1:])


def test_an_array_header_cannot_ask_for_more_than_the_payload():
    payload = CODEC.encode(np.arange(3)).replace(b"(3,)", b"(9,)")

    with pytest.raises(CodecError):
        CODEC.decode(payload)


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.Categorical(["u", "v"])}),
        pd.Series(pd.date_range("2024", periods=2, tz="Europe/Berlin")),
        pl.DataFrame({"a": [1, None], "b": ["x", "y"]}),
        pa.table({"a": [1, None], "b": ["x", "y"]}),
        np.arange(4),
        np.float32(1.5),
        pd.Timestamp("2024-01-01"),
    ],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}",
)
def test_altered_payloads_are_refused_or_decode_to_a_value(value):
    payload = CODEC.encode(value)
    if len(payload) > 1500:  # a sample, always the same, keeps this short
        step = len(payload) // 400
        altered = [
            payload[:i] + bytes([payload[i] ^ (1 << (zlib.crc32(b"%d" % i) % 8))]) + payload[i + 1 :]
            for i in range(0, len(payload), step)
        ]
        altered += [payload[:i] for i in range(0, len(payload) - 16, step)]
        refused = 0
        for one in altered:
            try:
                CODEC.decode(one)
            except CodecError:
                refused += 1
        assert refused > 100
    else:
        assert decode_everything(CODEC, payload) > 8


@pytest.mark.parametrize(("missing", "needed_for"), [("pyarrow", "pd.Series([1])"), ("pandas", "pd.Series([1])")])
def test_a_missing_library_is_named_as_pip_knows_it(missing, needed_for):
    program = (
        "import sys, pandas as pd; from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec;"
        f"payload = ArrowCodec().encode({needed_for});"
        f"[sys.modules.pop(name) for name in list(sys.modules) if name.split('.')[0] == {missing!r}];"
        f"sys.modules[{missing!r}] = None;"
        "ArrowCodec().decode(payload)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert f"CodecError: A value of pandas needs the package {missing}" in done.stderr
    assert f"Install it with: pip install {missing}." in done.stderr


def test_arrays_and_scalars_need_no_other_library_than_numpy():
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('pyarrow', 'pandas', 'polars')));"
        "import numpy as np; from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec;"
        "codec = ArrowCodec();"
        "values = [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((2, 2), 'c8')), np.array(['2024'], 'M8[D]'),"
        "          np.array([(1, 'x')], [('a', 'i4'), ('b', 'U3')]), np.float32(0.5), np.datetime64('2024', 's')];"
        "found = [codec.decode(codec.encode(value)) for value in values];"
        "print(all(type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(values, found)))"
    )

    assert output_of(program) == "True\n"


def test_looking_at_a_value_imports_nothing():
    program = (
        "import sys; from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec;"
        "Fake = type('DataFrame', (), {'__module__': 'pandas'});"
        "print(ArrowCodec().accepts(Fake()), ArrowCodec().accepts({}),"
        "      sorted({'airflow', 'numpy', 'pandas', 'polars', 'pyarrow'} & set(sys.modules)))"
    )

    assert output_of(program) == "False False []\n"


def objects(*cells):
    return pd.Series(cells, dtype=object)


PANDAS = {
    "every number": pd.DataFrame({t: np.array([0, 1, 2]).astype(t) for t in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "?")}),
    "nan and infinity": pd.DataFrame({"f": [float("nan"), float("inf"), -0.0]}),
    "times": pd.DataFrame({unit: pd.to_datetime(["2024-01-01", None]).as_unit(unit) for unit in ("s", "ms", "us", "ns")}),
    "durations": pd.DataFrame({"d": pd.to_timedelta([1, None], unit="s")}),
    "zones": pd.DataFrame({zone: pd.date_range("2024", periods=2, tz=zone) for zone in ("UTC", "Europe/Berlin", "+05:30")}),
    "nullable": pd.DataFrame({t: pd.array([1, None], dtype=t) for t in ("Int8", "UInt64", "Float32", "Float64", "boolean")}),
    "texts": pd.DataFrame({str(i): pd.array(["a", None], dtype=t) for i, t in enumerate(["str", "string[python]", "string[pyarrow]", pd.StringDtype("python", na_value=np.nan)])}),
    "arrow dtypes": pd.DataFrame({"l": pd.array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int8()))), "d": pd.array([Decimal("1.10"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2)))}),
    "categories": pd.DataFrame({"c": pd.Categorical(["b", None], categories=["a", "b"], ordered=True), "n": pd.Categorical([1, 2]), "t": pd.Categorical(pd.to_datetime(["2024", "2025"]))}),
    "periods": pd.DataFrame({"p": pd.period_range("2024-01", periods=2, freq="M"), "q": pd.PeriodIndex(["2024Q1", "NaT"], freq="Q-DEC")}),
    "intervals": pd.DataFrame({"i": pd.arrays.IntervalArray.from_breaks([0, 1, 2], closed="left"), "j": pd.arrays.IntervalArray.from_tuples([(0.5, 1), np.nan])}),
    "objects of text": pd.DataFrame({"o": objects("a", None)}),
    "objects of text and nan": pd.DataFrame({"o": objects("a", float("nan"), None)}),
    "objects of ints": pd.DataFrame({"o": objects(1, 2**70, True)}),
    "objects of all kinds": pd.DataFrame({"o": objects(Decimal("1.10"), date(2024, 1, 1), [1, (2,)], {"a": b"x"}, pd.NaT, pd.NA, pd.Timestamp("2024"), np.float32(1))}),
    "objects, all missing": pd.DataFrame({"o": objects(None, None)}),
    "no rows": pd.DataFrame({"a": pd.array([], dtype="Int64"), "b": objects(), "c": np.array([], dtype="f8"), "d": pd.Categorical([])}),
    "no columns": pd.DataFrame(index=[5, 6, 7]),
    "nothing": pd.DataFrame(),
    "repeated column names": pd.DataFrame([[1, "x", 2.5]], columns=["a", "b", "a"]),
    "column names of any type": pd.DataFrame([[1, 2, 3]], columns=pd.Index([1, "1", ("a", None)], dtype=object, name=("n", 1))),
    "column names in levels": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None])),
    "time column names": pd.DataFrame([[1, 2]], columns=pd.date_range("2024", periods=2, freq="h")),
    "rows in levels": pd.DataFrame({"v": [1, 2, 3]}, index=pd.MultiIndex.from_arrays([["a", "a", None], [1, 2, 3]], names=["k", 2])),
    "rows by time": pd.DataFrame({"v": [1, 2, 3]}, index=pd.date_range("2024", periods=3, freq="B", tz="Europe/Berlin", name="at")),
    "rows by category": pd.DataFrame({"v": [1, 2]}, index=pd.CategoricalIndex(["a", "b"], name="c")),
    "rows by range": pd.DataFrame({"v": [1, 2]}, index=pd.RangeIndex(10, 14, 2, name="r")),
    "rows by objects": pd.DataFrame({"v": [1, 2]}, index=pd.Index([None, (1, 2)], dtype=object)),
    "flags": pd.DataFrame({"v": [1, 2]}).set_flags(allows_duplicate_labels=False),
    "a slice": pd.DataFrame({"a": range(10), "b": list("abcdefghij")}).iloc[3:9:2],
    "transposed": pd.DataFrame(np.arange(6.0).reshape(2, 3)).T,
    "series": pd.Series([1.5, None], name=("a", 1)),
    "series of objects": pd.Series(["a", float("nan")], dtype=object, index=["x", "y"]),
    "series of times": pd.Series(pd.to_datetime(["2024", None])),
    "series of categories": pd.Series(["a", "b"], dtype="category"),
    "empty series": pd.Series([], dtype=object),
}  # fmt: skip


@pytest.mark.parametrize("memory", [bytes, bytearray])
@pytest.mark.parametrize("value", PANDAS.values(), ids=PANDAS.keys())
def test_a_pandas_value_comes_back_the_same(value, memory):
    assert same(CODEC.decode(memory(CODEC.encode(value))), value)


def test_a_cell_is_not_gone_through():
    endless = range(10**12)

    assert CODEC.decode(CODEC.encode(pd.Series([endless, 1], dtype=object))).iloc[0] == endless


NUMBERS = {
    "one column": pd.DataFrame({"a": np.arange(5.0)}),
    "floats": pd.DataFrame(np.arange(35.0).reshape(7, 5)),
    "small integers": pd.DataFrame(np.arange(6, dtype="i1").reshape(2, 3)),
    "moments": pd.DataFrame({name: pd.date_range("2024", periods=3).as_unit("us") for name in "ab"}),
    "spans": pd.DataFrame({name: pd.to_timedelta([1, 2, 3], unit="s") for name in "ab"}),
    "series": pd.Series(np.arange(5.0)),
    "series of moments": pd.Series(pd.date_range("2024", periods=3)),
}


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS.keys())
def test_numeric_columns_are_writable_and_not_copied(value):
    payload = bytearray(CODEC.encode(value))

    restored = CODEC.decode(payload)

    assert np.shares_memory(restored.to_numpy(), np.frombuffer(payload, "u1"))
    assert same(restored, value)
    restored.iloc[0] = restored.iloc[-1]
    assert restored[:1].to_numpy().tolist() == value[-1:].to_numpy().tolist()


COPIED = {
    "truth values, which Arrow packs into bits": pd.DataFrame({"a": [True, False], "b": [False, False]}),
    "two kinds of numbers": pd.DataFrame({"a": [1, 2], "b": [1.0, 2.0]}),
    "numbers beside text": pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [3, 4]}),
    "moments that are missing": pd.DataFrame({name: pd.to_datetime(["2024", None]) for name in "ab"}),
    "no rows": pd.DataFrame({"a": np.array([], "f8")}),
}


@pytest.mark.parametrize("frame", COPIED.values(), ids=COPIED.keys())
def test_other_columns_are_copied_into_writable_blocks(frame):
    payload = bytearray(CODEC.encode(frame))

    restored = CODEC.decode(payload)
    restored.iloc[:] = restored.iloc[::-1].to_numpy()

    assert same(CODEC.decode(payload), frame)
    assert restored.to_numpy().tolist() == frame.iloc[::-1].to_numpy().tolist()


def test_two_frames_from_one_shared_payload_are_separate():
    payload = CODEC.encode(pd.DataFrame({"a": [1.0, 2.0]}))
    one, other = CODEC.decode(payload), CODEC.decode(payload)

    one.iloc[0, 0] = 9

    assert other.iloc[0, 0] == 1


def test_attributes_of_a_frame_come_back():
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["source"] = {"by": ("a", 1)}

    assert same(CODEC.decode(CODEC.encode(frame)).attrs, frame.attrs)


def test_a_frame_that_came_back_can_be_written_to():
    frame = CODEC.decode(
        CODEC.encode(pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pd.array([1, None], dtype="Int64")}))
    )

    frame.loc[0] = [9, "z", 8]

    assert frame.loc[0].tolist() == [9, "z", 8]


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(["a", None], name="i"),
        pd.Index([1.5, 2.5]),
        pd.Index([1, "a"], dtype=object),
        pd.RangeIndex(3),
        pd.timedelta_range("1h", periods=3),
        pd.date_range("2024", periods=0, freq="D"),
        pd.period_range("2024", periods=2, freq="D"),
        pd.interval_range(0, 2),
        pd.MultiIndex.from_product([["a", "b"], [1]]),
        pd.MultiIndex.from_arrays([[], []], names=["a", "b"]),
    ],
    ids=lambda index: type(index).__name__,
)
def test_an_index_comes_back_the_same(index):
    assert same(CODEC.decode(CODEC.encode(index)), index)


@pytest.mark.parametrize(
    "scalar",
    [
        pd.Timestamp("2024-01-01 12:00:00.123456789"),
        pd.Timestamp("2024-10-27 00:30", tz="UTC").tz_convert("Europe/Berlin"),
        pd.Timestamp(2024, 1, 1).as_unit("s"),
        pd.Timedelta(5, "ns"),
        pd.Period("2024-03", "M"),
        pd.Interval(1, 2, closed="both"),
        pd.NaT,
        pd.NA,
    ],
    ids=repr,
)
def test_a_pandas_scalar_comes_back_the_same(scalar):
    assert same(CODEC.decode(CODEC.encode(scalar)), scalar)


NUMPY = {
    **{f"numbers of {t}": np.arange(6).astype(t).reshape(2, 3) for t in ("?", "i1", "u2", "i4", "u8", "f2", "f4", "f8", "c8", "c16", "g", ">i4", ">f8")},
    "times": np.array(["2024-01-01", "NaT"], dtype="M8[D]"),
    "durations": np.array([1, 2], dtype="m8[us]"),
    "texts": np.array(["a", "äöü"]),
    "bytes": np.array([b"a", b"bc"]),
    "no dimension": np.array(1.5),
    "no rows": np.zeros((0, 3)),
    "no dimension at all": np.zeros((2, 0, 4), dtype="i2"),
    "Fortran order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "every other": np.arange(20)[::2],
    "backwards": np.arange(5)[::-1],
    "spread": np.broadcast_to(np.arange(3), (2, 3)).copy(),
    "structured": np.array([(1, 2.5, "a")], dtype=[("n", "i4"), ("f", ">f8"), ("t", "U3")]),
    "structured and aligned": np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "nested structure": np.zeros(2, dtype=[("a", [("b", "i4", (2,))])]),
    "nan": np.array([np.nan, -0.0, np.inf]),
}  # fmt: skip


@pytest.mark.parametrize("array", NUMPY.values(), ids=NUMPY.keys())
def test_a_numpy_array_comes_back_the_same(array):
    restored = CODEC.decode(CODEC.encode(array))

    assert same(restored, array)
    assert restored.flags.f_contiguous == array.flags.f_contiguous or not array.flags.contiguous


@pytest.mark.parametrize("dtype", ["f8", "i1", "c16", "M8[ns]", [("name", "S300"), ("count", "i4")]], ids=str)
def test_an_array_is_writable_and_not_copied(dtype):
    array = np.zeros((300, 7), dtype)
    payload = bytearray(CODEC.encode(array))

    restored = CODEC.decode(payload)

    assert np.shares_memory(restored, np.frombuffer(payload, "u1")) is restored.flags.aligned
    assert restored.flags.writeable
    assert restored.dtype == array.dtype
    assert np.array_equal(restored, array)


def test_an_array_of_memory_that_others_may_use_is_copied():
    assert CODEC.decode(CODEC.encode(np.zeros(3))).flags.writeable


@pytest.mark.parametrize(
    "scalar",
    [np.str_("a\0"), np.bytes_(b"ab\0\0"), np.bytes_(b""), np.str_("\ud800"), np.int8(-1), np.uint64(2**64 - 1), np.float16(0.1), np.longdouble("0.1"), np.complex64(1j), np.bool_(True), np.str_("é"), np.str_(""), np.bytes_(b"x"), np.datetime64("2024-01-01T00", "h"), np.datetime64("NaT"), np.timedelta64(3, "D")],
    ids=repr,
)  # fmt: skip
def test_a_numpy_scalar_comes_back_the_same(scalar):
    assert same(CODEC.decode(CODEC.encode(scalar)), scalar)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.text(max_size=3), st.integers(), st.none()),
            st.sampled_from(["int64", "float64", "object", "str", "Int64", "datetime64[us]", "category"]),
        ),
        max_size=5,
    ),
    st.lists(st.one_of(st.none(), st.integers(-(2**35), 2**35)), max_size=5),
)
def test_frames_of_any_columns_come_back_the_same(columns, cells):
    frame = pd.concat([_column(cells, dtype) for _, dtype in columns], axis=1) if columns else pd.DataFrame()
    frame.columns = pd.Index([name for name, _ in columns], dtype=object)

    assert same(CODEC.decode(CODEC.encode(frame)), frame)


def _column(cells, dtype):
    if dtype == "int64":
        cells = [cell or 0 for cell in cells]
    if dtype == "str":
        cells = [None if cell is None else str(cell) for cell in cells]
    if dtype.startswith("datetime"):
        cells = [None if cell is None else datetime(2024, 1, 1) + timedelta(seconds=cell) for cell in cells]
    return pd.Series(cells, dtype=dtype)


POLARS = {
    "every column": pl.DataFrame(
        {
            "i": [1, None],
            "l": [[1], []],
            "s": [{"a": 1}, {"a": None}],
            "c": pl.Series(["x", "y"], dtype=pl.Categorical),
            "e": pl.Series(["x", "y"], dtype=pl.Enum(["y", "x"])),
            "z": pl.Series([1, 2]).cast(pl.Datetime("us", "Europe/Berlin")),
            "d": pl.Series([1, 2]).cast(pl.Decimal(10, 2)),
            "n": pl.Series([None, None]),
            "t": pl.Series([1, 2]).cast(pl.Time),
            "b": [b"1", None],
        }
    ),
    "no rows": pl.DataFrame(schema={"a": pl.Int8, "b": pl.List(pl.String)}),
    "nothing": pl.DataFrame(),
    "in chunks": pl.concat([pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]})], rechunk=False),
    "series": pl.Series("s", [1.5, None, float("nan")]),
    "series without a name": pl.Series([b"x"]),
    "empty series": pl.Series("s", [], dtype=pl.Date),
}


@pytest.mark.parametrize("value", POLARS.values(), ids=POLARS.keys())
def test_a_polars_value_comes_back_the_same(value):
    assert same(CODEC.decode(CODEC.encode(value)), value)


ARROW = {
    "table": pa.table({"a": [1, None], "b": [["x"], None]}),
    "table with metadata": pa.table({"a": [1]}).replace_schema_metadata({"k": "v"}),
    "table in chunks": pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2]})]),
    "table without rows": pa.table({"a": pa.array([], pa.int8())}),
    "table without columns": pa.table({}),
    "table with repeated names": pa.table([[1], [2]], names=["a", "a"]),
    "record batch": pa.record_batch({"a": [1, 2]}),
    "record batch without rows": pa.record_batch({"a": pa.array([], pa.string())}),
    "array": pa.array(["a", None]),
    "array of a dictionary": pa.array(["a", "b", "a"]).dictionary_encode(),
    "empty array": pa.array([], pa.int32()),
    "a slice of an array": pa.array(range(10))[3:5],
    "chunks": pa.chunked_array([[1], [2, None]]),
    "no chunks": pa.chunked_array([], pa.int8()),
}


@pytest.mark.parametrize("value", ARROW.values(), ids=ARROW.keys())
def test_an_arrow_value_comes_back_the_same(value):
    assert same(CODEC.decode(CODEC.encode(value)), value)
