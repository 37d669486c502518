from __future__ import annotations

import contextlib
import enum
import gc
import re
import resource
import threading
from collections import Counter, OrderedDict, UserString, defaultdict, deque
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgpack
import pendulum
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec
from airflow_provider_exclusive.codecs.msgpack import extensions
from airflow_provider_exclusive.codecs.msgpack.codec import MAX_LEVELS, MAX_NESTED_OBJECTS, MsgpackCodec
from airflow_provider_exclusive.exceptions import CodecError
from tests.programs import output_of
from tests.same import same
from tests.unit.codecs.hostile import decode_everything
from tests.values import Point, frame

CODEC = MsgpackCodec()


class Pair(NamedTuple):
    left: int
    right: int


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Text(str):
    __slots__ = ()


class Raw(bytes):
    __slots__ = ()


class Ratio(float):
    pass


class Mapping(dict):
    pass


class Sequence(list):
    pass


class Moment(datetime):
    pass


class OddZone(tzinfo):
    def utcoffset(self, moment):
        return timedelta(hours=1)


REFUSED = {
    "enum": Colour.RED,
    "int enum": Level.LOW,
    "str enum": Word.YES,
    "named tuple": Pair(1, 2),
    "subclass of str": Text("x"),
    "subclass of bytes": Raw(b"x"),
    "subclass of float": Ratio(1.5),
    "subclass of dict": Mapping(a=1),
    "subclass of list": Sequence([1]),
    "subclass of datetime": Moment(2024, 1, 1),
    "memoryview": memoryview(b"x"),
    "MessagePack's own extension": msgpack.ExtType(1, b"\x90"),
    "MessagePack's own timestamp": msgpack.Timestamp(1, 0),
    "object": object(),
    "class": dict,
    "function": len,
    "generator": (number for number in range(3)),
    "wrapped text": UserString("x"),
    "dataclass without a codec for it": Point(1, 2),
    "defaultdict with a factory of the user's": defaultdict(lambda: 1),
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"k": [v]}, lambda v: (1, {"k": v})])
def test_a_type_that_would_be_flattened_is_refused_by_name(value, wrap):
    with pytest.raises(CodecError, match=rf"{type(value).__qualname__} cannot be encoded"):
        CODEC.encode(wrap(value))


@pytest.mark.parametrize("key", [Level.LOW, Pair(1, 2), memoryview(b"x"), msgpack.ExtType(1, b"x"), Text("x")])
def test_such_a_type_is_refused_as_a_key_too(key):
    with pytest.raises(CodecError, match="cannot be encoded: no codec restores exactly this type"):
        CODEC.encode([{key: 1}])


@pytest.mark.parametrize("key", [memoryview(b"x"), msgpack.ExtType(1, b"x"), bytearray])
def test_such_a_type_is_seen_beside_many_plain_ones(key):
    rows = [{"id": number, "name": "x"} for number in range(50)]
    plain = {"a": 1, 2: "b"}
    if key is bytearray:
        value = [*rows, {**plain, "c": bytearray(b"x")}]
        assert same(CODEC.decode(CODEC.encode(value)), value)
        return
    for value in ([*rows, plain | {key: 1}], [*rows, plain | {"c": key}], [*rows, [key]]):
        with pytest.raises(CodecError, match="cannot be encoded: no codec restores exactly this type"):
            CODEC.encode(value)


def test_the_refusal_tells_the_way_out_but_not_the_value():
    with pytest.raises(CodecError) as refused:
        CODEC.encode({"password": Text("hunter2")})

    assert "Return str(value)" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda v: [1, [2, v]], "the value[1][1]"),
        (lambda v: {"a": 1, "b": [v]}, "the value, item 1[0]"),
        (lambda v: [{"a": 1, v: 2}], "the value[0], key 1"),
        (lambda v: [({v},)], "the value[0][0], one of a set"),
        (lambda v: [bytearray(b"x"), v], "the value[1]"),
    ],
)
def test_the_refusal_of_a_part_tells_where_it_stands(wrap, place):
    with pytest.raises(CodecError, match=f"^{re.escape(f'In {place}: ')}"):
        CODEC.encode(wrap(Text("hunter2")))


def test_the_refusal_of_the_whole_tells_no_place():
    with pytest.raises(CodecError) as refused:
        CODEC.encode(Text("hunter2"))

    assert str(refused.value).startswith("A value of type")


def test_a_time_zone_that_cannot_be_given_back_is_refused():
    with pytest.raises(CodecError, match=r"OddZone.*zoneinfo\.ZoneInfo"):
        CODEC.encode(datetime(2024, 1, 1, tzinfo=OddZone()))


def test_a_list_that_contains_itself_is_refused():
    endless = [1]
    endless.extend([endless, endless])

    with pytest.raises(CodecError, match="contains itself"):
        CODEC.encode(endless)


