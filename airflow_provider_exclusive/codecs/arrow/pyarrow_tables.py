"""pyarrow's tables and arrays, as Arrow IPC streams."""

from __future__ import annotations

from typing import Any

from airflow_provider_exclusive.codecs.arrow import stream
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.exceptions import CodecError


def encode_table(table: Any, _: Codec) -> list[Any]:
    """Return the stream of a ``pyarrow.Table`` or ``RecordBatch``."""
    return [stream.write(table)]


def decode_table(body: memoryview, _: Codec) -> Any:
    """Return the ``pyarrow.Table``."""
    return stream.read(body)


def decode_batch(body: memoryview, _: Codec) -> Any:
    """Return the ``pyarrow.RecordBatch``."""
    import pyarrow as pa

    table = stream.read(body)
    batches = table.to_batches()
    if len(batches) > 1:
        raise CodecError(f"An encoded Arrow value has {len(batches)} record batches; expected one.")
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def encode_array(array: Any, _: Codec) -> list[Any]:
    """Return the stream of a ``pyarrow.Array`` or ``ChunkedArray`` as a table of one column."""
    import pyarrow as pa

    return [stream.write(pa.table([array], names=[""]))]


def decode_chunks(body: memoryview, _: Codec) -> Any:
    """Return the ``pyarrow.ChunkedArray``."""
    table = stream.read(body)
    if table.num_columns != 1:
        raise CodecError(f"An encoded Arrow value has {table.num_columns} columns; expected one.")
    return table.column(0)


def decode_array(body: memoryview, _: Codec) -> Any:
    """Return the ``pyarrow.Array``."""
    import pyarrow as pa

    column = decode_chunks(body, _)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
