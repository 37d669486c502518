"""polars DataFrames and Series, through Arrow; columns are named by position, because polars renames some names."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow_provider_exclusive.codecs.arrow import stream
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.codecs.errors import refusal
from airflow_provider_exclusive.exceptions import CodecError


def encode_frame(frame: Any, plain: Codec) -> list[Any]:
    """
    Return the stream.

    :raises CodecError: naming a column whose type Arrow does not restore.
    """
    if frame.height and not frame.width:
        raise refusal(frame, f"it has {frame.height} rows but no column, and Arrow cannot count rows without a column")
    for name, dtype in frame.schema.items():
        _check_type(frame, frame.get_column(name), f"the type {dtype} of column {name!r}")
    return _encode(frame, plain)


def decode_frame(body: memoryview, plain: Codec) -> Any:
    """Return the ``polars.DataFrame``."""
    import polars as pl

    table, header = stream.read_with_header(body)
    if not all(_is_written(column_type) for column_type in table.schema.types):
        raise CodecError(
            "An encoded polars object has a column of an Arrow type that polars never writes. Clear and re-run the "
            "producer task."
        )
    try:
        frame = pl.DataFrame(table)
    except pl.exceptions.PanicException:  # a BaseException, which no other handler catches
        raise CodecError(
            "An encoded polars object has columns that polars cannot read. Clear and re-run the producer task."
        ) from None
    frame.columns = plain.decode(header)
    return frame


def encode_series(series: Any, plain: Codec) -> list[Any]:
    """
    Return the stream of a table with the Series as its only column.

    :raises CodecError: if Arrow does not restore its type.
    """
    _check_type(series, series, f"the type {series.dtype} of Series {series.name!r}")
    return _encode(series.to_frame(), plain)


def decode_series(body: memoryview, plain: Codec) -> Any:
    """Return the ``polars.Series``."""
    frame = decode_frame(body, plain)
    if frame.width != 1:
        raise CodecError(f"An encoded polars Series has {frame.width} columns; expected one.")
    return frame.to_series()


def refuse_lazy(frame: Any, _: Codec) -> NoReturn:
    """
    Raise CodecError for a ``polars.LazyFrame``.

    :raises CodecError: always, because a plan reads files that the consumer may not have.
    """
    raise refusal(frame, "it is a plan, not data; call .collect() on it")


def _check_type(value: Any, column: Any, described: str) -> None:
    import polars as pl
    import pyarrow as pa

    if _holds_objects(column.dtype):  # polars aborts the process when it converts some of them to Arrow
        raise refusal(value, f"{described} holds Python objects; cast the column or drop it")
    try:
        # No row is needed to see which type would come back.
        is_kept = pl.DataFrame(column.clear().to_frame("0").to_arrow()).schema["0"] == column.dtype
    except (pa.ArrowException, pl.exceptions.PanicException):
        is_kept = False
    if not is_kept:
        raise refusal(value, f"Arrow does not restore {described}; cast the column")


def _holds_objects(dtype: Any) -> bool:
    import polars as pl

    parts = [field.dtype for field in getattr(dtype, "fields", ())]
    inner = getattr(dtype, "inner", None)
    return dtype.base_type() is pl.Object or any(map(_holds_objects, parts if inner is None else [inner]))


def _is_written(arrow_type: Any) -> bool:
    """Return whether polars writes this type, nothing of which takes much more memory than its bytes."""
    import pyarrow as pa

    kinds = pa.types
    if kinds.is_dictionary(arrow_type):
        return arrow_type.value_type in (pa.string(), pa.large_string(), pa.string_view())
    if kinds.is_run_end_encoded(arrow_type) or kinds.is_list_view(arrow_type) or kinds.is_large_list_view(arrow_type):
        return False
    return all(_is_written(arrow_type.field(position).type) for position in range(arrow_type.num_fields))


def _encode(frame: Any, plain: Codec) -> list[Any]:
    numbered = frame.clone()
    numbered.columns = [str(position) for position in range(frame.width)]
    return [stream.write_with_header(numbered.to_arrow(), plain.encode(frame.columns))]
