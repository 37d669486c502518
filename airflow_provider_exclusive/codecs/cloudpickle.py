"""
The codec of everything else, for tasks that request it in deployments that allow it.

Unpickling runs code. A value is decoded only after its payload was authenticated, so the code is the producer's.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.codecs.errors import origin, qualified_name
from airflow_provider_exclusive.exceptions import CodecError


class CloudpickleCodec(Codec):
    """Encodes what cloudpickle can pickle; registered only if ``allow_cloudpickle`` is on."""

    name: ClassVar[str] = "cloudpickle"
    on_request_only: ClassVar[bool] = True

    def accepts(self, value: Any) -> bool:  # noqa: ARG002  # the interface's parameter; encode() finds out what fails
        """Return True, because a task has requested this codec."""
        return True

    def encode(self, value: Any) -> bytes:
        """
        Return the pickled value.

        :raises CodecError: if the value, or something in it, cannot be pickled.
        """
        import cloudpickle

        try:
            encoded: bytes = cloudpickle.dumps(value)
        except Exception as failure:  # noqa: BLE001  # __reduce__ of any class may raise anything
            raise CodecError(
                f"A value of type {qualified_name(value)} cannot be pickled: {origin(failure)}. Open connections, "
                "locks and generators cannot be pickled; return the data in them."
            ) from None
        return encoded

    def decode(self, encoded: Chunk) -> Any:
        """
        Return the value; this runs code of the producer.

        :raises CodecError: if the value cannot be unpickled here.
        """
        import cloudpickle

        try:
            return cloudpickle.loads(encoded)
        except ModuleNotFoundError as failure:
            raise CodecError(
                f"A pickled value needs the module {failure.name!r}, which is not installed here. Install the "
                "same packages for producer and consumer."
            ) from None
        except Exception as failure:  # noqa: BLE001  # unpickling any object may raise anything
            raise CodecError(
                f"A pickled value cannot be unpickled here: {origin(failure)}. Producer and consumer need the same "
                "Python version and the same versions of the packages that the value needs."
            ) from None
