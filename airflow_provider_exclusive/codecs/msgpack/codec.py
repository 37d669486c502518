"""
The codec of plain data: MessagePack with strict types.

A subclass is never reduced to its base class. A value that has no entry in
:mod:`~airflow_provider_exclusive.codecs.msgpack.extensions` is encoded whole by a nested codec, or refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final

import msgpack

from airflow_provider_exclusive.buffers import Chunk, fresh_memory
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.codecs.errors import origin, qualified_name, refusal
from airflow_provider_exclusive.codecs.msgpack import extensions
from airflow_provider_exclusive.codecs.msgpack.nesting import (
    MAX_LEVELS,
    MAX_NESTED_OBJECTS,
    TooDeepError,
    measure_nesting,
    too_deep,
)
from airflow_provider_exclusive.codecs.msgpack.places import Places
from airflow_provider_exclusive.exceptions import CodecError

_NATIVE: Final = frozenset({type(None), bool, int, float, str, bytes, list, dict})
_LONGEST_FORM: Final[dict[type, bytes]] = {str: b"\xdb", bytes: b"\xc6"}  # str 32 and bin 32 of the specification
_LARGE_TEXT: Final = 1 << 18  # characters encoded at a time; small enough to stay in the processor's cache
_LEVEL_BUFFER_BYTES: Final = 1024  # a packer allocates its buffer up front; only the outermost one is likely to need it
_MALFORMED: Final = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    RecursionError,
    MemoryError,
    re.error,
    struct.error,
    msgpack.UnpackException,
)

# MessagePack would write these as bytes or as an extension, and they would come back as something else.
_MISTAKEN: Final = frozenset({bytearray, memoryview, msgpack.ExtType, msgpack.Timestamp})


class MsgpackCodec(Codec):
    """
    Encodes plain data, and values of other codecs inside it.

    :param nested: codecs that are tried, in this order, for values inside plain data that MessagePack does not know.
    """

    name: ClassVar[str] = "msgpack"

    def __init__(self, nested: Iterable[Codec] = ()) -> None:
        self._nested = {codec.name: codec for codec in nested}

    def accepts(self, value: Any) -> bool:
        """Return whether the value's own type is supported; its contents are checked when it is encoded."""
        return type(value) in _NATIVE or extensions.find(value) is not None

    def encode(self, value: Any) -> bytes:
        """Return the encoded value; see :meth:`encode_in_chunks`."""
        return b"".join(self.encode_in_chunks(value))

    def encode_in_chunks(self, value: Any) -> Sequence[Chunk]:
        """
        Return the encoded value: a view of the packer's memory, or a header and the value itself.

        :raises CodecError: naming the type that cannot be encoded; also for values that contain themselves.
        """
        try:
            return _without_packer(value) or [self._encode(value)]
        except CodecError:
            raise
        except RecursionError:
            raise too_deep() from None
        except (ValueError, OverflowError) as failure:
            raise CodecError(
                f"A value of type {qualified_name(value)} cannot be encoded: {type(failure).__name__}. A single text "
                "or bytes in it may hold at most 4 GiB, a single container at most 4 billion items; split it."
            ) from None
        except Exception as failure:  # noqa: BLE001  # methods of any class may raise anything
            raise refusal(value, f"a part of it raises an error ({origin(failure)})") from None

    def decode(self, encoded: Chunk) -> Any:
        """
        Return the value.

        :raises CodecError: if the encoded value is not of this codec, or holds what another codec cannot decode here.
        """
        try:
            return _Decoder(self._nested).unpack(encoded)
        except ImportError as failure:
            raise CodecError(
                f"A value needs the module {failure.name!r}, which cannot be imported here. Install the same packages "
                "for producer and consumer."
            ) from None
        except _MALFORMED as failure:
            raise CodecError(
                f"An encoded msgpack value of {len(encoded):,} bytes is invalid ({type(failure).__name__}). Clear and "
                "re-run the producer task."
            ) from None
        except CodecError:
            raise
        except Exception as failure:  # noqa: BLE001  # __hash__ and __eq__ of any class may raise anything
            raise CodecError(
                f"An encoded value cannot be rebuilt here: {origin(failure)}. Use the same version of its classes in "
                "producer and consumer, or clear and re-run the producer task."
            ) from None

    def _encode(self, value: Any) -> Chunk:
        try:
            return _Encoder(self._nested, unicode_errors=None).pack_outermost(value)
        except UnicodeEncodeError:  # lone surrogates, as in file names; the default is a quarter faster
            return _Encoder(self._nested, unicode_errors="surrogatepass").pack_outermost(value)


