"""The codec of hand-over records: JSON, so that the API server reads them without knowing any other codec."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from airflow_provider_exclusive.access.hand_over import HandOver
from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.exceptions import CodecError


class HandOverCodec(Codec):
    """Carries :class:`~airflow_provider_exclusive.access.hand_over.HandOver` and nothing else."""

    name: ClassVar[str] = "hand-over"

    def accepts(self, value: Any) -> bool:
        """Return whether ``value`` is one."""
        return isinstance(value, HandOver)

    def encode(self, value: Any) -> bytes:
        """Return the encoded value."""
        return json.dumps(value.to_record()).encode()

    def decode(self, encoded: Chunk) -> Any:
        """
        Return what :meth:`HandOver.to_record` made; where it lay says whose it is.

        :raises CodecError: if it is no JSON.
        """
        try:
            return json.loads(bytes(encoded))
        except (ValueError, RecursionError) as malformed:
            raise CodecError("A hand-over record is not JSON; clear the trigger task to write it anew.") from malformed
