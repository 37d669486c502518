"""
The codec of plain data: MessagePack with strict types.

A subclass is never flattened into its base: what no rule of :mod:`~airflow_provider_exclusive.codecs.extensions` knows
goes to one of the nested codecs, whole, or is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any, ClassVar, Final

import msgpack

from airflow_provider_exclusive.codecs import extensions
from airflow_provider_exclusive.codecs.base import Codec, Payload
from airflow_provider_exclusive.codecs.refusal import qualified_name, refusal
from airflow_provider_exclusive.exceptions import CodecError

MAX_LEVELS: Final = 400
"""How deep containers may lie in each other: the C code that packs them takes stack for each and does not check it."""

MAX_NESTED_OBJECTS: Final = 32
"""How many of these levels may be tuples, sets and other extension types: reading one takes 40 kB of stack."""

_NATIVE: Final = frozenset({type(None), bool, int, float, str, bytes, list, dict})
_CONTAINERS: Final = frozenset({list, dict})
_LARGE_LEVEL: Final = 100_000
_LEVEL_BUFFER_BYTES: Final = 1024  # a packer allocates its buffer up front; only the outermost one is likely to need it
_MALFORMED: Final = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    RecursionError,
    MemoryError,
    struct.error,
    msgpack.UnpackException,
)

# MessagePack writes these as bytes or as an extension without asking; they would come back as something else.
_MISTAKEN: Final = frozenset({bytearray, memoryview, msgpack.ExtType, msgpack.Timestamp})


class MsgpackCodec(Codec):
    """
    Carries plain data, and values of other codecs inside it.

    :param nested: asked in this order for values that plain data contains and MessagePack does not know.
    """

    name: ClassVar[str] = "msgpack"

    def __init__(self, nested: Iterable[Codec] = ()) -> None:
        self._nested = {codec.name: codec for codec in nested}

    def accepts(self, value: Any) -> bool:
        """Return whether the value's own type is known; what it contains is seen when it is encoded."""
        return type(value) in _NATIVE or extensions.find(value) is not None

    def encode(self, value: Any) -> bytes:
        """
        Return the payload.

        :raises CodecError: naming the type that cannot be carried; also for values that contain themselves.
        """
        try:
            return self._encode(value)
        except RecursionError:
            raise _too_deep() from None
        except (ValueError, OverflowError) as failure:
            raise CodecError(
                f"A value of type {qualified_name(value)} cannot be encoded: {type(failure).__name__}. A single text, "
                "bytes or container in it may hold at most 4 GiB or 4 billion items; split it."
            ) from None

    def decode(self, payload: Payload) -> Any:
        """
        Return the value.

        :raises CodecError: if the payload is not of this codec, or holds what another codec cannot decode here.
        """
        try:
            return _Decoder(self._nested).unpack(payload)
        except _MALFORMED as failure:
            raise CodecError(
                f"A msgpack payload of {len(payload):,} bytes is malformed ({type(failure).__name__}); clear the "
                "producer task to write it anew."
            ) from None

    def _encode(self, value: Any) -> bytes:
        try:
            return _Encoder(self._nested, unicode_errors=None).pack(value)
        except UnicodeEncodeError:  # lone surrogates, as in file names; the usual way is a quarter faster
            return _Encoder(self._nested, unicode_errors="surrogatepass").pack(value)


class _Encoder:
    """One run of encoding: keeps a packer for each level of extension types, and knows how deep it is."""

    def __init__(self, nested: dict[str, Codec], *, unicode_errors: str | None) -> None:
        self._nested = nested
        self._unicode_errors = unicode_errors
        self._packers: list[msgpack.Packer] = []
        self._depth = 0
        self._levels = 0

    def pack(self, value: Any) -> bytes:
        types, levels = _survey(value)
        if self._levels + levels > MAX_LEVELS:
            raise _too_deep()
        packer = self._packer()
        self._depth += 1
        self._levels += levels
        payload: bytes = packer.pack(_unmistakable(value) if types & _MISTAKEN else value)
        self._levels -= levels
        self._depth -= 1
        return payload

    def _packer(self) -> msgpack.Packer:
        if self._depth > MAX_NESTED_OBJECTS:
            raise _too_deep()
        if self._depth == len(self._packers):
            options = {"buf_size": _LEVEL_BUFFER_BYTES} if self._depth else {}
            self._packers.append(
                msgpack.Packer(default=self._extend, strict_types=True, unicode_errors=self._unicode_errors, **options)
            )
        return self._packers[self._depth]

    def _extend(self, value: Any) -> msgpack.ExtType:
        extension = extensions.find(value)
        if extension is not None:
            return msgpack.ExtType(extension.code, extension.pack(value, self.pack))
        for codec in self._nested.values():
            if codec.accepts(value):
                return msgpack.ExtType(extensions.NESTED, codec.name.encode() + b"\0" + codec.encode(value))
        raise refusal(value)


