"""
The types that MessagePack does not know, each with its own number.

Numbers and layouts are part of the encoded format: a number is never reused, and a layout is never changed. Decoding
imports nothing that the encoded value names.
"""

from __future__ import annotations

import importlib
import re
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import PosixPath, PurePosixPath
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from airflow_provider_exclusive.codecs.errors import qualified_name, refusal
from airflow_provider_exclusive.codecs.msgpack import time_zones

Pack = Callable[[Any], bytes]
Unpack = Callable[[bytes], Any]

NESTED: Final = 100  # a value of another codec: the codec's name, a zero byte, the encoded value

_COMPLEX: Final = struct.Struct(">dd")
_DATE: Final = struct.Struct(">HBB")
_TIME: Final = struct.Struct(">BBBIB")
_DURATION: Final = struct.Struct(">iII")
_FACTORIES: Final[dict[str, type | None]] = {
    "": None,
    **{kind.__name__: kind for kind in (bool, bytes, dict, float, int, list, set, str, tuple)},
}


@dataclass(frozen=True, slots=True)
class Extension:
    """
    How one type is encoded.

    :param code: its number, 0 to 127.
    :param pack: encodes a value; is given a function that packs its contents.
    :param unpack: decodes it; is given a function that unpacks its contents.
    """

    code: int
    pack: Callable[[Any, Pack], bytes]
    unpack: Callable[[bytes, Unpack], Any]


def find(value: Any) -> Extension | None:
    """Return the extension for the exact type of ``value``, or None."""
    return _BY_TYPE.get(type(value)) or _BY_NAME.get(qualified_name(value)) or _zone_of(value)


def _zone_of(value: Any) -> Extension | None:
    return _ZONE if issubclass(type(value), tzinfo) else None


def _sequence(kind: Callable[[list[Any]], Any]) -> tuple[Callable[[Any, Pack], bytes], Callable[[bytes, Unpack], Any]]:
    return (lambda value, pack: pack(list(value))), (lambda data, unpack: kind(unpack(data)))


def _text(kind: Callable[[str], Any]) -> tuple[Callable[[Any, Pack], bytes], Callable[[bytes, Unpack], Any]]:
    return (
        lambda value, _: str(value).encode("utf-8", "surrogatepass"),
        lambda data, _: kind(data.decode("utf-8", "surrogatepass")),
    )


def _pack_integer(value: int, _: Pack) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _pack_defaultdict(value: defaultdict[Any, Any], pack: Pack) -> bytes:
    for name, factory in _FACTORIES.items():
        if value.default_factory is factory:
            return pack([name, dict(value)])
    raise refusal(value, "its default_factory is not a supported built-in type")


def _unpack_defaultdict(data: bytes, unpack: Unpack) -> defaultdict[Any, Any]:
    name, items = unpack(data)
    return defaultdict(_FACTORIES[name], items)


def _unpack_deque(data: bytes, unpack: Unpack) -> deque[Any]:
    maxlen, items = unpack(data)
    return deque(items, maxlen)


def _unpack_counter(data: bytes, unpack: Unpack) -> Counter[Any]:
    counter: Counter[Any] = Counter()
    dict.update(counter, unpack(data))  # Counter(...) would count the keys of anything but a mapping
    return counter


def _pack_date(value: date, _: Pack) -> bytes:
    return _DATE.pack(value.year, value.month, value.day)


def _pack_time(value: time, _: Pack) -> bytes:
    return _clock(value) + time_zones.describe(value.tzinfo).encode()


def _pack_datetime(value: datetime, _: Pack) -> bytes:
    return _pack_date(value, _) + _clock(value) + time_zones.describe(value.tzinfo).encode()


def _clock(value: time | datetime) -> bytes:
    return _TIME.pack(value.hour, value.minute, value.second, value.microsecond, value.fold)


def _unpack_time(kind: type[time], data: bytes) -> time:
    hour, minute, second, microsecond, fold = _TIME.unpack_from(data)
    zone = time_zones.restore(data[_TIME.size :].decode())
    return kind(hour, minute, second, microsecond, zone, fold=fold)


def _unpack_datetime(kind: type[datetime], data: bytes) -> datetime:
    year, month, day = _DATE.unpack_from(data)
    hour, minute, second, microsecond, fold = _TIME.unpack_from(data, _DATE.size)
    zone = time_zones.restore(data[_DATE.size + _TIME.size :].decode())
    return kind(year, month, day, hour, minute, second, microsecond, zone, fold=fold)


def _pack_timedelta(value: timedelta, _: Pack) -> bytes:
    return _DURATION.pack(value.days, value.seconds, value.microseconds)


def _unpack_timedelta(data: bytes, _: Unpack) -> timedelta:
    return timedelta(*_DURATION.unpack(data))


def _pack_duration(value: Any, pack: Pack) -> bytes:
    # Years and months are stored apart from the days that they are counted as.
    length: timedelta = value.as_timedelta()
    days = length.days - value.years * 365 - value.months * 30
    return pack([value.years, value.months, days, length.seconds, length.microseconds])


def _unpack_duration(data: bytes, unpack: Unpack) -> Any:
    from pendulum import Duration

    years, months, days, seconds, microseconds = unpack(data)
    return Duration(years=years, months=months, days=days, seconds=seconds, microseconds=microseconds)


