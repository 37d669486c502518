"""Arrow IPC streams: the format of every table in an encoded value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from airflow_provider_exclusive.codecs.arrow import messages
from airflow_provider_exclusive.exceptions import CodecError

_HEADER: Final = b"exclusive"


def write(table: Any) -> Any:
    """
    Return the stream of a ``pyarrow.Table`` or ``RecordBatch``, uncompressed, so that it can be used without a copy.

    :return: a ``pyarrow.Buffer``.
    """
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue()


def read(body: memoryview) -> Any:
    """
    Return the ``pyarrow.Table``, over the same memory.

    :raises CodecError: if it is compressed.
    :raises pyarrow.ArrowInvalid: if its parts do not fit together.
    """
    import pyarrow as pa

    buffer = pa.py_buffer(body)
    messages.refuse_compressed(buffer)
    with pa.ipc.open_stream(buffer) as reader:
        table = reader.read_all()
    table.validate(full=True)
    return table


def write_with_header(table: Any, header: bytes) -> Any:
    """Return the stream of a ``pyarrow.Table`` with ``header`` in its schema, in place of other metadata."""
    return write(table.replace_schema_metadata({_HEADER: header}))


def read_with_header(body: memoryview) -> tuple[Any, bytes]:
    """
    Return table and header; the table has no metadata, because polars panics if metadata is not text.

    :raises CodecError: if the stream has no header.
    """
    table = read(body)
    header = (table.schema.metadata or {}).get(_HEADER)
    if header is None:
        raise CodecError("An encoded Arrow value has no header.")
    return table.replace_schema_metadata(None), header


def write_columns(arrays: Sequence[Any], header: bytes) -> Any:
    """Return a stream of columns of equal length, named by position, with ``header`` in its schema."""
    import pyarrow as pa

    return write_with_header(pa.table(list(arrays), names=[str(position) for position in range(len(arrays))]), header)


def read_columns(body: memoryview) -> tuple[list[Any], bytes]:
    """
    Return columns and header.

    :raises CodecError: if the stream has no header.
    """
    table, header = read_with_header(body)
    return table.columns, header
