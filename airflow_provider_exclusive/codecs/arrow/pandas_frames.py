"""pandas DataFrames, Series and scalars: columns as Arrow, labels and dtypes in a header."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_provider_exclusive.codecs.arrow import pandas_blocks, pandas_columns, pandas_index, stream
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.codecs.errors import refusal
from airflow_provider_exclusive.exceptions import CodecError


def encode_frame(frame: Any, plain: Codec) -> list[Any]:
    """
    Return the stream.

    :raises CodecError: naming the column that cannot be restored exactly.
    """
    # Columns are read by position, because names may repeat.
    columns = [(f"column {name!r}", frame.iloc[:, position]) for position, name in enumerate(frame.columns)]
    header = {
        "columns": pandas_index.to_bytes(frame.columns, plain),
        "index": pandas_index.to_bytes(frame.index, plain),
        **_extras(frame, plain),
    }
    return _encode_columns(columns, header, plain)


def decode_frame(body: memoryview, plain: Codec) -> Any:
    """Return the ``pandas.DataFrame``."""
    import pandas as pd

    columns, header = _decode_columns(body, plain)
    index = pandas_index.from_bytes(header["index"], plain)
    block = pandas_blocks.block_over(body, columns)
    if block is not None:
        frame = pd.DataFrame(block.T, index=index, copy=False)
    else:
        # pandas copies a dict of arrays into its own blocks: writable, and one for all columns of a dtype. Objects are
        # given as Series, because pandas would inspect their values and choose another dtype.
        data = {position: _keep_dtype(column, index) for position, column in enumerate(columns)}
        frame = pd.DataFrame(data, index=index, copy=True)
    frame.columns = pandas_index.from_bytes(header["columns"], plain)
    return _with_extras(frame, header)


def encode_series(series: Any, plain: Codec) -> list[Any]:
    """
    Return the stream.

    :raises CodecError: if the dtype cannot be restored exactly.
    """
    header = {"name": series.name, "index": pandas_index.to_bytes(series.index, plain), **_extras(series, plain)}
    return _encode_columns([(f"Series {series.name!r}", series)], header, plain)


def decode_series(body: memoryview, plain: Codec) -> Any:
    """Return the ``pandas.Series``."""
    import pandas as pd

    (array,), header = _decode_columns(body, plain)
    index = pandas_index.from_bytes(header["index"], plain)
    block = pandas_blocks.block_over(body, [array])
    data = array if block is None else block[0]
    series = pd.Series(data, index=index, dtype=array.dtype, name=header["name"], copy=block is None)
    return _with_extras(series, header)


def encode_scalar(scalar: Any, plain: Codec) -> list[Any]:
    """
    Return the stream of a Timestamp, Timedelta, Period or Interval as a Series of one.

    :raises CodecError: if it cannot be restored exactly.
    """
    import pandas as pd

    pieces = encode_series(pd.Series([scalar]), plain)
    restored = decode_scalar(memoryview(b"".join(pieces)), plain)
    if (
        type(restored) is not type(scalar)
        or repr(restored) != repr(scalar)
        or restored != scalar
        or _fold(restored) != _fold(scalar)
    ):
        raise refusal(scalar, "a Series does not restore it exactly; return it in a Series, or as a datetime")
    return pieces


def _fold(scalar: Any) -> int:
    """Return which of two equal hours is meant; neither ``repr`` nor equality shows it."""
    return int(getattr(scalar, "fold", 0))


def decode_scalar(body: memoryview, plain: Codec) -> Any:
    """Return the scalar."""
    return decode_series(body, plain).iloc[0]


def encode_extension_array(array: Any, plain: Codec) -> list[Any]:
    """
    Return the stream of one of pandas' own arrays, as ``unique()`` returns them, as a Series.

    :raises CodecError: if its dtype cannot be restored exactly.
    """
    import pandas as pd

    series = pd.Series(array, copy=False)
    if type(series.array) is not type(array):
        raise refusal(array, "a Series does not restore it exactly; return array.to_numpy()")
    return encode_series(series, plain)


def decode_extension_array(body: memoryview, plain: Codec) -> Any:
    """Return the array."""
    return decode_series(body, plain).array


def encode_missing(value: Any, _: Codec) -> list[bytes]:
    """Return the name of ``pandas.NaT`` or ``pandas.NA``."""
    import pandas as pd

    return [b"NaT" if value is pd.NaT else b"NA"]


def decode_missing(body: memoryview, _: Codec) -> Any:
    """Return ``pandas.NaT`` or ``pandas.NA``."""
    import pandas as pd

    return {b"NaT": pd.NaT, b"NA": pd.NA}[bytes(body)]


def _encode_columns(columns: Iterable[tuple[str, Any]], header: dict[str, Any], plain: Codec) -> list[Any]:
    labels = pandas_index.labels_with(plain)
    packed = [pandas_columns.pack(column, labels, where) for where, column in columns]
    header["arrays"] = [[description, column is not None] for description, column in packed]
    arrays = [column for _, column in packed if column is not None]
    return [stream.write_columns(arrays, plain.encode(header))]


def _decode_columns(body: memoryview, plain: Codec) -> tuple[list[Any], dict[str, Any]]:
    stored, packed_header = stream.read_columns(body)
    header = plain.decode(packed_header)
    labels = pandas_index.labels_with(plain)
    columns = iter(stored)
    arrays = [
        pandas_columns.unpack(description, next(columns) if is_stored else None, labels)
        for description, is_stored in header["arrays"]
    ]
    return arrays, header


def _keep_dtype(array: Any, index: Any) -> Any:
    import pandas as pd

    if len(array) != len(index):
        raise CodecError(f"An encoded pandas object has {len(array)} rows, but an index of {len(index)}.")
    return pd.Series(array, index=index, dtype=object, copy=False) if array.dtype == object else array


def _extras(value: Any, plain: Codec) -> dict[str, Any]:
    if value.attrs:
        try:
            plain.encode(value.attrs)
        except CodecError as failure:
            raise CodecError(f"A pandas object cannot be encoded: its attrs: {failure}") from None
    return {"attrs": value.attrs, "unique": not value.flags.allows_duplicate_labels}


def _with_extras(value: Any, header: dict[str, Any]) -> Any:
    value.attrs = header["attrs"]
    return value.set_flags(allows_duplicate_labels=False) if header["unique"] else value
