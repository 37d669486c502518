"""
One pandas array, encoded as an Arrow array and a description of its dtype.

pandas and Arrow do not have the same types, and ``pyarrow.Table.from_pandas`` decides by the data what a column of
objects becomes. So every supported dtype is listed here, and every other one is refused: a column never comes back as
something else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.codecs.msgpack import time_zones
from airflow_provider_exclusive.exceptions import CodecError

Packed = tuple[list[Any], Any]
"""The description (plain data), and the Arrow array, or None if the description is complete without one."""

_NUMPY_KINDS: Final = "biufMm"
_UNITS: Final = ("s", "ms", "us", "ns")
_TEXT: Final = ("text", "objects-text")
_NULLABLE: Final = frozenset(
    {"boolean", "Float32", "Float64"} | {f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
)


@dataclass(frozen=True, slots=True)
class Labels:
    """How labels inside an array (categories, interval ends) are encoded; the module of the index provides it."""

    encode: Callable[[Any, Codec], bytes]
    decode: Callable[[bytes, Codec], Any]
    plain: Codec


def pack(values: Any, labels: Labels, where: str) -> Packed:
    """
    Return the description and the Arrow array of ``values``, a Series, an Index or a NumPy array.

    :param where: its name in messages, such as ``column 'a'``.
    :raises CodecError: if its dtype cannot be restored exactly.
    """
    import numpy as np
    import pandas as pd

    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        if dtype.hasobject:
            return _pack_objects(values, labels, where)
        if dtype.kind in _NUMPY_KINDS and dtype.isnative:
            return ["numpy", dtype.str], _to_arrow(np.asarray(values))
    elif dtype.name in _NULLABLE:
        return ["nullable", dtype.name], _to_arrow(values.array)
    for known, packer in _packers(pd):
        if isinstance(dtype, known):
            return _packed_by(packer, values.array, labels, where)
    raise CodecError(
        f"A pandas object cannot be encoded: {where} has the dtype {dtype}, which Arrow does not restore exactly. "
        "Convert it with .astype(...), or drop it."
    )


def _packed_by(packer: Callable[[Any, Labels], Packed], array: Any, labels: Labels, where: str) -> Packed:
    try:
        return packer(array, labels)
    except CodecError as failure:
        raise CodecError(f"A pandas object cannot be encoded: {where}: {failure}") from None


def unpack(description: list[Any], column: Any, labels: Labels) -> Any:
    """
    Return the array that :func:`pack` was given.

    :raises CodecError: if the description is of an unknown kind.
    """
    kind, *rest = description
    unpacker = _UNPACKERS.get(kind)
    if unpacker is None:
        raise CodecError(
            "An encoded pandas object has an unknown dtype. Read it with a newer release of airflow-provider-exclusive."
        )
    if column is not None and not _is_written_for(kind, rest, column.type):
        raise CodecError(
            f"An encoded pandas object has a column of the Arrow type {column.type}, which its dtype does not have. "
            "Clear and re-run the producer task."
        )
    return unpacker(rest, column, labels)


def _is_written_for(kind: str, rest: list[Any], arrow_type: Any) -> bool:
    """Return whether :func:`pack` writes this Arrow type; any other one might need much more memory than its bytes."""
    import numpy as np
    import pyarrow as pa

    if kind == "arrow":
        return True
    if kind in _TEXT:
        return arrow_type in (pa.string(), pa.large_string())
    if kind == "nullable":
        return rest[0] in _NULLABLE and arrow_type == pa.type_for_alias(rest[0].lower().replace("boolean", "bool"))
    if kind != "numpy":
        return bool(pa.types.is_integer(arrow_type))
    dtype = np.dtype(rest[0])
    return dtype.kind in _NUMPY_KINDS and arrow_type == _to_arrow(np.empty(0, dtype)).type


def _to_arrow(array: Any) -> Any:
    import pyarrow as pa

    return pa.array(array, from_pandas=False)


def _packers(pd: Any) -> tuple[tuple[type, Callable[[Any, Labels], Packed]], ...]:
    return (
        (pd.CategoricalDtype, _pack_categories),
        (pd.DatetimeTZDtype, _pack_zoned),
        (pd.PeriodDtype, lambda array, _: (["period", array.dtype.name], _to_arrow(array.asi8))),
        (pd.IntervalDtype, _pack_intervals),
        (pd.StringDtype, _pack_text),
        (pd.ArrowDtype, lambda array, _: (["arrow"], _to_arrow(array))),
    )


def _pack_objects(values: Any, labels: Labels, where: str) -> Packed:
    import pyarrow as pa

    cells = values.tolist()
    if set(map(type, cells)) <= {str, type(None)}:
        with contextlib.suppress(UnicodeEncodeError):  # lone surrogates, as in file names
            return ["objects-text"], pa.array(cells, pa.large_string())
    try:
        return ["objects", labels.plain.encode(cells)], None
    except CodecError as failure:
        raise CodecError(
            f"A pandas object cannot be encoded: {where} holds an unsupported Python object. {_in_rows(str(failure))}"
        ) from None


def _in_rows(message: str) -> str:
    """Return a message about a list of cells as one about a column."""
    return message.replace("In the value[", "In row [", 1)


def _pack_categories(array: Any, labels: Labels) -> Packed:
    return ["category", array.ordered, labels.encode(array.categories, labels.plain)], _to_arrow(array.codes)


def _pack_zoned(array: Any, _: Labels) -> Packed:
    return ["zoned", array.dtype.unit, time_zones.describe(array.dtype.tz)], _to_arrow(array.asi8)


def _pack_intervals(array: Any, labels: Labels) -> Packed:
    left, right = (labels.encode(ends, labels.plain) for ends in (array.left, array.right))
    return ["interval", array.closed, left, right], None


def _pack_text(array: Any, _: Labels) -> Packed:
    import pandas as pd

    missing = "NA" if array.dtype.na_value is pd.NA else "nan"
    return ["text", array.dtype.storage, missing], _to_arrow(array)


def _unpack_numbers(rest: list[Any], column: Any, _: Labels) -> Any:
    import numpy as np

    (described,) = rest
    return column.to_numpy().astype(np.dtype(described), copy=False)


def _unpack_text_objects(_: list[Any], column: Any, __: Labels) -> Any:
    import numpy as np

    return np.array(column.to_pylist() or [], dtype=object)


def _unpack_objects(rest: list[Any], _: Any, labels: Labels) -> Any:
    import numpy as np

    (encoded,) = rest
    cells = labels.plain.decode(encoded)
    return np.fromiter(cells, dtype=object, count=len(cells))  # assigning them would make NumPy inspect them


def _unpack_categories(rest: list[Any], column: Any, labels: Labels) -> Any:
    import pandas as pd

    ordered, categories = rest
    return pd.Categorical.from_codes(
        column.to_numpy(), categories=labels.decode(categories, labels.plain), ordered=ordered
    )


def _unpack_zoned(rest: list[Any], column: Any, _: Labels) -> Any:
    import pandas as pd

    unit, zone = rest
    if unit not in _UNITS:
        raise CodecError("An encoded pandas object has an unknown unit of time. Clear and re-run the producer task.")
    moments = pd.DatetimeIndex(column.to_numpy().view(f"M8[{unit}]"))
    return moments.tz_localize("UTC").tz_convert(time_zones.restore(zone)).array


def _unpack_period(rest: list[Any], column: Any, _: Labels) -> Any:
    import pandas as pd

    (name,) = rest
    dtype = pd.PeriodDtype.construct_from_string(name)
    return pd.arrays.PeriodArray(column.to_numpy().copy(), dtype=dtype)


def _unpack_intervals(rest: list[Any], _: Any, labels: Labels) -> Any:
    import pandas as pd

    closed, *ends = rest
    left, right = (labels.decode(end, labels.plain) for end in ends)
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=closed)


def _unpack_text(rest: list[Any], column: Any, _: Labels) -> Any:
    import pandas as pd

    storage, missing = rest
    dtype = pd.StringDtype(storage) if missing == "NA" else pd.StringDtype(storage, na_value=float("nan"))
    return dtype.__from_arrow__(column)


def _unpack_nullable(rest: list[Any], column: Any, _: Labels) -> Any:
    import pandas as pd

    (name,) = rest
    if name not in _NULLABLE:
        raise CodecError(
            "An encoded pandas object has an unknown nullable dtype. Read it with a newer release of "
            "airflow-provider-exclusive."
        )
    return pd.api.types.pandas_dtype(name).__from_arrow__(column)


def _unpack_arrow(_: list[Any], column: Any, __: Labels) -> Any:
    import pandas as pd

    return pd.ArrowDtype(column.type).__from_arrow__(column)


_UNPACKERS: Final[dict[str, Callable[[list[Any], Any, Labels], Any]]] = {
    "numpy": _unpack_numbers,
    "objects": _unpack_objects,
    "objects-text": _unpack_text_objects,
    "category": _unpack_categories,
    "zoned": _unpack_zoned,
    "period": _unpack_period,
    "interval": _unpack_intervals,
    "text": _unpack_text,
    "nullable": _unpack_nullable,
    "arrow": _unpack_arrow,
}
