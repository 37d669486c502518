"""
A Redis backend in the usual published style: JSON in Redis, a reference in the row; no encryption, no scope.

It is kept as fast as its style allows: one client per process, and its address from the environment, not from an
Airflow connection that is looked up on every call, as the published ones do.
"""

from __future__ import annotations

import functools
import json
import os
import uuid
from typing import Any, Final

from airflow.sdk.bases.xcom import BaseXCom
from airflow.utils.json import XComDecoder, XComEncoder

URL_VARIABLE: Final = "PLAIN_REDIS_URL"
_PREFIX: Final = "xcom_redis://"
_LIFE_SECONDS: Final = 7 * 86400


class PlainRedisXComBackend(BaseXCom):
    """A backend that stores every value in Redis."""

    @staticmethod
    def serialize_value(
        value: Any,
        *,
        key: str | None = None,
        task_id: str | None = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        map_index: int | None = None,
    ) -> Any:
        """Store the value and return where it is stored."""
        place = f"{dag_id}:{run_id}:{task_id}:{map_index}:{key}:{uuid.uuid4()}"
        _client().set(place, json.dumps(value, cls=XComEncoder), ex=_LIFE_SECONDS)
        return BaseXCom.serialize_value(_PREFIX + place)

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        """Return the value that is stored where the row says."""
        place = BaseXCom.deserialize_value(result)
        if not isinstance(place, str) or not place.startswith(_PREFIX):
            return place
        return json.loads(_client().get(place.removeprefix(_PREFIX)), cls=XComDecoder)


@functools.cache
def _client() -> Any:
    import redis

    return redis.Redis.from_url(os.environ[URL_VARIABLE])
