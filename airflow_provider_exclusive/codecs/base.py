"""
The contract of a codec, and the registry that chooses one by the value's type.

A codec's name is authenticated with the payload, and a value is decoded only after its payload was authenticated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.exceptions import CodecError


class Codec(ABC):
    """Turns values of some types into bytes and back."""

    name: ClassVar[str]
    """A stable word; it goes into references, so it never changes."""

    on_request_only: ClassVar[bool] = False
    """Whether it is used for encoding only where a task names it."""

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Return whether this codec is the one for ``value``'s type; must be cheap and import nothing heavy."""

    @abstractmethod
    def encode(self, value: Any) -> bytes:
        """
        Return the encoded value.

        :raises CodecError: naming the type that it cannot carry and the way out.
        """

    def encode_in_chunks(self, value: Any) -> Sequence[Chunk]:
        """
        Return the encoded value in pieces, which joined are what :meth:`encode` returns.

        A codec whose values lie in memory as they travel returns where they lie, so that nothing is copied.

        :raises CodecError: as :meth:`encode`.
        """
        return [self.encode(value)]

    @abstractmethod
    def decode(self, encoded: Chunk) -> Any:
        """
        Return the value that :meth:`encode` was given, equal and of the same type.

        :raises CodecError: if it cannot, for example because an optional library is missing here.
        """


class CodecRegistry:
    """
    The codecs of a deployment, in order of preference.

    :param codecs: the first that accepts a value encodes it.
    """

    def __init__(self, codecs: Iterable[Codec]) -> None:
        self._codecs = {codec.name: codec for codec in codecs}

    def encode(self, value: Any, *, codec: str | None = None) -> tuple[str, Sequence[Chunk]]:
        """
        Return the name of the codec used, and the encoded value in pieces.

        :param codec: the name of the codec that the task asks for; None chooses by type.
        :raises CodecError: if no codec takes the value or ``codec`` is not allowed here.
        """
        chosen = self._choose(value) if codec is None else self._named(codec)
        return chosen.name, chosen.encode_in_chunks(value)

    def decode(self, name: str, encoded: Chunk) -> Any:
        """
        Return the value.

        :raises CodecError: if this deployment has no codec ``name`` or it fails.
        """
        return self._named(name).decode(encoded)

    def _choose(self, value: Any) -> Codec:
        for codec in self._codecs.values():
            if not codec.on_request_only and codec.accepts(value):
                return codec
        raise CodecError(
            f"No codec takes a value of type {type(value).__module__}.{type(value).__qualname__}. Return plain data, "
            "a dataclass, a DataFrame or an array; or, where [exclusive] allow_cloudpickle is on, ask for it with "
            "codec='cloudpickle'."
        )

    def _named(self, name: str) -> Codec:
        try:
            return self._codecs[name]
        except KeyError:
            hint = (
                " Set [exclusive] allow_cloudpickle = True in every component that reads or writes it: unpickling "
                "runs code, so a deployment must agree to it."
                if name == "cloudpickle"
                else f" Known here: {', '.join(sorted(self._codecs))}."
            )
            raise CodecError(f"Codec {name!r} is not available in this deployment.{hint}") from None
