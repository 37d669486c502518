"""
NumPy arrays and scalars in NumPy's own array format: a header with type, shape and order, followed by the numbers.

It needs no pyarrow, supports every type that contains no Python objects, and its numbers can be used without a copy.
"""

from __future__ import annotations

import functools
import io
import math
import sys
from typing import Any, Final

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.codecs.errors import refusal
from airflow_provider_exclusive.exceptions import CodecError

# Version 2.0 of the format: magic and version, the length of the header in four bytes, the header.
_HEADER_LENGTH_AT: Final = 8
_HEADER_AT: Final = 12
_PLAIN_KINDS: Final = "biufcmMSU"


def encode_array(array: Any, _: Codec) -> list[Chunk]:
    """
    Return header and numbers.

    :param array: a ``numpy.ndarray``.
    :raises CodecError: if it holds Python objects, or its type is not preserved by NumPy's format.
    """
    from numpy.lib import format as npy

    if array.dtype.hasobject:
        raise refusal(array, "it holds Python objects, which are not numbers; return array.tolist()")
    if npy.descr_to_dtype(npy.dtype_to_descr(array.dtype)) != array.dtype:
        raise refusal(array, f"NumPy's array format does not preserve the dtype {array.dtype.name}; convert the array")
    header = io.BytesIO()
    description = npy.header_data_from_array_1_0(array)
    npy.write_array_header_2_0(header, description)
    return [header.getvalue(), _numbers(array.T if description["fortran_order"] else array)]


def decode_array(body: memoryview, _: Codec) -> Any:
    """Return the array, writable like every array that a task makes, and over the memory of ``body`` if possible."""
    import numpy as np
    from numpy.lib import format as npy

    # Only the header: BytesIO would copy the numbers.
    stream = io.BytesIO(body[: _HEADER_AT + int.from_bytes(body[_HEADER_LENGTH_AT:_HEADER_AT], "little")])
    if npy.read_magic(stream) != (2, 0):
        raise CodecError("An encoded array has an unexpected version of NumPy's format; expected 2.0.")
    shape, is_fortran, dtype = npy.read_array_header_2_0(stream)
    numbers = body[stream.tell() :]
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(numbers):
        raise CodecError("An encoded array does not have the size that its header states.")
    array = np.ndarray(shape, dtype, buffer=numbers, order="F" if is_fortran else "C")
    return array if array.flags.writeable and array.flags.aligned else array.copy("A")


def encode_objects(array: Any, plain: Codec) -> list[Chunk]:
    """
    Return shape, order and items of an array of Python objects, which is a cell of a table.

    :raises CodecError: naming an item that cannot be encoded.
    """
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return [plain.encode([list(array.shape), order, array.ravel(order).tolist()])]


def decode_objects(body: memoryview, plain: Codec) -> Any:
    """
    Return the array.

    :raises CodecError: if the shape does not fit the items.
    """
    import numpy as np

    shape, order, items = plain.decode(body)
    if math.prod(shape) != len(items):
        raise CodecError("An encoded array does not have the size that its header states.")
    return objects_from(items, np).reshape(shape, order=order)


def objects_from(items: list[Any], np: Any) -> Any:
    """Return a one-dimensional array of ``items``; NumPy inspects none of them."""
    array = np.empty(len(items), dtype=object)
    for position, item in enumerate(items):
        array[position] = item
    return array


def encode_scalar(scalar: Any, _: Codec) -> list[bytes]:
    """
    Return type and value of a NumPy scalar.

    :raises CodecError: if its type is not a plain one.
    """
    described = scalar.dtype.str
    raw = scalar.tobytes()[: scalar.dtype.itemsize]  # an empty text has four bytes here, but none by its type
    if type(scalar) is not _type_of(described):
        raise refusal(scalar, "only plain NumPy scalars are supported; return scalar.item(), or a structured array")
    return [described.encode(), b"\0", raw]


def decode_scalar(body: memoryview, _: Codec) -> Any:
    """Return the scalar."""
    import numpy as np

    described, _separator, value = bytes(body).partition(b"\0")
    dtype = np.dtype(described.decode())
    if dtype.kind not in _PLAIN_KINDS or dtype.itemsize != len(value):
        raise CodecError("An encoded NumPy scalar does not have the size that its type states.")
    if dtype.kind == "S":
        return np.bytes_(value)
    if dtype.kind == "U":
        return np.str_(value.decode("utf-32-le" if sys.byteorder == "little" else "utf-32-be", "surrogatepass"))
    return np.ndarray((), dtype, buffer=value)[()]


def _numbers(array: Any) -> Chunk:
    if not array.flags.c_contiguous or not array.nbytes:
        return bytes(array.tobytes())
    return memoryview(array.reshape(-1).view("u1"))


@functools.lru_cache(maxsize=64)
def _type_of(described: str) -> type | None:
    # Some types, such as longlong, share their description with another type and would come back as that.
    import numpy as np

    dtype = np.dtype(described)
    return dtype.type if dtype.kind in _PLAIN_KINDS else None
