"""Time zones of the libraries whose times tasks push, and times in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import psycopg2.tz
import pydantic_core
import pytz
from dateutil import tz

ZONES: dict[str, Any] = {
    "utc": UTC,
    "offset": timezone(timedelta(minutes=-90), "X"),
    "zoneinfo": ZoneInfo("Europe/Berlin"),
    "pendulum": pendulum.timezone("Europe/Berlin"),
    "pendulum offset": pendulum.timezone(3600),
    "dateutil utc": tz.tzutc(),
    "dateutil offset": tz.tzoffset("BRST", -10800),
    "dateutil offset without a name": tz.tzoffset(None, 3600),
    "dateutil offset with an empty name": tz.tzoffset("", 3600),
    "dateutil name": tz.gettz("America/New_York"),
    "dateutil utc by name": tz.gettz("Etc/UTC"),
    "dateutil rule": tz.tzstr("EST5EDT,M3.2.0,M11.1.0"),
    "pytz utc": pytz.UTC,
    "pytz name": pytz.timezone("Europe/Berlin"),
    "pytz name localized": pytz.timezone("Europe/Berlin").localize(datetime(2026, 7, 1)).tzinfo,
    "pytz static": pytz.timezone("Etc/GMT+5"),
    "pytz offset": pytz.FixedOffset(-330),
    "pydantic utc": pydantic_core.TzInfo(0),
    "pydantic offset": pydantic_core.TzInfo(-3600),
    "psycopg2": psycopg2.tz.FixedOffsetTimezone(offset=60, name="x"),
    "psycopg2 without a name": psycopg2.tz.FixedOffsetTimezone(offset=-60),
}


def moment(name: str) -> datetime:
    return datetime(2026, 7, 1, 12, 30, tzinfo=ZONES[name])
