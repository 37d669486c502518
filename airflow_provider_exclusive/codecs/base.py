"""
The interface of a codec, and the registry that chooses one by the value's type.

A codec's name is authenticated with the payload, and a value is decoded only after its payload was authenticated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.codecs.ways_out import way_out_for
from airflow_provider_exclusive.exceptions import CodecError


class Codec(ABC):
    """Encodes values of some types to bytes, and decodes them."""

    name: ClassVar[str]
    """A stable name; it is stored in references, so it never changes."""

    on_request_only: ClassVar[bool] = False
    """Whether it encodes only if a task requests it by name."""

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Return whether this codec handles ``value``'s type; must be cheap and import nothing heavy."""

    @abstractmethod
    def encode(self, value: Any) -> bytes:
        """
        Return the encoded value.

        :raises CodecError: naming the type that cannot be encoded, and an alternative.
        """

    def encode_in_chunks(self, value: Any) -> Sequence[Chunk]:
        """
        Return the encoded value in pieces; joined, they are what :meth:`encode` returns.

        If a value is in memory in its encoded form, return views of that memory, so that nothing is copied.

        :raises CodecError: as :meth:`encode`.
        """
        return [self.encode(value)]

    @abstractmethod
    def decode(self, encoded: Chunk) -> Any:
        """
        Return a value equal to the one that :meth:`encode` was given, of the same type.

        :raises CodecError: if that fails, for example because an optional library is not installed here.
        """

    def accepts_part(self, value: Any) -> bool:
        """Return whether this codec handles ``value`` within an object that it encodes."""
        return self.accepts(value)

    def encode_within(self, value: Any, pack: Callable[[Any], bytes]) -> bytes:  # noqa: ARG002  # for subclasses
        """
        Return the encoded value, for a place inside another value.

        :param pack: encodes the parts of ``value``, which are plain data and may hold values of any codec.
        :raises CodecError: as :meth:`encode`.
        """
        return self.encode(value)

    def decode_within(self, encoded: bytes, unpack: Callable[[bytes], Any]) -> Any:  # noqa: ARG002  # for subclasses
        """
        Return the value that :meth:`encode_within` was given.

        :param unpack: decodes what ``pack`` has encoded.
        :raises CodecError: as :meth:`decode`.
        """
        return self.decode(encoded)

    def parts_of(self, state: Any) -> Iterable[tuple[str, Any]]:
        """Return the parts of what ``pack`` was given, each with its place in the object."""
        return [("", state)]


class CodecRegistry:
    """
    The codecs of a deployment, in order of preference.

    :param codecs: the first one that accepts a value encodes it.
    """

    def __init__(self, codecs: Iterable[Codec]) -> None:
        self._codecs = {codec.name: codec for codec in codecs}

    def encode(self, value: Any, *, codec: str | None = None) -> tuple[str, Sequence[Chunk]]:
        """
        Return the name of the codec that was used, and the encoded value in pieces.

        :param codec: name of the codec that the task requests; None chooses by type.
        :raises CodecError: if no codec accepts the value, or ``codec`` is not available here.
        """
        chosen = self._choose(value) if codec is None else self._named(codec)
        return chosen.name, chosen.encode_in_chunks(value)

    def decode(self, name: str, encoded: Chunk) -> Any:
        """
        Return the value.

        :raises CodecError: if this deployment has no codec ``name``, or decoding fails.
        """
        return self._named(name).decode(encoded)

    def _choose(self, value: Any) -> Codec:
        for codec in self._codecs.values():
            if not codec.on_request_only and codec.accepts(value):
                return codec
        raise CodecError(
            f"No codec accepts a value of type {type(value).__module__}.{type(value).__qualname__}. "
            f"{way_out_for(value)}"
        )

    def _named(self, name: str) -> Codec:
        try:
            return self._codecs[name]
        except KeyError:
            hint = (
                " Set [exclusive] allow_cloudpickle = True in every component that reads or writes it: unpickling "
                "runs code, so a deployment must allow it."
                if name == "cloudpickle"
                else f" Available codecs: {', '.join(sorted(self._codecs))}."
            )
            raise CodecError(f"Codec {name!r} is not available in this deployment.{hint}") from None
