"""What is decoded takes little more memory than what was pushed, whatever a header states."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from airflow_provider_exclusive.codecs.arrow import messages, pandas_index, stream
from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec
from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec
from airflow_provider_exclusive.exceptions import CodecError

CODEC = ArrowCodec()
PLAIN = MsgpackCodec()


def series_of(column, description, length=1):
    header = {
        "name": None,
        "index": pandas_index.to_bytes(pd.RangeIndex(length), PLAIN),
        "attrs": {},
        "unique": False,
        "arrays": [[description, True]],
    }
    return b"S".ljust(8, b"\0") + bytes(stream.write_columns([column], PLAIN.encode(header)))


def compressed(mark, header=b"", codec="zstd"):
    table = pa.table({"0": pa.array(np.zeros(50_000_000, dtype="int8"))}).replace_schema_metadata(
        {b"exclusive": header}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write(table)
    return mark.ljust(8, b"\0") + sink.getvalue().to_pybytes()


def compressed_dictionary():
    words = pa.array([f"{'x' * 1000}{number}" for number in range(100)])
    table = pa.table({"0": pa.DictionaryArray.from_arrays(pa.array([0]), words)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write(table)
    return b"t".ljust(8, b"\0") + sink.getvalue().to_pybytes()


BOMBS = {
    "a text type of 8 MB for one number": lambda: series_of(pa.array([1]), ["numpy", "<U200000000"]),
    "bytes for one number": lambda: series_of(pa.array([1]), ["numpy", "|S800000000"]),
    "a structure for one number": lambda: series_of(pa.array([1]), ["numpy", "(100000000,)i8"]),
    "a wider number than the column": lambda: series_of(pa.array([1] * 8, pa.int8()), ["numpy", "<i8"], 8),
    "a null column as text": lambda: series_of(pa.nulls(10**8), ["objects-text"], 10**8),
    "a null column as numbers": lambda: series_of(pa.nulls(10**8), ["numpy", "<f8"], 10**8),
    "a null column as nullables": lambda: series_of(pa.nulls(10**8), ["nullable", "Int64"], 10**8),
    "a null column as codes": lambda: series_of(
        pa.nulls(10**8), ["category", False, pandas_index.to_bytes(pd.Index(["a"]), PLAIN)], 10**8
    ),
    "a null column as text of pandas": lambda: series_of(pa.nulls(10**8), ["text", "python", "NA"], 10**8),
    "runs as text": lambda: series_of(
        pa.RunEndEncodedArray.from_arrays(pa.array([10**8], pa.int32()), pa.array(["x"])), ["objects-text"], 10**8
    ),
    "views of one text": lambda: series_of(pa.array(["x" * 10**6] * 3, pa.string_view()), ["objects-text"], 3),
    "an unknown unit": lambda: series_of(pa.array([1]), ["zoned", "25s", "utc"]),
    "compressed numbers": lambda: compressed(b"t"),
    "compressed numbers, lz4": lambda: compressed(b"t", codec="lz4"),
    "a compressed dictionary": compressed_dictionary,
    "compressed numbers for polars": lambda: compressed(b"d", PLAIN.encode(["a"])),
    "compressed numbers for pandas": lambda: compressed(
        b"S",
        PLAIN.encode(
            {
                "name": None,
                "index": pandas_index.to_bytes(pd.RangeIndex(50_000_000), PLAIN),
                "attrs": {},
                "unique": False,
                "arrays": [[["numpy", "|i1"], True]],
            }
        ),
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name):
    payload = BOMBS[name]()

    assert len(payload) < 4_000_000
    with pytest.raises(CodecError):
        CODEC.decode(payload)


@pytest.mark.parametrize(
    "make",
    [
        lambda: pa.table({"n": pa.nulls(1000)}),
        lambda: pl.DataFrame({"n": [None] * 1000, "c": pl.Series(["x"] * 1000, dtype=pl.Categorical)}),
        lambda: pd.DataFrame({"n": pd.array([None] * 10, dtype=pd.ArrowDtype(pa.null()))}),
        lambda: pa.table({"d": pa.array(["a", "b"]).dictionary_encode()}),
        lambda: pa.table({}),
    ],
)
def test_what_is_written_is_read(make):
    restored = CODEC.decode(CODEC.encode(make()))

    assert type(restored) is type(make())
    assert restored.shape == make().shape


def test_a_malformed_description_of_a_message_is_refused():
    body = bytearray(CODEC.encode(pa.table({"a": [1, 2]})))
    for position in range(8, 300):
        for content in (0, 0x7F, 0xFF):
            altered = bytearray(body)
            altered[position] = content
            try:
                CODEC.decode(altered)
            except CodecError:
                continue


def test_compression_is_seen_in_every_kind_of_batch():
    for payload in (compressed(b"t"), compressed_dictionary()):
        with pytest.raises(CodecError, match="is compressed"):
            messages.refuse_compressed(pa.py_buffer(payload[8:]))