def test_a_tuple_that_contains_itself_is_refused():
    endless = ([], {"k": []})
    endless[0].append(endless)
    endless[1]["k"].append(endless)

    with pytest.raises(CodecError, match="contains itself"):
        CODEC.encode(endless)


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"k": v}, lambda v: (v,), lambda v: OrderedDict(k=v)])
def test_what_is_nested_too_deep_is_refused(wrap):
    deep = 1
    for _ in range(5_000):
        deep = wrap(deep)

    with pytest.raises(CodecError, match="nested too deep"):
        CODEC.encode(deep)


def test_alternating_lists_and_tuples_do_not_exhaust_the_stack():
    deep = 1
    for _ in range(MAX_NESTED_OBJECTS - 1):
        for _ in range(MAX_LEVELS - 1):
            deep = [deep]
        deep = (deep,)

    with pytest.raises(CodecError, match="nested too deep"):
        CODEC.encode(deep)


def wrapped(*kinds):
    value = 1
    for kind in kinds:
        value = [value] if kind is list else (value,)
    return value


@pytest.mark.parametrize(
    "deep",
    [
        wrapped(*[list] * MAX_LEVELS),
        wrapped(*[tuple] * MAX_NESTED_OBJECTS),
        wrapped(*[tuple, list] * MAX_NESTED_OBJECTS),
    ],
    ids=["lists", "tuples", "both"],
)
def test_the_deepest_values_return_even_in_a_small_thread(deep):
    restored = []

    previous = threading.stack_size(2 * 1024 * 1024)
    try:
        thread = threading.Thread(target=lambda: restored.append(CODEC.decode(CODEC.encode(deep))))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(previous)

    assert repr(restored[0]) == repr(deep)


MALFORMED = {
    "nothing": b"",
    "unused byte": b"\xc1",
    "trailing bytes": b"\x01\x01",
    "array of four billion": b"\xdd\xff\xff\xff\xff",
    "map of four billion": b"\xdf\xff\xff\xff\xff",
    "text of four gigabytes": b"\xdb\xff\xff\xff\xff",
    "extension of four gigabytes": b"\xc9\xff\xff\xff\xff\x01",
    "arrays in arrays": b"\x91" * 100_000,
    "unhashable key": b"\x81\x90\x01",
    "unknown extension": msgpack.packb(msgpack.ExtType(99, b"x")),
    "tuple of a number": msgpack.packb(msgpack.ExtType(1, b"\x01")),
    "set of lists": msgpack.packb(msgpack.ExtType(2, b"\x91\x90")),
    "short uuid": msgpack.packb(msgpack.ExtType(8, b"x")),
    "no decimal": msgpack.packb(msgpack.ExtType(7, b"x")),
    "thirteenth month": msgpack.packb(msgpack.ExtType(9, b"\x07\xe0\x0d\x01")),
    "zone outside the database": msgpack.packb(msgpack.ExtType(17, b"zoneinfo:../../etc/passwd")),
    "zone of an unknown kind": msgpack.packb(msgpack.ExtType(17, b"os:system")),
    "factory that is no type": msgpack.packb(msgpack.ExtType(19, msgpack.packb(["eval", {}]))),
    "payload of an unknown codec": msgpack.packb(msgpack.ExtType(extensions.NESTED, b"cloudpickle\0x")),
    "invalid text": b"\xa1\xff",
}


@pytest.mark.parametrize("payload", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_payload_is_refused(payload):
    with pytest.raises(CodecError):
        CODEC.decode(payload)


def test_extensions_nested_without_end_are_refused():
    payload = b"\x01"
    for _ in range(MAX_NESTED_OBJECTS + 2):
        payload = msgpack.packb(msgpack.ExtType(1, b"\x91" + payload))

    with pytest.raises(CodecError, match="nested too deep"):
        CODEC.decode(payload)


def test_altered_payloads_are_refused_or_decode_to_a_value():
    codec = MsgpackCodec(nested=[ArrowCodec()])
    value = {
        "t": (1, {2, 3}, frozenset("a"), bytearray(b"x"), 2**70, 1.5, 1j, None, "é"),
        "d": [datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), timedelta(1), Decimal("1.5"), uuid4(), range(3)],
        "p": [
            pendulum.datetime(2024, 1, 1),
            pendulum.duration(years=1),
            OrderedDict(a=1),
            Counter("aa"),
            deque([1], 2),
        ],
    }
    payload = codec.encode(value)

    assert decode_everything(codec, payload) > len(payload)


def test_a_small_payload_cannot_ask_for_much_memory():
    bomb = b"\xdd\x00\x00\xff\xff" * 400 + b"\xc0" * 70_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(CodecError):
        CODEC.decode(bomb)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes


