"""
Time zones as text: the kind of object, and what is needed to restore it.

A named zone is never stored as an offset: the same wall clock time next summer must mean the same thing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from airflow_provider_exclusive.codecs.errors import qualified_name, refusal
from airflow_provider_exclusive.codecs.msgpack import library_zones
from airflow_provider_exclusive.exceptions import CodecError

_MICROSECOND: Final = timedelta(microseconds=1)
_LOCAL: Final = ("dateutil.tz.tz.tzlocal", "dateutil.tz.win.tzwinlocal")
_WAY_OUT: Final = (
    "Convert the time with value.astimezone(datetime.UTC), or to a zone of zoneinfo.ZoneInfo; a column of a DataFrame "
    "with .dt.tz_convert('UTC')."
)


def describe(zone: tzinfo | None) -> str:
    """
    Return ``zone`` as text; the empty text means no zone.

    :raises CodecError: if this kind of zone cannot be restored exactly.
    """
    if zone is None:
        return ""
    if zone is UTC:
        return "utc"
    description = _describe_known(zone)
    if description is None:
        raise refusal(zone, _because(zone), way_out=_WAY_OUT)
    return description


def restore(text: str) -> tzinfo | None:
    """
    Return the zone that :func:`describe` was given.

    :raises CodecError: if the zone is unknown or not available here.
    """
    if not text:
        return None
    kind, _, rest = text.partition(":")
    build = _BUILDERS.get(kind)
    if build is None:
        raise CodecError(
            "An encoded value names an unknown kind of time zone. Read it with a newer release of "
            "airflow-provider-exclusive."
        )
    try:
        return build(rest)
    except (LookupError, ValueError, OverflowError, OSError, ImportError) as failure:
        raise CodecError(
            "An encoded value names a time zone that is not available here. Install the tzdata package, or the library "
            "that defines the producer's zone."
        ) from failure


def _describe_known(zone: Any) -> str | None:
    name = qualified_name(zone)
    if type(zone) is ZoneInfo:
        return f"zoneinfo:{zone.key}" if zone.key else None
    if type(zone) is timezone:
        offset, *given_name = zone.__getinitargs__()  # type: ignore[attr-defined]  # what pickle uses; not in typeshed
        return ":".join(["offset", str(offset // _MICROSECOND), *given_name])
    if name == "pendulum.tz.timezone.Timezone":
        return f"pendulum:{zone.name}"
    if name == "pendulum.tz.timezone.FixedTimezone":
        return f"pendulum-offset:{zone.offset}:{zone.name}"
    return library_zones.describe(zone, name)


def _because(zone: tzinfo) -> str:
    if qualified_name(zone) in _LOCAL:
        return "it means the zone of whichever machine reads it"
    return "this kind of time zone is not supported"


def _fixed(text: str) -> tzinfo:
    micros, colon, name = text.partition(":")
    offset = timedelta(microseconds=int(micros))
    return timezone(offset, name) if colon else timezone(offset)


def _pendulum(name: str) -> tzinfo:
    from pendulum import timezone as named_zone
    from pendulum.tz.timezone import Timezone

    zone = named_zone(name)
    return zone if type(zone) is Timezone else Timezone(name)


def _pendulum_fixed(text: str) -> tzinfo:
    from pendulum.tz.timezone import FixedTimezone

    seconds, _, name = text.partition(":")
    return FixedTimezone(int(seconds), name)


_BUILDERS: Final[dict[str, Callable[[str], tzinfo]]] = {
    "utc": lambda _: UTC,
    "zoneinfo": ZoneInfo,
    "offset": _fixed,
    "pendulum": _pendulum,
    "pendulum-offset": _pendulum_fixed,
    **library_zones.BUILDERS,
}
