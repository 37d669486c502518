from __future__ import annotations

import io

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec
from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec
from airflow_provider_exclusive.exceptions import CodecError
from tests.same import same
from tests.unit.codecs.hostile import decode_everything

CODEC = ArrowCodec()


def through(value):
    return CODEC.decode(memoryview(bytearray(CODEC.encode(value))))


def writable(value):
    """Parquet's cells are read-only views of one buffer; what arrives may be written to."""
    if isinstance(value, np.ndarray):
        copy = value.copy()
        if copy.dtype == object:
            for position in np.ndindex(copy.shape):
                copy[position] = writable(copy[position])
        return copy
    if isinstance(value, dict):
        return {key: writable(item) for key, item in value.items()}
    return value


def parquet():
    stored = io.BytesIO()
    columns = {
        "vector": [[1.0, 2.0], [3.0]],
        "nested": [[[1, 2], [3]], [[4]]],
        "words": [["x"], ["y", None]],
        "struct": [{"k": [1]}, {"k": [2, 3]}],
        "number": [1, 2],
    }
    pd.DataFrame(columns).to_parquet(stored)
    return pd.read_parquet(stored)


def objects(*cells):
    array = np.empty(len(cells), dtype=object)
    for position, cell in enumerate(cells):
        array[position] = cell
    return pd.Series(array)


GROUPED = pd.DataFrame({"k": [1, 1, 2], "n": [1, 2, 3], "s": ["a", "b", "c"], "c": pd.Categorical(["a", "b", "a"])})
FRAMES = {
    "lists of a Parquet file": parquet,
    "embeddings": lambda: pd.DataFrame({"e": [np.arange(3, dtype="float32"), np.ones(3, dtype="float32")]}),
    "matrices": lambda: pd.DataFrame({"m": objects(np.eye(2), np.asfortranarray(np.eye(3)))}),
    "no numbers": lambda: pd.DataFrame({"m": objects(np.array([]), np.array(5), np.array([], dtype=object))}),
    "other types of numbers": lambda: pd.DataFrame(
        {"m": objects(np.array([True]), np.array(["2024-01-01"], "M8[s]"), np.array(["x", "yy"]), np.array([1j]))}
    ),
    "arrays beside others": lambda: pd.DataFrame({"m": objects(np.arange(2), None, "x", [np.arange(2)], {"k": (1,)})}),
    "arrays of objects": lambda: pd.DataFrame({"m": objects(np.array([1, "a", None, (1, 2)], dtype=object))}),
    "polars": lambda: pl.DataFrame({"a": [[1, 2], [3]]}).to_pandas(),
    "pyarrow": lambda: pa.table({"a": [[1, 2], None]}).to_pandas(),
    "unique numbers of groups": lambda: GROUPED.groupby("k")["n"].unique().to_frame(),
    "unique text of groups": lambda: GROUPED.groupby("k")["s"].unique().to_frame(),
    "unique categories of groups": lambda: GROUPED.groupby("k")["c"].unique().to_frame(),
    "a Series": lambda: objects(np.arange(3), np.arange(2)),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_cell_comes_back_with_its_dtype_and_shape(name):
    value, restored = FRAMES[name](), through(FRAMES[name]())

    pairs = [(value, restored)] if value.ndim == 1 else [(value[column], restored[column]) for column in value]
    for column, other in pairs:
        assert column.dtype == other.dtype
        for cell, restored_cell in zip(column.tolist(), other.tolist(), strict=True):
            assert same(writable(cell), restored_cell), (column.name, cell)


def test_arrays_of_a_split_come_back_inside_plain_data():
    codec = MsgpackCodec(nested=[CODEC])
    value = {"parts": np.array_split(np.arange(5), 2)}

    assert same(codec.decode(codec.encode(value)), value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: pd.array([1, None], dtype="Int64"),
        lambda: pd.Series(["a", "b", "a"]).unique(),
        lambda: pd.Series(pd.date_range("2024-01-01", periods=2, tz="UTC")).unique(),
        lambda: pd.Categorical(["a", "b"]),
        lambda: pd.arrays.IntervalArray.from_breaks([0, 1, 2]),
    ],
)
def test_an_array_of_pandas_comes_back_the_same(make):
    value, restored = make(), through(make())

    assert same(restored, value)


def _deep(levels):
    cell = np.arange(2)
    for _ in range(levels):
        outer = np.empty(1, dtype=object)
        outer[0] = cell
        cell = outer
    return pd.DataFrame({"deep": objects(cell)})


def test_lists_of_lists_come_back_to_a_depth_and_no_deeper():
    assert same(through(_deep(4))["deep"][0][0][0][0][0], np.arange(2))
    with pytest.raises(CodecError, match="column 'deep'"):
        CODEC.encode(_deep(20))


def test_an_array_that_contains_itself_is_refused():
    endless = np.empty(1, dtype=object)
    endless[0] = endless

    with pytest.raises(CodecError, match="column 'm'"):
        CODEC.encode(pd.DataFrame({"m": objects(endless)}))


@pytest.mark.parametrize("cell", [pd.DataFrame({"a": [1]}), np.ma.masked_array([1], [True]), lambda: 1])
def test_what_is_no_plain_array_is_refused_with_its_column(cell):
    with pytest.raises(CodecError, match="column 'm'"):
        CODEC.encode(pd.DataFrame({"m": objects(cell)}))


def test_altered_payloads_are_refused_or_decode_to_a_value():
    assert decode_everything(CODEC, CODEC.encode(FRAMES["arrays of objects"]())) > 0
