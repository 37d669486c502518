"""
Airflow's own serialization as a codec, for classes that define it and for what Airflow itself registers.

It also decodes objects of other classes that earlier releases pushed.

A class is restored only if Airflow allows it (``[core] allowed_deserialization_classes``). Airflow's format loses some
types. Such a value is refused when it is pushed, where the traceback points at the task to fix.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.codecs import class_states
from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.codecs.errors import origin, parts_of, qualified_name, refusal
from airflow_provider_exclusive.exceptions import CodecError

_READABLE_CHARACTERS: Final = 200
_MOMENTS: Final = ("datetime.datetime", "pendulum.datetime.DateTime")
_TABLES: Final = ArrowCodec()
"""Encodes tables, arrays and their scalars exactly, so that two of them can be compared."""


class AirflowClasses:
    """What Airflow says about classes: its options, and what its own serialization is for."""

    def allows(self, name: str) -> bool:
        """Return whether ``[core] allowed_deserialization_classes``, or an operator of the Dag, lists the class."""
        from airflow.sdk import serde

        return bool(serde._match(name)) or name in serde._extra_allowed  # noqa: SLF001  # there is no public way to ask

    def serializes(self, kind: type) -> bool:
        """Return whether ``kind`` defines ``serialize`` and ``deserialize``, or is registered with Airflow."""
        from airflow.sdk import serde

        if hasattr(kind, "__pydantic_fields__") and hasattr(kind, "model_dump"):
            return False  # Airflow would validate it again
        is_registered = f"{kind.__module__}.{kind.__qualname__}" in serde._serializers  # noqa: SLF001  # likewise
        return is_registered or (hasattr(kind, "serialize") and hasattr(kind, "deserialize"))


class SerdeCodec(Codec):
    """The codec of last resort: only an attempt shows whether Airflow can serialize a type."""

    name: ClassVar[str] = "serde"

    def accepts(self, value: Any) -> bool:  # noqa: ARG002  # the interface's parameter; see the docstring of the class
        """Return True; :meth:`encode` refuses what Airflow cannot restore."""
        return True

    def encode(self, value: Any) -> bytes:
        """
        Return Airflow's serialized form as JSON.

        :raises CodecError: if Airflow cannot serialize the type, or would restore something else.
        """
        from airflow.sdk.serde import serialize

        try:
            serialized = serialize(value)
            encoded = json.dumps(serialized, separators=(",", ":")).encode()
        except Exception as failure:  # noqa: BLE001  # a class's own serialize() may raise anything
            if not hasattr(type(value), "serialize"):
                raise refusal(value) from None
            raise refusal(value, f"Airflow's serialization does not accept it ({origin(failure)})") from None
        _refuse_naive(serialized, value)
        if class_states.has_fields(type(value)) or not _keeps_class(serialized, value):
            self._verify(value, encoded)
        return encoded

    def decode(self, encoded: Chunk) -> Any:
        """
        Return the value.

        :raises CodecError: if a class is not allowed here, or restoring it fails.
        """
        from airflow.sdk.serde import deserialize

        try:
            return deserialize(json.loads(bytes(encoded)))
        except ImportError as failure:
            raise CodecError(
                "A value needs a class that this process may not or cannot import: "
                f"{_class_name(encoded)}. List it in [core] allowed_deserialization_classes and make its module "
                "importable here. Move a class that is defined in a Dag file (unusual_prefix_…) to a module."
            ) from failure
        except Exception as failure:  # noqa: BLE001  # restoring any class may raise anything
            raise CodecError(
                f"Airflow's serialization cannot restore a value of {_class_name(encoded)}: {origin(failure)}. "
                "Producer and consumer need the same version of the class."
            ) from None

    def _verify(self, value: Any, encoded: bytes) -> None:
        place = _first_difference(value, self.decode(encoded), "the value")
        if place is not None:
            raise refusal(value, f"Airflow's serialization would not restore {place} exactly")


def _refuse_naive(serialized: Any, value: Any) -> None:
    """Refuse what Airflow stores as seconds since 1970 by the clock of this worker."""
    if isinstance(serialized, list):
        for item in serialized:
            _refuse_naive(item, value)
    elif isinstance(serialized, dict):
        content = serialized.get("__data__")
        if serialized.get("__classname__") in _MOMENTS and isinstance(content, dict) and not content.get("tz"):
            raise CodecError(
                f"A value of type {qualified_name(value)} cannot be encoded: its serialize() returns a datetime "
                "without a time zone, and Airflow would restore another hour on a worker in another time zone. Give "
                "it a zone, as in value.astimezone(datetime.UTC), or return value.isoformat() from serialize()."
            )
        for item in serialized.values():
            _refuse_naive(item, value)


def _keeps_class(serialized: Any, value: Any) -> bool:
    return isinstance(serialized, dict) and serialized.get("__classname__") == qualified_name(value)


def _first_difference(value: Any, restored: Any, place: str) -> str | None:
    if type(restored) is not type(value):
        return f"{place} ({qualified_name(value)}, would arrive as {qualified_name(restored)})"
    parts = list(_parts(value))
    if not parts:
        return None if _is_equal(value, restored) else place
    others = dict(_parts(restored))
    if len(parts) != len(others):
        return place
    for name, part in parts:
        if name not in others:
            return place
        difference = _first_difference(part, others[name], f"{place}{name}")
        if difference is not None:
            return difference
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of ``value``, each with its place."""
    if isinstance(value, (dict, list, tuple)):
        yield from parts_of(value)
    if class_states.has_fields(type(value)):
        state = value.__reduce_ex__(2)[2]  # fields, private attributes, extras and whatever else an object holds
        kind: type = type(value)
        declared = class_states.declared_fields(kind)
        yield from ((f".{name}", part) for name, part in class_states.parts_of_state(state, declared))
        if isinstance(state, dict) and "__pydantic_fields_set__" in state:
            yield ".model_fields_set", state["__pydantic_fields_set__"]


def _is_equal(value: Any, restored: Any) -> bool:
    if getattr(type(value), "__eq__", None) is object.__eq__:
        return True  # equal only to itself; its class has its own serialization
    try:
        return _is_exactly(value, restored) or bool(value != value and restored != restored)  # noqa: PLR0124
    except Exception:  # noqa: BLE001  # if values cannot be compared, equality is not certain
        return False


def _is_exactly(value: Any, restored: Any) -> bool:
    """Return whether a part was restored exactly, also where equality alone does not show it."""
    if isinstance(value, (set, frozenset)):
        return bool(value == restored) and Counter(map(type, value)) == Counter(map(type, restored))
    if isinstance(value, Decimal):
        return bool(value.as_tuple() == restored.as_tuple())
    if isinstance(value, datetime):
        # Airflow restores the zone by name, but as pendulum's class. Not the fold: pendulum sets it on everything.
        return (value, value.utcoffset()) == (restored, restored.utcoffset())
    if _TABLES.accepts(value):
        return _TABLES.encode(value) == _TABLES.encode(restored)
    return bool(value == restored)


def _class_name(encoded: Chunk) -> str:
    try:
        serialized = json.loads(bytes(encoded))
    except (ValueError, RecursionError):
        return "unknown type"
    named = serialized.get("__classname__") if isinstance(serialized, dict) else None
    return repr(named)[:_READABLE_CHARACTERS] if isinstance(named, str) else "plain data"
