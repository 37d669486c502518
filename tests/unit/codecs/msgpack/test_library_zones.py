from __future__ import annotations

import sys
import time as time_module
from datetime import UTC, datetime, time, timedelta, tzinfo
from types import ModuleType

import pandas as pd
import pytest
import pytz
from dateutil import parser, tz
from pydantic import BaseModel

from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec
from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec
from airflow_provider_exclusive.exceptions import CodecError
from tests.same import same
from tests.unit.codecs.hostile import decode_everything
from tests.zones import ZONES, moment

CODEC = MsgpackCodec(nested=[ArrowCodec()])


class Event(BaseModel):
    at: datetime


class OddZone(tzinfo):
    def utcoffset(self, moment):
        return timedelta(0)


def through(value):
    return CODEC.decode(CODEC.encode(value))


@pytest.mark.parametrize("name", ZONES)
class TestEveryZone:
    def test_comes_back_as_the_same_kind_of_zone(self, name):
        assert same(through(ZONES[name]), ZONES[name])

    def test_comes_back_on_a_moment_in_containers(self, name):
        value = {"k": [(moment(name), time(12, tzinfo=ZONES[name]))]}
        restored = through(value)
        assert same(restored, value)
        assert restored["k"][0][0].utcoffset() == moment(name).utcoffset()
        assert restored["k"][0][0].tzname() == moment(name).tzname()

    def test_comes_back_in_columns_and_indexes(self, name):
        if isinstance(ZONES[name], tz.tzstr):
            pytest.skip("pandas itself does not support such a zone")
        times = pd.DatetimeIndex([datetime(2026, 7, 1), datetime(2026, 1, 1)]).tz_localize("UTC")
        index = times.tz_convert(ZONES[name])
        cells = pd.Series([moment(name), None], index=index, dtype=object)
        value = pd.DataFrame({"at": index, "cell": cells}, index=index)
        restored = through(value)
        assert type(restored["at"].dt.tz) is type(value["at"].dt.tz)
        assert type(restored.index.tz) is type(value.index.tz)
        pd.testing.assert_frame_equal(restored, value)
        assert same(restored["cell"].iloc[0], moment(name))


def test_what_pydantic_makes_of_json_comes_back():
    value = Event.model_validate_json('{"at": "2026-01-01T12:00:00Z"}').model_dump()

    assert same(through(value), value)


class FakeOffset(tzinfo):
    """Like bson.tz_util.FixedOffset, which is not installed here."""

    def __init__(self, offset, name):
        self.__offset = offset if isinstance(offset, timedelta) else timedelta(minutes=offset)
        self.__name = name

    def __getinitargs__(self):
        return self.__offset, self.__name

    def utcoffset(self, moment):
        return self.__offset

    def __repr__(self):
        return f"FixedOffset({self.__offset!r}, {self.__name!r})"


@pytest.fixture
def bson(monkeypatch):
    package, module = ModuleType("bson"), ModuleType("bson.tz_util")
    module.FixedOffset = type("FixedOffset", (FakeOffset,), {"__module__": "bson.tz_util"})
    module.utc = module.FixedOffset(0, "UTC")
    package.tz_util = module
    monkeypatch.setitem(sys.modules, "bson", package)
    monkeypatch.setitem(sys.modules, "bson.tz_util", module)
    return module


def test_zones_of_bson_come_back(bson):
    assert through(datetime(2026, 1, 1, tzinfo=bson.utc)).tzinfo is bson.utc
    assert same(through(bson.FixedOffset(60, "x")), bson.FixedOffset(60, "x"))


def test_a_zone_of_a_library_that_is_missing_is_refused(monkeypatch):
    payload = CODEC.encode(pytz.timezone("Europe/Berlin"))
    monkeypatch.setitem(sys.modules, "pytz", None)

    with pytest.raises(CodecError, match="time zone that is not available here"):
        CODEC.decode(payload)


@pytest.fixture
def machine_in(monkeypatch):
    def settle(zone):
        monkeypatch.setenv("TZ", zone)
        time_module.tzset()

    yield settle
    monkeypatch.undo()
    time_module.tzset()


class TestZoneOfTheMachine:
    def test_utc_comes_back_where_the_machine_is_in_utc_too(self, machine_in):
        machine_in("UTC")
        value = parser.parse("2026-01-01T12:00:00Z")
        assert type(value.tzinfo) is tz.tzlocal
        assert same(through(value), value)

    def test_utc_stays_utc_on_a_machine_in_another_zone(self, machine_in):
        machine_in("UTC")
        payload = bytes(CODEC.encode(datetime(2026, 7, 1, 12, tzinfo=tz.tzlocal())))
        machine_in("America/New_York")
        assert CODEC.decode(payload) == datetime(2026, 7, 1, 12, tzinfo=UTC)
        assert CODEC.decode(payload).tzinfo is tz.UTC

    @pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Etc/GMT+3"])
    def test_any_other_is_refused_because_it_differs_between_machines(self, machine_in, zone):
        machine_in(zone)
        with pytest.raises(CodecError, match="the zone of whichever machine reads it"):
            CODEC.encode(datetime(2026, 1, 1, tzinfo=tz.tzlocal()))


@pytest.mark.parametrize("zone", [tz.tzrange("EST", -18000, "EDT"), OddZone(), tz.tzfile("/etc/localtime")])
@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda at: [1, {"k": at}], r"^In the value\[1\], item 0: A value of type "),
        (lambda at: {"k": (at.timetz(),)}, r"^In the value, item 0\[0\]: "),
        (lambda at: [at.tzinfo], r"^In the value\[0\]: "),
        (lambda at: pd.DataFrame({"a": [1], "at": pd.Series([at])}), "column 'at'"),
        (lambda at: pd.DataFrame({"a": [1]}, index=pd.DatetimeIndex([at], name="when")), "index 'when'"),
    ],
)
def test_any_other_zone_is_refused_with_its_place(zone, wrap, place):
    with pytest.raises(CodecError, match=place) as refused:
        CODEC.encode(wrap(datetime(2026, 1, 1, tzinfo=zone)))

    assert "value.astimezone(datetime.UTC)" in str(refused.value)
    assert "dataclass" not in str(refused.value)


def test_altered_payloads_are_refused_or_decode_to_a_value():
    assert decode_everything(CODEC, bytes(CODEC.encode(list(ZONES.values())))) > 0
