"""
Time zones of libraries as text: dateutil, pytz, pydantic, bson and psycopg2.

They are found by the name of their class, and a library is imported only to restore a zone of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, tzinfo
from typing import Any, Final

_MICROSECOND: Final = timedelta(microseconds=1)
_SEPARATOR: Final = "|"  # neither names of zones nor abbreviations contain it


def describe(zone: Any, class_name: str) -> str | None:
    """
    Return ``zone`` as text, or None if it is of no such library, or nothing restores it exactly.

    :param class_name: the full name of its class.
    """
    if type(zone).__module__ == "pytz.tzfile":
        _, arguments = zone.__reduce__()
        return _join("pytz", *arguments)
    describer = _DESCRIBERS.get(class_name)
    return describer(zone) if describer is not None else None


def _join(*parts: Any) -> str:
    kind, *rest = map(str, parts)
    return f"{kind}:{_SEPARATOR.join(rest)}"


def _describe_dateutil_offset(zone: Any) -> str:
    micros = zone.utcoffset(None) // _MICROSECOND
    return _join("dateutil-offset", micros, *([] if zone.tzname(None) is None else [zone.tzname(None)]))


def _describe_dateutil_local(zone: Any) -> str | None:
    """
    Describe the zone of this machine only if that is UTC.

    dateutil.parser, and so boto3, gives it to every time that ends with Z on a machine in UTC.
    """
    offsets = (zone._std_offset, zone._dst_offset)  # noqa: SLF001  # utcoffset() depends on the moment
    is_utc = offsets == (timedelta(0), timedelta(0)) and zone.tzname(None) in ("UTC", None)
    return "dateutil-local-utc" if is_utc else None


def _describe_dateutil_file(zone: Any) -> str | None:
    from dateutil import tz

    path = str(zone._filename)  # noqa: SLF001  # its repr shows nothing else
    folders = [f"{folder}/" for folder in tz.tz.TZPATHS if path.startswith(f"{folder}/")]
    name = path.removeprefix(folders[0] if folders else "")
    return f"dateutil:{name}" if not name.startswith("/") and tz.gettz(name) == zone else None


def _describe_dateutil_rule(zone: Any) -> str | None:
    from dateutil import tz

    rule = zone._s  # noqa: SLF001  # likewise
    return f"dateutil-rule:{rule}" if tz.tzstr(rule) == zone else None


def _described_by_arguments(kind: str) -> Callable[[Any], str]:
    def describer(zone: Any) -> str:
        offset, name = zone.__getinitargs__()
        return _join(kind, offset // _MICROSECOND, name)

    return describer


_DESCRIBERS: Final[dict[str, Callable[[Any], str | None]]] = {
    "dateutil.tz.tz.tzutc": lambda _: "dateutil-utc",
    "dateutil.tz.tz.tzlocal": _describe_dateutil_local,
    "dateutil.tz.tz.tzoffset": _describe_dateutil_offset,
    "dateutil.tz.tz.tzfile": _describe_dateutil_file,
    "dateutil.tz.tz.tzstr": _describe_dateutil_rule,
    "pytz.UTC": lambda _: "pytz-utc",
    "pytz._FixedOffset": lambda zone: _join("pytz-offset", zone.utcoffset(None) // timedelta(minutes=1)),
    "pydantic_core._pydantic_core.TzInfo": lambda zone: _join("pydantic", zone.utcoffset(None) // timedelta(seconds=1)),
    "bson.tz_util.FixedOffset": _described_by_arguments("bson"),
    "psycopg2.tz.FixedOffsetTimezone": _described_by_arguments("psycopg2"),
}


def _dateutil_utc(_: str) -> Any:
    from dateutil import tz

    return tz.tzutc()


def _dateutil_local_utc(_: str) -> Any:
    """Return the zone of this machine, or UTC where that is another one: the moment stays the same."""
    from dateutil import tz

    local = tz.tzlocal()
    return tz.tzutc() if _describe_dateutil_local(local) is None else local


def _dateutil_offset(text: str) -> Any:
    from dateutil import tz

    micros, separator, name = text.partition(_SEPARATOR)
    return tz.tzoffset(name if separator else None, timedelta(microseconds=int(micros)))


def _dateutil_file(name: str) -> Any:
    from dateutil import tz

    zone = tz.gettz(name)
    if not isinstance(zone, tz.tzfile):
        raise LookupError
    return zone


def _dateutil_rule(rule: str) -> Any:
    from dateutil import tz

    return tz.tzstr(rule)


def _pytz(text: str) -> Any:
    import pytz

    name, *localized = text.split(_SEPARATOR)
    if not localized:
        return pytz.timezone(name)
    offset, saving, abbreviation = localized
    return pytz.tzinfo.unpickler(name, int(offset), int(saving), abbreviation)


def _pytz_utc(_: str) -> Any:
    import pytz

    return pytz.UTC


def _pytz_offset(minutes: str) -> Any:
    import pytz

    return pytz.FixedOffset(int(minutes))


def _pydantic(seconds: str) -> Any:
    from pydantic_core import TzInfo

    return TzInfo(int(seconds))


def _bson(text: str) -> Any:
    from bson import tz_util

    offset, name = _offset_and_name(text)
    is_utc = (offset, name) == (timedelta(0), "UTC")
    return tz_util.utc if is_utc else tz_util.FixedOffset(offset, name)


def _psycopg2(text: str) -> Any:
    from psycopg2.tz import FixedOffsetTimezone

    offset, name = _offset_and_name(text)
    return FixedOffsetTimezone(offset, None if name == "None" else name)


def _offset_and_name(text: str) -> tuple[timedelta, str]:
    micros, _, name = text.partition(_SEPARATOR)
    return timedelta(microseconds=int(micros)), name


BUILDERS: Final[dict[str, Callable[[str], tzinfo]]] = {
    "dateutil-utc": _dateutil_utc,
    "dateutil-local-utc": _dateutil_local_utc,
    "dateutil-offset": _dateutil_offset,
    "dateutil": _dateutil_file,
    "dateutil-rule": _dateutil_rule,
    "pytz": _pytz,
    "pytz-utc": _pytz_utc,
    "pytz-offset": _pytz_offset,
    "pydantic": _pydantic,
    "bson": _bson,
    "psycopg2": _psycopg2,
}
"""How a zone is restored, by the kind with which its text begins."""
