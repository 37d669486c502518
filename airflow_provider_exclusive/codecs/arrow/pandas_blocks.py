"""The numbers of decoded columns as one block of memory, as pandas stores columns of one dtype."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any


def block_over(body: memoryview, columns: Sequence[Any]) -> Any:
    """
    Return columns of numbers as one writable array, without a copy.

    :param body: the memory that the columns were read from.
    :param columns: contiguous one-dimensional arrays of equal length.
    :return: a ``numpy.ndarray`` of shape (columns, rows), or None if they are not evenly spaced in ``body``, or are not
        all numbers of one dtype.
    """
    import numpy as np

    first = columns[0] if columns else None
    if body.readonly or not isinstance(first, np.ndarray) or not first.size or first.dtype.hasobject:
        return None
    if any(
        not isinstance(one, np.ndarray) or one.dtype != first.dtype or not one.flags.c_contiguous for one in columns
    ):
        return None
    begin = _address(np.frombuffer(body, np.uint8))
    offsets = [_address(one) - begin for one in columns]
    steps = {after - before for before, after in pairwise(offsets)} or {first.nbytes}
    step = steps.pop()
    if steps or step < first.nbytes or not 0 <= offsets[0] <= offsets[-1] <= len(body) - first.nbytes:
        return None  # a column that was converted is not in body
    shape, strides = (len(columns), first.size), (step, first.itemsize)
    block = np.ndarray(shape, first.dtype, buffer=body, offset=offsets[0], strides=strides)
    return block if block.flags.aligned else None


def _address(array: Any) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
