from __future__ import annotations

import enum
import json
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import attrs
import msgpack
import numpy as np
import pandas as pd
import pendulum
import pytest
from pydantic import BaseModel

from airflow_provider_exclusive import wiring
from airflow_provider_exclusive.codecs.serde import SerdeCodec
from airflow_provider_exclusive.exceptions import CodecError
from tests import classes, values
from tests.same import same
from tests.unit.codecs.hostile import decode_everything

CODEC = SerdeCodec()
SECOND_OF_TWO_HOURS = datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)


class Pair(NamedTuple):
    left: int
    right: int


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Counted:
    given: int
    made: int = field(default=0, init=False)


@attrs.define
class Private:
    _hidden: int


class Loose(BaseModel):
    anything: Any = None


class Word(enum.StrEnum):
    YES = "yes"


@dataclass
class Incomparable:
    number: int

    def __eq__(self, other):
        raise ValueError("secret-42")

    __hash__ = None


class Broken:
    def serialize(self):
        raise ValueError("secret-42")


@pytest.fixture(autouse=True)
def allowed(monkeypatch):
    """Allow the classes of these tests, and nothing else."""
    from airflow.sdk import serde

    def allow(patterns):
        monkeypatch.setenv("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES", patterns)
        serde._get_patterns.cache_clear()
        serde._match_glob.cache_clear()

    allow(f"{values.MODULE}.* {classes.MODULE}.* {__name__}.*")
    yield allow
    monkeypatch.undo()
    serde._get_patterns.cache_clear()
    serde._match_glob.cache_clear()


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (object(), r"builtins\.object"),
        (Colour.RED, r"Return its \.value"),
        (Level.LOW, r"Return its \.value"),
        (Pair(1, 2), r"_asdict\(\)"),
        (OrderedDict(a=1), r"collections\.OrderedDict"),
        (len, "builtin_function_or_method"),
        ({1: "a"}, "would not restore"),
        (b"x", r"builtins\.bytes"),
    ],
)
def test_what_airflow_would_change_or_refuse_is_refused(value, named):
    with pytest.raises(CodecError, match=named):
        CODEC.encode(value)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (values.Order(1, [], parts=values.Point(1, 2)), r"\.parts .*Point, would arrive as builtins\.dict"),
        (values.Order(1, [], parts=Level.LOW), r"\.parts .*Level, would arrive as builtins\.int"),
        (
            values.Order(1, [], parts=[{2: "x"}]),
            r"\.parts\[0\], key 0 \(builtins\.int, would arrive as builtins\.str\)",
        ),
        (values.Track("a", Level.LOW), r"\.inner .*Level"),
        pytest.param(
            values.Order(1, [], parts=np.complex128(1 + 2j)),
            r"\.parts",
            # Airflow's serializer drops the imaginary part: that is what the push notices.
            marks=pytest.mark.filterwarnings("ignore:Casting complex values:numpy.exceptions.ComplexWarning"),
        ),
        (values.Order(1, [], parts=pd.DataFrame({"a": [{1}, {2}]})), r"\.parts"),
        (values.Order(1, [], parts=pd.DataFrame({"a": [1, None]}, dtype=object)), r"\.parts"),
        (values.Order(1, [], parts={Word.YES}), r"\.parts"),
        (values.Order(1, [], parts=Decimal("1.50")), r"\.parts"),
        (values.Order(1, [], shipped=SECOND_OF_TWO_HOURS), r"\.shipped"),
        (values.Order(1, [], parts=Incomparable(1)), r"\.parts"),
        (Loose(anything=(1, 2)), r"\.anything \(builtins\.tuple, would arrive as builtins\.list\)"),
    ],
)
def test_a_field_that_airflow_would_change_is_named_at_the_push(value, place):
    with pytest.raises(CodecError, match=place):
        CODEC.encode(value)


OLD = {
    b'{"__classname__":"tests.values.Point","__version__":0,"__data__":{"x":1,"y":2}}': values.Point(1, 2),
    b'{"__classname__":"tests.values.Track","__version__":0,"__data__":{"name":"a","inner":null}}': values.Track("a"),
    b'{"__classname__":"tests.values.Customer","__version__":1,"__data__":{"name":"Ann","born":"1990-01-01",'
    b'"balance":"1.10","friend":null}}': values.KEPT["pydantic"](),
}


@pytest.mark.parametrize("payload", OLD, ids=range(len(OLD)))
def test_an_object_that_an_earlier_release_pushed_still_opens(payload):
    codecs = wiring.create_codecs(allow_cloudpickle=False)

    assert same(codecs.decode("serde", payload), OLD[payload])
    nested = msgpack.packb([msgpack.ExtType(100, b"serde\0" + payload)])
    assert same(codecs.decode("msgpack", nested), [OLD[payload]])