def _unpack_pendulum_date(data: bytes, _: Unpack) -> Any:
    from pendulum import Date

    return Date(*_DATE.unpack(data))


def _unpack_pendulum_time(data: bytes, _: Unpack) -> Any:
    from pendulum import Time

    return _unpack_time(Time, data)


def _unpack_pendulum_datetime(data: bytes, _: Unpack) -> Any:
    from pendulum import DateTime

    return _unpack_datetime(DateTime, data)


def _of_module(module: str, name: str) -> tuple[Callable[[Any, Pack], bytes], Callable[[bytes, Unpack], Any]]:
    """Encode a value as its text, and import its type when it is decoded."""

    def restore(text: str) -> Any:
        return getattr(importlib.import_module(module), name)(text)

    return _text(restore)


def _unpack_pattern(data: bytes, unpack: Unpack) -> re.Pattern[Any]:
    return re.compile(*unpack(data))


_ZONE: Final = Extension(
    17, lambda value, _: time_zones.describe(value).encode(), lambda data, _: time_zones.restore(data.decode())
)

BYTEARRAY: Final = Extension(4, lambda value, _: bytes(value), lambda data, _: bytearray(data))

_BY_TYPE: Final[dict[type, Extension]] = {
    tuple: Extension(1, *_sequence(tuple)),
    set: Extension(2, *_sequence(set)),
    frozenset: Extension(3, *_sequence(frozenset)),
    bytearray: BYTEARRAY,
    int: Extension(5, _pack_integer, lambda data, _: int.from_bytes(data, "big", signed=True)),
    complex: Extension(
        6, lambda value, _: _COMPLEX.pack(value.real, value.imag), lambda data, _: complex(*_COMPLEX.unpack(data))
    ),
    Decimal: Extension(7, *_text(Decimal)),
    UUID: Extension(8, lambda value, _: value.bytes, lambda data, _: UUID(bytes=data)),
    date: Extension(9, _pack_date, lambda data, _: date(*_DATE.unpack(data))),
    time: Extension(10, _pack_time, lambda data, _: _unpack_time(time, data)),
    datetime: Extension(11, _pack_datetime, lambda data, _: _unpack_datetime(datetime, data)),
    timedelta: Extension(12, _pack_timedelta, _unpack_timedelta),
    timezone: _ZONE,
    ZoneInfo: _ZONE,
    OrderedDict: Extension(18, lambda value, pack: pack(dict(value)), lambda data, unpack: OrderedDict(unpack(data))),
    defaultdict: Extension(19, _pack_defaultdict, _unpack_defaultdict),
    Counter: Extension(20, lambda value, pack: pack(dict(value)), _unpack_counter),
    deque: Extension(21, lambda value, pack: pack([value.maxlen, list(value)]), _unpack_deque),
    range: Extension(
        22,
        lambda value, pack: pack([value.start, value.stop, value.step]),
        lambda data, unpack: range(*unpack(data)),
    ),
    PosixPath: Extension(23, *_text(PosixPath)),
    PurePosixPath: Extension(24, *_text(PurePosixPath)),
}

# By name, so that pendulum need not be loaded to see that a value is not one of its types.
_BY_NAME: Final[dict[str, Extension]] = {
    "pendulum.datetime.DateTime": Extension(13, _pack_datetime, _unpack_pendulum_datetime),
    "pendulum.date.Date": Extension(14, _pack_date, _unpack_pendulum_date),
    "pendulum.time.Time": Extension(15, _pack_time, _unpack_pendulum_time),
    "pendulum.duration.Duration": Extension(16, _pack_duration, _unpack_duration),
    "ipaddress.IPv4Address": Extension(25, *_of_module("ipaddress", "IPv4Address")),
    "ipaddress.IPv6Address": Extension(26, *_of_module("ipaddress", "IPv6Address")),
    "ipaddress.IPv4Network": Extension(27, *_of_module("ipaddress", "IPv4Network")),
    "ipaddress.IPv6Network": Extension(28, *_of_module("ipaddress", "IPv6Network")),
    "ipaddress.IPv4Interface": Extension(29, *_of_module("ipaddress", "IPv4Interface")),
    "ipaddress.IPv6Interface": Extension(30, *_of_module("ipaddress", "IPv6Interface")),
    "fractions.Fraction": Extension(31, *_of_module("fractions", "Fraction")),
    "pydantic_core._pydantic_core.Url": Extension(32, *_of_module("pydantic_core", "Url")),
    "pydantic_core._pydantic_core.MultiHostUrl": Extension(33, *_of_module("pydantic_core", "MultiHostUrl")),
    "re.Pattern": Extension(34, lambda value, pack: pack([value.pattern, value.flags]), _unpack_pattern),
    "pendulum.tz.timezone.Timezone": _ZONE,
    "pendulum.tz.timezone.FixedTimezone": _ZONE,
}


def _all() -> Iterator[Extension]:
    yield from _BY_TYPE.values()
    yield from _BY_NAME.values()


BY_CODE: Final[dict[int, Extension]] = {extension.code: extension for extension in _all()}