def test_airflow_and_the_optional_libraries_stay_out():
    program = (
        "import sys; from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec;"
        "from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec;"
        "codec = MsgpackCodec([ArrowCodec()]); codec.decode(codec.encode({'a': (1, {2}), 'b': b'x'}));"
        "print(sorted({'airflow', 'numpy', 'pandas', 'pendulum', 'polars', 'pyarrow'} & set(sys.modules)))"
    )

    assert output_of(program) == "[]\n"


def test_a_bytearray_and_bytes_stay_apart():
    value = [b"x", bytearray(b"x"), {"k": [bytearray(b"y"), (bytearray(b"z"), b"z")]}]

    assert same(CODEC.decode(CODEC.encode(value)), value)


LARGE = {
    "text": "0123456789" * 300_000,
    "text, to the character": "x" * (1 << 18),
    "text of other scripts": "é字" * 300_000,
    "text with a lone surrogate": "x" * 300_000 + "\udc80",
    "bytes": bytes(range(256)) * 10_000,
    "a list of large texts": ["x" * 3_000_000, b"y" * 3_000_000],
}


@pytest.mark.parametrize("value", LARGE.values(), ids=LARGE.keys())
def test_large_texts_and_bytes_are_packed_like_messagepack(value):
    pieces = CODEC.encode_in_chunks(value)

    assert b"".join(pieces) == CODEC.encode(value) == msgpack.packb(value, unicode_errors="surrogatepass")
    assert same(CODEC.decode(memoryview(bytearray(b"".join(pieces)))), value)


def test_large_bytes_are_not_copied():
    value = b"x" * 3_000_000

    assert any(piece is value for piece in CODEC.encode_in_chunks(value))


def test_a_subclass_of_text_is_refused_however_large_it_is():
    with pytest.raises(CodecError, match="cannot be encoded: no codec restores exactly this type"):
        CODEC.encode(Text("x" * 3_000_000))


@pytest.mark.parametrize("value", [[b"x" * 100_000], ["é" * 100_000], [(1, 2)], ["\udc80"]])
def test_payload_memory_needs_no_garbage_collection(value):
    gc.freeze()  # what other tests left is not counted, and not searched
    CODEC.encode_in_chunks(value)
    found = gc.collect()
    gc.unfreeze()

    assert found == 0


def test_what_was_packed_stays_while_another_value_is_packed():
    first, second = (CODEC.encode_in_chunks([number] * 1_000) for number in (1, 2))

    assert CODEC.decode(b"".join(first)) == [1] * 1_000
    assert CODEC.decode(b"".join(second)) == [2] * 1_000


def test_an_unknown_value_travels_inside_by_a_nested_codec():
    codec = MsgpackCodec(nested=[ArrowCodec()])
    value = {"row_count": 42, "frame": frame(), "more": [(frame(), b"x")]}

    assert same(codec.decode(codec.encode(value)), value)


def test_the_second_of_two_equal_hours_stays_the_second():
    value = datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)

    assert CODEC.decode(CODEC.encode(value)).utcoffset() == timedelta(hours=1)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**200), max_value=2**200),
    st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1]),
    st.floats(),
    st.complex_numbers(allow_nan=True),
    st.text(st.characters(codec=None)),
    st.binary(),
    st.binary().map(bytearray),
    st.decimals(),
    st.uuids(),
    st.dates(),
    st.times(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3)), timezone(timedelta(minutes=1), "odd")])),
    st.datetimes(timezones=st.none() | st.timezones() | st.just(UTC), allow_imaginary=True),
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)).map(
        lambda m: pendulum.instance(m, tz="Europe/Paris")
    ),
    st.timedeltas(),
    st.builds(
        pendulum.duration, years=st.integers(-9, 9), months=st.integers(-9, 9), seconds=st.integers(-(10**6), 10**6)
    ),
    st.timezones(),
    st.builds(range, st.integers(), st.integers(), st.integers(1, 9)),
)
KEYS = st.one_of(st.text(), st.integers(), st.none(), st.tuples(st.integers(), st.text()), st.frozensets(st.text()))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.lists(inner).map(deque),
        st.dictionaries(KEYS, inner),
        st.dictionaries(KEYS, inner).map(OrderedDict),
        st.dictionaries(KEYS, inner).map(lambda items: defaultdict(list, items)),
        st.dictionaries(KEYS, st.integers()).map(Counter),
        st.sets(KEYS),
        st.frozensets(KEYS),
    ),
    max_leaves=20,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_every_plain_value_comes_back_the_same(value):
    assert same(CODEC.decode(CODEC.encode(value)), value)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_decode_to_a_value(payload):
    with contextlib.suppress(CodecError):
        CODEC.decode(payload)