class _Encoder:
    """One run of encoding: keeps a packer for each level of extension types, and counts how deep it is."""

    def __init__(self, nested: dict[str, Codec], *, unicode_errors: str | None) -> None:
        self._nested = nested
        self._unicode_errors = unicode_errors
        self._packers: list[msgpack.Packer] = []
        self._places = Places()
        self._depth = 0
        self._levels = 0

    def pack_outermost(self, value: Any) -> Chunk:
        """Return a view of the packer's memory."""
        self._places.enter(value, [("the value", value)])
        try:
            self._pack(value)
            view: memoryview = self._packers[0].getbuffer()
            return view
        finally:
            self._packers.clear()  # they refer to this object, and its memory must not wait for the garbage collector

    def _pack(self, value: Any) -> Any:
        """Return the packed value if it is within an extension type."""
        types, levels = measure_nesting(value)
        if self._levels + levels > MAX_LEVELS:
            raise too_deep()
        packer = self._packer()
        self._depth += 1
        self._levels += levels
        encoded = packer.pack(self._unmistakable(value) if types & _MISTAKEN else value)
        self._levels -= levels
        self._depth -= 1
        return encoded

    def _unmistakable(self, value: Any) -> Any:
        """Return a copy of ``value`` in which every bytearray is marked as one."""
        if type(value) is bytearray:
            return msgpack.ExtType(extensions.BYTEARRAY.code, bytes(value))
        if type(value) is list:
            return [self._unmistakable(item) for item in value]
        if type(value) is dict:
            return {self._checked(key): self._unmistakable(item) for key, item in value.items()}
        return self._checked(value)

    def _checked(self, value: Any) -> Any:
        if type(value) in _MISTAKEN:
            raise self._places.named(refusal(value), value)
        return value

    def _packer(self) -> msgpack.Packer:
        if self._depth > MAX_NESTED_OBJECTS:
            raise too_deep()
        if self._depth == len(self._packers):
            options = {"buf_size": _LEVEL_BUFFER_BYTES} if self._depth else {"autoreset": False}
            self._packers.append(
                msgpack.Packer(default=self._extend, strict_types=True, unicode_errors=self._unicode_errors, **options)
            )
        return self._packers[self._depth]

    def _extend(self, value: Any) -> msgpack.ExtType:
        extension = extensions.find(value)
        try:
            if extension is not None:
                return msgpack.ExtType(extension.code, extension.pack(value, self._pack))
            return msgpack.ExtType(extensions.NESTED, self._encode_nested(value))
        except TooDeepError:
            raise
        except CodecError as refused:
            raise self._places.named(refused, value) from refused.__cause__

    def _encode_nested(self, value: Any) -> bytes:
        for codec in self._nested.values():
            if codec.accepts_part(value) if self._places.are_in_object else codec.accepts(value):
                return codec.name.encode() + b"\0" + codec.encode_within(value, self._packer_of_parts(value, codec))
        raise refusal(value)

    def _packer_of_parts(self, value: Any, codec: Codec) -> Callable[[Any], bytes]:
        def pack(state: Any) -> bytes:
            self._places.enter(value, codec.parts_of(state))
            encoded: bytes = self._pack(state)
            self._places.leave()
            return encoded

        return pack


class _Decoder:
    """One run of decoding; nothing that it builds is larger than a small multiple of the encoded value."""

    def __init__(self, nested: dict[str, Codec]) -> None:
        self._nested = nested
        self._depth = 0

    def unpack(self, encoded: Chunk) -> Any:
        # unpackb uses the length of the encoded value as the limit of every length that it reads.
        return msgpack.unpackb(encoded, ext_hook=self._restore, strict_map_key=False, unicode_errors="surrogatepass")

    def _restore(self, code: int, data: bytes) -> Any:
        if self._depth > MAX_NESTED_OBJECTS:
            raise too_deep()
        self._depth += 1
        value = self._restore_nested(data) if code == extensions.NESTED else self._restore_extension(code, data)
        self._depth -= 1
        return value

    def _restore_extension(self, code: int, data: bytes) -> Any:
        extension = extensions.BY_CODE.get(code)
        if extension is None:
            raise CodecError(
                f"An encoded msgpack value contains a value of the unknown type {code}. Read it with a newer release "
                "of airflow-provider-exclusive."
            )
        return extension.unpack(data, self.unpack)

    def _restore_nested(self, data: bytes) -> Any:
        name, _, encoded = data.partition(b"\0")
        codec = self._nested.get(name.decode())
        if codec is None:
            raise CodecError(
                "An encoded msgpack value contains a value of a codec that is not available here; expected one of "
                f"{', '.join(sorted(self._nested)) or 'none'}."
            )
        return codec.decode_within(encoded, self.unpack)


def _without_packer(value: Any) -> list[Chunk] | None:
    """Return a large text or large bytes, encoded; a packer would copy it, and again whenever its buffer grows."""
    kind = type(value)
    if kind not in _LONGEST_FORM or not _LARGE_TEXT <= len(value) < 1 << 32 or (kind is str and not value.isascii()):
        return None
    header = _LONGEST_FORM[kind] + len(value).to_bytes(4, "big")
    return [header, value if kind is bytes else _in_memory(value)]


def _in_memory(text: str) -> memoryview:
    memory = memoryview(fresh_memory(len(text)))
    for begin in range(0, len(text), _LARGE_TEXT):
        part = text[begin : begin + _LARGE_TEXT].encode("ascii")
        memory[begin : begin + len(part)] = part
    return memory
