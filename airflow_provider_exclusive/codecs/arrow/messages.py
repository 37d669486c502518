"""
The messages of an Arrow IPC stream, as they are before Arrow makes tables of them.

Nothing that this package writes is compressed, so a compressed message is refused: a few bytes of it may need any
amount of memory. pyarrow does not tell whether a message is compressed, so its description, a FlatBuffer, is read here.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from airflow_provider_exclusive.exceptions import CodecError

# From Message.fbs and Schema.fbs of the Arrow format.
_HEADER_TYPE: Final = 1
_HEADER: Final = 2
_DICTIONARY_BATCH: Final = 2
_RECORD_BATCH: Final = 3
_DATA_OF_DICTIONARY: Final = 1
_COMPRESSION: Final = 3


def refuse_compressed(buffer: Any) -> None:
    """
    Look at every message of a stream.

    :param buffer: the stream, a ``pyarrow.Buffer``.
    :raises CodecError: if one of them is compressed.
    """
    import pyarrow as pa

    for message in pa.ipc.MessageReader.open_stream(buffer):
        if _is_compressed(memoryview(message.metadata)):
            raise CodecError(
                "An encoded Arrow value is compressed, which this package never writes. Clear and re-run the producer "
                "task."
            )


def _is_compressed(description: memoryview) -> bool:
    root = _follow(description, 0)
    kind_at, header_at = _field(description, root, _HEADER_TYPE), _field(description, root, _HEADER)
    kind = description[kind_at] if kind_at else 0
    if kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return False
    batch = _follow(description, header_at)
    if kind == _DICTIONARY_BATCH:
        batch = _follow(description, _field(description, batch, _DATA_OF_DICTIONARY))
    return bool(_field(description, batch, _COMPRESSION))


def _follow(description: memoryview, at: int) -> int:
    """Return the position of the table to which the offset at ``at`` points."""
    offset: int = struct.unpack_from("<I", description, at)[0]
    return at + offset


def _field(description: memoryview, table: int, number: int) -> int:
    """Return where a field of a table is stored, or 0 if it is not."""
    entries = table - struct.unpack_from("<i", description, table)[0]
    (size,) = struct.unpack_from("<H", description, entries)
    entry = 4 + 2 * number  # behind the sizes of the list of entries and of the table
    if entry >= size:
        return 0
    offset: int = struct.unpack_from("<H", description, entries + entry)[0]
    return table + offset if offset else 0
