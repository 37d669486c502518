"""pandas indexes: the labels of rows and columns, and of categories and intervals inside columns."""

from __future__ import annotations

from typing import Any

from airflow_provider_exclusive.codecs.arrow import pandas_columns, stream
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.codecs.errors import refusal


def labels_with(plain: Codec) -> pandas_columns.Labels:
    """Return how labels inside an array are encoded."""
    return pandas_columns.Labels(encode=to_bytes, decode=from_bytes, plain=plain)


def encode_index(index: Any, plain: Codec) -> list[Any]:
    """
    Return the stream.

    :raises CodecError: if the index cannot be restored exactly.
    """
    import pandas as pd

    if type(index) is pd.RangeIndex:
        header: dict[str, Any] = {"range": [index.start, index.stop, index.step], "name": index.name}
        arrays: list[Any] = []
    elif isinstance(index, pd.MultiIndex):
        header = {"levels": [to_bytes(level, plain) for level in index.levels], "names": list(index.names)}
        arrays = [pandas_columns.pack(codes, labels_with(plain), "an index") for codes in index.codes]
        header["codes"] = [description for description, _ in arrays]
        arrays = [column for _, column in arrays]
    else:
        description, column = pandas_columns.pack(index, labels_with(plain), f"index {index.name!r}")
        header = {"array": description, "name": index.name, "freq": _frequency(index)}
        arrays = [] if column is None else [column]
    return [stream.write_columns(arrays, plain.encode(header))]


def decode_index(body: memoryview, plain: Codec) -> Any:
    """Return the index."""
    import pandas as pd

    columns, packed_header = stream.read_columns(body)
    header = plain.decode(packed_header)
    if "range" in header:
        return pd.RangeIndex(*header["range"], name=header["name"])
    if "levels" in header:
        return _multi_index(header, columns, plain)
    array = pandas_columns.unpack(header["array"], columns[0] if columns else None, labels_with(plain))
    index = pd.Index(array, dtype=array.dtype, name=header["name"], copy=True)
    if header["freq"] is not None:
        index.freq = header["freq"]
    return index


def to_bytes(index: Any, plain: Codec) -> bytes:
    """Return the stream of :func:`encode_index` as bytes, for the header of another stream."""
    return b"".join(encode_index(index, plain))


def from_bytes(encoded: bytes, plain: Codec) -> Any:
    """Return the index that :func:`to_bytes` was given."""
    return decode_index(memoryview(encoded), plain)


def _multi_index(header: dict[str, Any], columns: list[Any], plain: Codec) -> Any:
    import pandas as pd

    levels = [from_bytes(level, plain) for level in header["levels"]]
    codes = [
        pandas_columns.unpack(description, column, labels_with(plain))
        for description, column in zip(header["codes"], columns, strict=True)
    ]
    return pd.MultiIndex(levels=levels, codes=codes, names=header["names"])


def _frequency(index: Any) -> str | None:
    import pandas as pd

    frequency = index.freq if isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) else None
    if frequency is None:
        return None
    text: str = frequency.freqstr
    try:
        is_kept = pd.tseries.frequencies.to_offset(text) == frequency
    except ValueError:
        is_kept = False
    if not is_kept:
        raise refusal(index, "its freq cannot be written as text; set index.freq = None")
    return text
