"""
The codec of tables and arrays: pandas, polars and pyarrow as Arrow IPC streams, NumPy in its own array format.

An encoded value is one byte for the kind, seven for alignment, and the stream. The libraries are optional: none is
imported to inspect a value, and each is imported only to encode or decode its own values.
"""

from __future__ import annotations

import functools
import importlib
import operator
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.codecs.arrow import (
    numpy_arrays,
    pandas_frames,
    pandas_index,
    polars_frames,
    pyarrow_tables,
)
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.codecs.errors import origin, refusal
from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec
from airflow_provider_exclusive.exceptions import CodecError

_PREFIX_BYTES: Final = 8
_CELL_LEVELS: Final = 8
"""How many levels of arrays a cell of a table may have, such as the lists of lists of a Parquet file."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """
    Values that are encoded in the same way.

    :param needs: packages that must be installed; the first one defines ``classes`` and ``constants``.
    :param is_exact: whether subclasses within the package are a different kind.
    :param is_scalar: whether it may be a label, or a cell of a table.
    :param is_cell: whether it may be a cell of a table.
    """

    mark: bytes
    needs: tuple[str, ...]
    encode: Callable[[Any, Codec], list[Any]]
    decode: Callable[[memoryview, Codec], Any]
    classes: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    is_exact: bool = True
    is_scalar: bool = False
    is_cell: bool = False

    def takes(self, kind: type) -> bool:
        """Return whether values of the type ``kind`` belong to this kind."""
        package = sys.modules.get(self.needs[0])
        if package is None:
            return False  # without the package, no value of it exists, whatever a type claims
        classes = tuple(operator.attrgetter(name)(package) for name in self.classes)
        is_known = kind in classes if self.is_exact else issubclass(kind, classes)
        return is_known or any(kind is type(getattr(package, name)) for name in self.constants)

    def require(self) -> None:
        """
        Import the packages.

        :raises CodecError: naming the package to install.
        """
        for name in self.needs:
            if sys.modules.get(name) is not None:
                continue
            try:
                importlib.import_module(name)
            except ImportError as failure:
                raise CodecError(
                    f"A value of {self.needs[0]} needs the package {name}, which cannot be imported here. "
                    f"Install it with: pip install {name}."
                ) from failure


class ArrowCodec(Codec):
    """
    Encodes DataFrames, tables, arrays and their scalars.

    :param cell_levels: None for whole values; within a table, how many levels of arrays a cell may have.
    """

    name: ClassVar[str] = "arrow"

    def __init__(self, *, cell_levels: int | None = None) -> None:
        self._cell_levels = cell_levels
        # Labels, and columns of Python objects, are plain data that may contain scalars and arrays. Frames are refused
        # there: they could be nested without end.
        inner = _CELL_LEVELS if cell_levels is None else cell_levels - 1
        self._plain = MsgpackCodec(nested=[ArrowCodec(cell_levels=inner)] if inner >= 0 else [])

    def accepts(self, value: Any) -> bool:
        """Return whether ``value`` is a table, an array or a scalar of one of the packages."""
        return self._kind_of(value) is not None

    def encode(self, value: Any) -> bytes:
        """Return the encoded value; see :meth:`encode_in_chunks`."""
        return b"".join(self.encode_in_chunks(value))

    def encode_in_chunks(self, value: Any) -> Sequence[Chunk]:
        """
        Return the encoded value; numbers that are contiguous in memory are not copied.

        :raises CodecError: if the value cannot be restored exactly, naming the column and an alternative.
        """
        kind = self._kind_of(value)
        if kind is None:
            raise refusal(value, "it is not a table, array or scalar of pandas, polars, pyarrow or NumPy")
        kind.require()
        try:
            pieces = kind.encode(value, self._plain)
            return [kind.mark.ljust(_PREFIX_BYTES, b"\0"), *(memoryview(piece).cast("B") for piece in pieces)]
        except CodecError:
            raise
        except Exception as failure:  # noqa: BLE001  # the packages may raise anything, and quote values in it
            raise refusal(value, f"Arrow does not accept it ({origin(failure)})") from None

    def decode(self, encoded: Chunk) -> Any:
        """
        Return the value.

        :raises CodecError: if a package is missing here or the encoded value is not of this codec.
        """
        kind = _BY_PREFIX.get(bytes(encoded[:_PREFIX_BYTES]))
        if kind is None or not self._allows(kind):
            raise CodecError(
                "An encoded arrow value has an unknown kind. Read it with a newer release of "
                "airflow-provider-exclusive."
            )
        kind.require()
        try:
            return kind.decode(memoryview(encoded)[_PREFIX_BYTES:], self._plain)
        except CodecError:
            raise
        except Exception as failure:  # noqa: BLE001  # the packages may raise anything, and quote values in it
            raise CodecError(
                f"An encoded arrow value of {len(encoded):,} bytes cannot be decoded as {_title(kind)} "
                f"({origin(failure)}). Use the same version of the package in producer and consumer, or clear and "
                "re-run the producer task."
            ) from None

    def _kind_of(self, value: Any) -> _Kind | None:
        value_type: type = type(value)
        kind = _kind_of_type(value_type)
        if kind is _ARRAY and self._cell_levels is not None and value.dtype == object:
            kind = _OBJECT_CELL
        return kind if kind is not None and self._allows(kind) else None

    def _allows(self, kind: _Kind) -> bool:
        if self._cell_levels is None:
            return kind is not _OBJECT_CELL
        return kind.is_scalar or (kind.is_cell and self._cell_levels > 0)


@functools.lru_cache(maxsize=512)
def _kind_of_type(value_type: type) -> _Kind | None:
    package = value_type.__module__.partition(".")[0]
    return next((kind for kind in _BY_PACKAGE.get(package, ()) if kind.takes(value_type)), None)


def _title(kind: _Kind) -> str:
    return f"{kind.needs[0]}.{(kind.classes + kind.constants + ('ndarray',))[0]}"


_PANDAS: Final = ("pandas", "numpy", "pyarrow")
_POLARS: Final = ("polars", "pyarrow")
_SCALARS: Final = ("Timestamp", "Timedelta", "Period", "Interval")

# Marks are part of the encoded format and are never reused.
_ARRAY: Final = _Kind(
    b"n", ("numpy",), numpy_arrays.encode_array, numpy_arrays.decode_array, ("ndarray",), is_cell=True
)
_OBJECT_CELL: Final = _Kind(b"o", ("numpy",), numpy_arrays.encode_objects, numpy_arrays.decode_objects, is_cell=True)
_KINDS: Final = (
    _Kind(b"D", _PANDAS, pandas_frames.encode_frame, pandas_frames.decode_frame, ("DataFrame",)),
    _Kind(b"S", _PANDAS, pandas_frames.encode_series, pandas_frames.decode_series, ("Series",)),
    _Kind(b"I", _PANDAS, pandas_index.encode_index, pandas_index.decode_index, ("Index",), is_exact=False),
    _Kind(
        b"E",
        _PANDAS,
        pandas_frames.encode_extension_array,
        pandas_frames.decode_extension_array,
        ("api.extensions.ExtensionArray",),
        is_exact=False,
        is_cell=True,
    ),
    _Kind(b"T", _PANDAS, pandas_frames.encode_scalar, pandas_frames.decode_scalar, _SCALARS, is_scalar=True),
    _Kind(
        b"N",
        ("pandas",),
        pandas_frames.encode_missing,
        pandas_frames.decode_missing,
        constants=("NaT", "NA"),
        is_scalar=True,
    ),
    _Kind(b"d", _POLARS, polars_frames.encode_frame, polars_frames.decode_frame, ("DataFrame",)),
    _Kind(b"s", _POLARS, polars_frames.encode_series, polars_frames.decode_series, ("Series",)),
    _Kind(b"l", _POLARS, polars_frames.refuse_lazy, polars_frames.decode_frame, ("LazyFrame",)),
    _Kind(b"t", ("pyarrow",), pyarrow_tables.encode_table, pyarrow_tables.decode_table, ("Table",)),
    _Kind(b"b", ("pyarrow",), pyarrow_tables.encode_table, pyarrow_tables.decode_batch, ("RecordBatch",)),
    _Kind(b"c", ("pyarrow",), pyarrow_tables.encode_array, pyarrow_tables.decode_chunks, ("ChunkedArray",)),
    _Kind(b"a", ("pyarrow",), pyarrow_tables.encode_array, pyarrow_tables.decode_array, ("Array",), is_exact=False),
    _ARRAY,
    _OBJECT_CELL,
    _Kind(
        b"g",
        ("numpy",),
        numpy_arrays.encode_scalar,
        numpy_arrays.decode_scalar,
        ("generic",),
        is_exact=False,
        is_scalar=True,
    ),
)
_BY_PREFIX: Final = {kind.mark.ljust(_PREFIX_BYTES, b"\0"): kind for kind in _KINDS}
_BY_PACKAGE: Final = {
    package: tuple(kind for kind in _KINDS if kind.needs[0] == package) for package, *_ in (k.needs for k in _KINDS)
}
