"""Whether two values are the same: equal and of the same type, all the way down."""

from __future__ import annotations

import enum
import math
import re
from collections import deque
from datetime import datetime, time, tzinfo
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import polars.testing
import pyarrow as pa


def same(value: Any, other: Any) -> bool:
    if type(value) is not type(other):
        return False
    for kinds, compare in _COMPARISONS:
        if isinstance(value, kinds):
            return bool(compare(value, other))
    return bool(value == other)


def _same_float(value, other):
    if math.isnan(value):
        return math.isnan(other)
    return value == other and math.copysign(1, value) == math.copysign(1, other)


def _same_complex(value, other):
    return _same_float(value.real, other.real) and _same_float(value.imag, other.imag)


def _same_items(value, other):
    return (
        len(value) == len(other) and all(map(same, value, other)) and _own_attributes(value) == _own_attributes(other)
    )


def _own_attributes(value):
    return getattr(value, "maxlen", None), getattr(value, "default_factory", None)


def _same_dict(value, other):
    return (
        _same_items(list(value), list(other))
        and _same_items(list(value.values()), list(other.values()))
        and (_own_attributes(value) == _own_attributes(other))
    )


def _same_set(value, other):
    # nan is not equal to itself, so sets are compared member by member
    rest = list(other)
    for item in value:
        match = next((i for i, candidate in enumerate(rest) if same(item, candidate)), None)
        if match is None:
            return False
        del rest[match]
    return not rest


def _same_moment(value, other):
    return (
        value.replace(tzinfo=None) == other.replace(tzinfo=None)
        and value.fold == other.fold
        and _same_zone(value.tzinfo, other.tzinfo)
    )


def _same_zone(value, other):
    if type(value) is not type(other):
        return False
    return value is other or repr(value) == repr(other) or _is_same_rule(value, other)


def _is_same_rule(value, other):
    """Zones from files compare equal by their rules; their repr is the path of the file."""
    return type(value).__module__ == "dateutil.tz.tz" and value == other


def state_of(value):
    """Return what Python would copy of an object, without running anything of its class but __getstate__."""
    state = value.__reduce_ex__(2)[2]
    return {name: part for name, part in state.items() if name != "__orig_class__"} if type(state) is dict else state


def _same_state(value, other):
    return same(state_of(value), state_of(other))


def _same_array(value, other):
    if value.dtype != other.dtype or value.shape != other.shape or value.flags.writeable != other.flags.writeable:
        return False
    if value.dtype == object:
        return _same_items(value.ravel().tolist(), other.ravel().tolist())
    return np.array_equal(value, other) if value.dtype.names else value.tobytes() == other.tobytes()


def _same_pandas(value, other):
    check = {
        pd.DataFrame: pd.testing.assert_frame_equal,
        pd.Series: pd.testing.assert_series_equal,
    }[type(value)]
    try:
        check(value, other, check_exact=True, check_freq=True, check_flags=True)
    except AssertionError:
        return False
    return _same_index(value.index, other.index) and value.attrs == other.attrs and _same_cells(value, other)


def _same_cells(value, other):
    columns, others = (
        [frame.iloc[:, i] for i in range(frame.shape[1])] if frame.ndim == 2 else [frame] for frame in (value, other)
    )
    return all(
        column.dtype != object or _same_items(column.tolist(), other.tolist())
        for column, other in zip(columns, others, strict=True)
    ) and (value.ndim == 1 or _same_index(value.columns, other.columns))


def _same_index(value, other):
    try:
        pd.testing.assert_index_equal(value, other, exact=True, check_exact=True)
    except AssertionError:
        return False
    return (
        getattr(value, "freq", None) == getattr(other, "freq", None)
        and type(value) is type(other)
        and same(list(value.names), list(other.names))
    )


def _same_extension_array(value, other):
    try:
        pd.testing.assert_extension_array_equal(value, other)
    except AssertionError:
        return False
    return value.dtype == other.dtype


def _same_decimal(value, other):
    return value.as_tuple() == other.as_tuple()


def _same_polars(value, other):
    try:
        (pl.testing.assert_frame_equal if isinstance(value, pl.DataFrame) else pl.testing.assert_series_equal)(
            value, other, check_exact=True
        )
    except AssertionError:
        return False
    return True


def _has_state(value):
    kind = type(value)
    if kind is re.Pattern:
        return False
    return (
        kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and kind.__new__ is object.__new__
        and bool(kind.__flags__ & 1 << 9)
    )


class _Stateful(type):
    def __instancecheck__(cls, value):
        return _has_state(value)


class _AnyStateful(metaclass=_Stateful):
    pass


_COMPARISONS = (
    ((np.ndarray,), _same_array),
    ((np.generic,), lambda value, other: value.dtype == other.dtype and value.tobytes() == other.tobytes()),
    ((pd.DataFrame, pd.Series), _same_pandas),
    ((pd.Index,), _same_index),
    ((pd.api.extensions.ExtensionArray,), _same_extension_array),
    ((type(pd.NaT), type(pd.NA)), lambda value, other: value is other),
    ((pd.Timestamp,), lambda value, other: repr(value) == repr(other) and value.unit == other.unit and value == other),
    ((pl.DataFrame, pl.Series), _same_polars),
    ((pa.Table, pa.RecordBatch), lambda value, other: value.equals(other, check_metadata=True)),
    ((pa.Array, pa.ChunkedArray), lambda value, other: value.type == other.type and value.equals(other)),
    ((float,), _same_float),
    ((complex,), _same_complex),
    ((Decimal,), _same_decimal),
    ((datetime, time), _same_moment),
    ((tzinfo,), _same_zone),
    ((dict,), _same_dict),
    ((set, frozenset), _same_set),
    ((list, tuple, deque), _same_items),
    ((enum.Enum,), lambda value, other: value is other),
    (_AnyStateful, _same_state),
)
