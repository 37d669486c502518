"""
The codec of everything else, for deployments and tasks that both ask for it.

Unpickling runs code. A payload reaches this codec only after it was authenticated, so the code is the producer's.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.codecs.errors import origin, qualified_name
from airflow_provider_exclusive.exceptions import CodecError


class CloudpickleCodec(Codec):
    """Carries what cloudpickle carries; a deployment registers it only where ``allow_cloudpickle`` is on."""

    name: ClassVar[str] = "cloudpickle"
    on_request_only: ClassVar[bool] = True

    def accepts(self, value: Any) -> bool:  # noqa: ARG002  # the contract's parameter; what cannot be pickled shows later
        """Return True: whoever asks for this codec means it."""
        return True

    def encode(self, value: Any) -> bytes:
        """
        Return the pickle.

        :raises CodecError: if the value, or something in it, cannot be pickled.
        """
        import cloudpickle

        try:
            encoded: bytes = cloudpickle.dumps(value)
        except Exception as failure:  # noqa: BLE001  # __reduce__ of any class may raise anything
            raise CodecError(
                f"A value of type {qualified_name(value)} cannot be pickled: {origin(failure)}. Open connections, "
                "locks and generators cannot travel; return the data in them."
            ) from None
        return encoded

    def decode(self, encoded: Chunk) -> Any:
        """
        Return the value; runs code of the producer.

        :raises CodecError: if it cannot be built here.
        """
        import cloudpickle

        try:
            return cloudpickle.loads(encoded)
        except ModuleNotFoundError as failure:
            raise CodecError(
                f"A pickled value needs the module {failure.name!r}, which is not installed here; producer and "
                "consumer need the same packages."
            ) from None
        except Exception as failure:  # noqa: BLE001  # building any object may raise anything
            raise CodecError(
                f"A pickled value cannot be built here: {origin(failure)}. Producer and consumer need the same "
                "Python version and the same versions of the packages it comes from."
            ) from None