def test_airflows_own_protocol_is_used_inside_objects(allowed):
    allowed(f"airflow.* {values.MODULE}.* {classes.MODULE}.*")
    codecs = wiring.create_codecs(allow_cloudpickle=False)
    value = classes.Record(part=[values.Money(5), values.KEPT["object_storage_path"]()])
    name, pieces = codecs.encode(value)

    assert (name, codecs.encode(values.Money(5))[0]) == ("classes", "serde")
    assert codecs.decode(name, b"".join(pieces)).part == value.part


@pytest.mark.parametrize(
    "at", [datetime(2026, 1, 1, 12), [{"k": datetime(2026, 1, 1, 12)}], pendulum.naive(2026, 1, 1)], ids=repr
)
def test_a_naive_datetime_is_refused(at):
    with pytest.raises(CodecError, match=r"OwnSerialization cannot be encoded: .*without a time zone.*astimezone"):
        CODEC.encode(classes.OwnSerialization(at))


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (classes.Model(part=1), r"\._token"),
        (classes.Patch(name="n"), r"\.model_fields_set"),
        (classes.Loose(1), None),
    ],
)
def test_what_is_no_field_is_compared_where_a_task_requests_this_codec(value, place):
    if place is None:
        value.cache = 1
    elif hasattr(value, "_token"):
        value._token = "tok"
    with pytest.raises(CodecError, match=place or "would not restore the value exactly"):
        CODEC.encode(value)


@pytest.mark.parametrize("value", [Counted(1), Private(1)])
def test_a_class_not_built_from_its_fields_fails_at_the_push(value):
    with pytest.raises(CodecError, match=r"cannot restore a value of .*TypeError"):
        CODEC.encode(value)


def test_a_class_that_is_not_allowed_is_named_with_the_option(allowed):
    payload = CODEC.encode(values.Point(1, 2))
    allowed("airflow.*")

    with pytest.raises(CodecError, match=r"values\.Point'\. List it in \[core\] allowed_deserialization_classes"):
        CODEC.decode(payload)


def test_a_payload_cannot_name_a_class_of_its_own_choice():
    payload = json.dumps({"__classname__": "subprocess.Popen", "__version__": 0, "__data__": {"args": "true"}})

    with pytest.raises(CodecError, match="allowed_deserialization_classes"):
        CODEC.decode(payload.encode())


def test_the_text_of_a_failure_stays_out_of_the_error():
    with pytest.raises(CodecError) as refused:
        CODEC.encode(Broken())

    assert "ValueError" in str(refused.value)
    assert "secret-42" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_value_that_no_longer_fits_is_refused_and_not_quoted():
    payload = CODEC.encode(values.KEPT["pydantic"]()).replace(b"1990-01-01", b"hunter2-xx")

    with pytest.raises(CodecError) as refused:
        CODEC.decode(payload)

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b"[" * 100_000, b'{"__classname__": 1, "__version__": "x"}'])
def test_a_malformed_payload_is_refused(payload):
    with pytest.raises(CodecError):
        CODEC.decode(payload)


def test_altered_payloads_are_refused_or_decode_to_a_value():
    payload = CODEC.encode(values.Track("a", values.Track("b", (1, 2))))

    assert decode_everything(CODEC, payload) > len(payload)


@pytest.mark.parametrize(
    "value",
    [
        values.Order(
            1, ["a"], float("nan"), pendulum.datetime(2024, 1, 1, 12).replace(fold=0), (1, {2}, frozenset({3}))
        ),
        values.Track("a", values.Track("b", values.Point(1, 2))),
        values.Money(5),
        values.KEPT["pydantic_nested"](),
        values.Order(1, [], parts=values.Money(3)),
        values.Order(1, [], parts=pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})),
        values.Order(1, [], parts=Decimal("1.25")),
        values.Order(1, [], parts={1, 2}),
        {"plain": [1, "x", None]},
    ],
)
def test_what_airflow_keeps_comes_back_the_same(value):
    assert same(CODEC.decode(CODEC.encode(value)), value)


@pytest.mark.parametrize(
    "moment",
    [
        pendulum.datetime(2024, 7, 1, 12, tz="Europe/Berlin"),
        datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(2024, 7, 1, tzinfo=UTC),
    ],
    ids=repr,
)
def test_a_datetime_field_keeps_its_hour_and_zone(moment):
    restored = CODEC.decode(CODEC.encode(values.Order(1, [], shipped=moment))).shipped

    assert (restored, restored.utcoffset(), restored.tzname()) == (moment, moment.utcoffset(), moment.tzname())