class _Decoder:
    """One run of decoding; nothing it builds is larger than a small multiple of the payload."""

    def __init__(self, nested: dict[str, Codec]) -> None:
        self._nested = nested
        self._depth = 0

    def unpack(self, payload: Payload) -> Any:
        # unpackb takes the length of the payload for the limit of every length that it reads.
        return msgpack.unpackb(payload, ext_hook=self._restore, strict_map_key=False, unicode_errors="surrogatepass")

    def _restore(self, code: int, data: bytes) -> Any:
        if self._depth > MAX_NESTED_OBJECTS:
            raise _too_deep()
        self._depth += 1
        value = self._restore_nested(data) if code == extensions.NESTED else self._restore_extension(code, data)
        self._depth -= 1
        return value

    def _restore_extension(self, code: int, data: bytes) -> Any:
        extension = extensions.BY_CODE.get(code)
        if extension is None:
            raise CodecError(
                f"A msgpack payload holds a value of the unknown kind {code}; read it with a newer release of this "
                "package."
            )
        return extension.unpack(data, self.unpack)

    def _restore_nested(self, data: bytes) -> Any:
        name, _, payload = data.partition(b"\0")
        codec = self._nested.get(name.decode())
        if codec is None:
            raise CodecError(
                "A msgpack payload holds a value of a codec that is not available here; expected one of "
                f"{', '.join(sorted(self._nested)) or 'none'}."
            )
        return codec.decode(payload)


def _survey(value: Any) -> tuple[set[type], int]:
    """
    Return the types of everything in the lists and dicts of ``value``, and how many levels of them there are.

    Level by level, because that leaves the loops to C: asking each item in Python would take longer than packing it. A
    container counts once in a large level, so one that contains itself ends at the limit instead of filling the memory.

    :raises CodecError: at more levels than can be packed.
    """
    found: set[type] = set()
    level: Collection[Any] = (value,)
    levels = 0
    while (types := set(map(type, level))) & _CONTAINERS:
        levels += 1
        if levels > MAX_LEVELS:
            raise _too_deep()
        found |= types
        lists, dicts = (_those_of(kind, level, types) for kind in (list, dict))
        found.update(map(type, chain.from_iterable(dicts)))
        level = [*chain.from_iterable(lists), *chain.from_iterable(map(dict.values, dicts))]
    return found | types, levels


def _those_of(kind: type, items: Collection[Any], types: set[type]) -> Collection[Any]:
    """Return the ``items`` of ``kind``, each once if many are in them; ``types`` are those of all items."""
    if kind not in types:
        return ()
    chosen = items if types == {kind} else [item for item in items if type(item) is kind]
    if sum(map(len, chosen)) <= _LARGE_LEVEL:
        return chosen
    return dict(zip(map(id, chosen), chosen, strict=True)).values()


def _unmistakable(value: Any) -> Any:
    """Return a copy of ``value`` in which every bytearray is marked as one."""
    if type(value) is bytearray:
        return msgpack.ExtType(extensions.BYTEARRAY.code, bytes(value))
    if type(value) is list:
        return [_unmistakable(item) for item in value]
    if type(value) is dict:
        return {_checked(key): _unmistakable(item) for key, item in value.items()}
    return _checked(value)


def _checked(value: Any) -> Any:
    if type(value) in _MISTAKEN:
        raise refusal(value)
    return value


def _too_deep() -> CodecError:
    return CodecError(
        f"A value contains itself, or is nested too deep: at most {MAX_LEVELS} levels, of which "
        f"{MAX_NESTED_OBJECTS} may be tuples, sets and other objects. Flatten it."
    )
