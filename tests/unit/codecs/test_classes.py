from __future__ import annotations

import dataclasses
import sys
import threading
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgpack
import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec
from airflow_provider_exclusive.codecs.base import CodecRegistry
from airflow_provider_exclusive.codecs.classes import ClassesCodec
from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec
from airflow_provider_exclusive.exceptions import CodecError
from tests import classes
from tests.same import same
from tests.unit.codecs.hostile import decode_everything
from tests.unit.codecs.rules import Rules

BERLIN = ZoneInfo("Europe/Berlin")
NAIVE = datetime(2026, 1, 1, 12)
RULES = Rules(f"{classes.MODULE}.*")


def codecs_with(rules):
    arrow = ArrowCodec()
    objects = ClassesCodec(rules, before=[arrow])
    return CodecRegistry([MsgpackCodec(nested=[arrow, objects]), arrow, objects])


CODECS = codecs_with(RULES)
CODEC = ClassesCodec(RULES, before=[ArrowCodec()])


def through(value):
    name, pieces = CODECS.encode(value)
    return CODECS.decode(name, memoryview(bytearray(b"".join(pieces))))


def _private():
    model = classes.Model(part=1)
    model._token = ("tok", NAIVE)
    return model


def _cached():
    record = classes.Record(NAIVE)
    assert record.length == 5
    record.extra = {"k": (1, b"x")}
    return record


def _slotted():
    value = classes.Slotted((1, 2))
    object.__setattr__(value, "right", {3})
    value.other = NAIVE
    return value


VALUES = {
    "naive datetime in a dataclass": lambda: classes.Record(NAIVE),
    "naive datetime in attrs": lambda: classes.Stone(NAIVE),
    "naive datetime in a model": lambda: classes.Model(at=NAIVE),
    "naive datetime deep inside": lambda: classes.Record(part=[{"k": (classes.Stone(NAIVE),)}]),
    "attributes that are no fields": _cached,
    "private attribute": _private,
    "private attribute of a nested model": lambda: [classes.Record(part={"k": _private()})],
    "private names": lambda: classes.Track(hidden=(1, 2), part=classes.Track(3)),
    "extras of any type": lambda: classes.Model(a=NAIVE, b=(1, 2), c=b"\xff", d=classes.Patch(name="n"), e={1}),
    "zone in a model": lambda: classes.Model(at=datetime(2026, 1, 1, tzinfo=BERLIN), hour=time(12, tzinfo=BERLIN)),
    "fields that are set": lambda: classes.Patch(name="n"),
    "alias": lambda: classes.Aliased(Number=5),
    "computed field of a closed model": lambda: classes.Closed(width=5),
    "model with invalid data": lambda: classes.Choosy.model_construct(number="x"),
    "model with missing data": lambda: classes.Choosy.model_construct(),
    "root model": lambda: classes.Numbers([1, 2]),
    "subclass of a generic model": lambda: classes.IntPage(items=[1]),
    "rich fields": lambda: classes.Rich(
        url="http://x/a?b=c", secret="s", address="10.0.0.1", colour=classes.Colour.RED, inner=classes.Patch()
    ),
    "pydantic dataclass": lambda: classes.Checked(5, NAIVE),
    "frozen slots": lambda: classes.Slim(NAIVE, classes.Slim(None, (1,))),
    "slots": lambda: classes.SlimOpen(NAIVE, [1]),
    "slots and attributes": _slotted,
    "attrs without slots": lambda: classes.Loose({1: 2}),
    "plain class": lambda: classes.Plain(a=1, b=[classes.Plain(c=NAIVE)]),
    "plain class without state": classes.Empty,
    "own state": lambda: classes.Counted(5),
    "class in a class": lambda: classes.Outer.Inner(5),
    "enum members in an object": lambda: classes.Record(
        part=[classes.Colour.CRIMSON, classes.Level.LOW, classes.Rights.READ | classes.Rights.WRITE, classes.Rights(0)]
    ),
    "objects as keys and members": lambda: {classes.Point(1, 2): {classes.Point(3, (4,))}},
    "tables and arrays inside": lambda: classes.Record(part={"a": np.arange(3), "f": pd.DataFrame({"a": [1, 2]})}),
    "method named serialize": lambda: classes.Serialized(3),
    "generic dataclass": lambda: classes.Box[int](5),
    "cached hash": lambda: {classes.Hashed(5): classes.Hashed(6)},
    "many": lambda: [classes.Record(NAIVE, number) for number in range(100)],
}


@pytest.mark.parametrize("name", VALUES)
def test_an_object_arrives_as_it_was(name):
    value = VALUES[name]()

    restored = through(value)

    assert same(restored, value)
    if isinstance(value, BaseModel):
        assert restored.model_fields_set == value.model_fields_set
        assert restored == value


@pytest.mark.parametrize("name", VALUES)
def test_objects_arrive_inside_other_values(name):
    value = (1, {"k": [VALUES[name]()]})

    assert same(through(value), value)


def test_neither_init_nor_validators_run():
    value = classes.Counted(3)
    built = classes.Counted.built

    assert through(value).number == 3
    assert classes.Counted.built == built


LOCAL = dataclasses.make_dataclass("Local", ["number"])


def _local():
    @dataclasses.dataclass
    class Inside:
        number: int

    return Inside(1)


def _of_main():
    kind = type("Script", (), {"__module__": "__main__"})
    return kind()


def _of_dag_file():
    kind = type("Row", (), {"__module__": "unusual_prefix_0123_my_dag"})
    return kind()


def _itself():
    value = classes.Plain()
    value.parent = [value]
    return value


def _far_itself():
    value = classes.Plain()
    value.child = classes.Record(part={"k": (value,)})
    return value


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_local, r"Inside cannot be encoded: its class is defined inside a function; move the class to module level"),
        (_of_main, r"move it to a module"),
        (_of_dag_file, r"move it to a module"),
        (classes.Renamed, r"keep its name"),
        (lambda: LOCAL(1), r"keep its name"),
        (lambda: classes.Page[int](items=[1]), r"subclass it at module level, as in: class IntPage\(Page\[int\]\)"),
        (lambda: classes.Record(part=classes.Page[int](items=[1])), r"^In the value\.part: .*subclass it"),
        (_itself, r"^In the value\.parent\[0\]: An object of tests\.classes\.Plain contains itself"),
        (_far_itself, r"^In the value\.child\.part, item 0\[0\]: .* contains itself"),
        (lambda: classes.Record(part=threading.Lock()), r"^In the value\.part: A value of type _thread\.lock"),
        (lambda: [classes.Plain(f=len)], r"^In the value\[0\]\.f: A value of type builtins\.builtin_function"),
        (lambda: classes.Plain(f=lambda: 1), r"^In the value\.f: A value of type builtins\.function"),
        (lambda: classes.Slim(None, {"k": [object()]}), r"^In the value\.part, item 0\[0\]: .*builtins\.object"),
        (lambda: classes.Model(x=[memoryview(b"x")]), r"^In the value\.x\[0\]: .*Return bytes\(value\)"),
        (lambda: classes.Counted(object()), r"^In the value\[0\]: .*builtins\.object"),
        (lambda: {"k": classes.Track(hidden=classes.Track(object()))}, r"^In the value, item 0\._hidden\._hidden: "),
        (lambda: classes.Record(part={"rows": [classes.Plain(z=Path)]}), r"^In the value\.part, item 0\[0\]\.z: "),
    ],
)
def test_a_refusal_names_place_type_and_way_out(make, said):
    with pytest.raises(CodecError, match=said):
        CODECS.encode(make())


def test_a_member_of_an_enum_outside_of_an_object_stays_refused():
    with pytest.raises(CodecError, match=r"Return its \.value"):
        CODECS.encode([classes.Colour.RED])


@pytest.mark.parametrize("make", [lambda: classes.WithNew(1), classes.Reduced])
def test_a_class_with_a_construction_of_its_own_is_not_taken(make):
    assert not CODEC.accepts(make())
    with pytest.raises(CodecError):
        CODEC.encode(make())


def test_a_class_with_airflows_protocol_is_left_to_airflow():
    assert not CODEC.accepts(classes.OwnSerialization(1))


def test_a_chain_of_objects_that_is_too_long_is_refused():
    chain = None
    for _ in range(100):
        chain = classes.Record(part=chain)

    with pytest.raises(CodecError, match="nested too deep"):
        CODECS.encode(chain)


class TestAllowedClasses:
    def test_a_class_that_is_not_allowed_is_refused_at_the_push(self):
        with pytest.raises(CodecError, match=r"List it in \[core\] allowed_deserialization_classes.*attrs\.asdict"):
            codecs_with(Rules()).encode(classes.Track(1))

    def test_a_class_that_is_not_allowed_is_refused_at_the_pull(self):
        name, pieces = CODECS.encode(classes.Track(1))
        with pytest.raises(CodecError, match=r"'tests\.classes\.Track'.*List it in \[core\] allowed_deserialization"):
            codecs_with(Rules("other.*")).decode(name, b"".join(pieces))

    def test_a_forbidden_class_imports_no_module(self):
        with pytest.raises(CodecError, match="may not import"):
            CODEC.decode(forged("antigravity:Point", {}, []))
        assert "antigravity" not in sys.modules

    @pytest.mark.parametrize(
        ("name", "patterns"),
        [
            ("subprocess:Popen", ["tests.*"]),
            ("tests.classes:BaseModel", ["tests.*"]),
            ("tests.classes:functools.partial", ["tests.*"]),
            ("tests.classes:MODULE", ["tests.*"]),
            ("tests.classes:Outer.Inner.__init__", ["tests.*"]),
            ("tests.classes:Missing", ["tests.*"]),
            ("tests.missing:Point", ["tests.*"]),
            ("tests.classes:", ["*"]),
            ("tests.classes", ["*"]),
            (":Point", ["*"]),
            ("builtins:dict", ["*"]),
            ("builtins:type", ["*"]),
            ("tests.classes:Reduced", ["*"]),
            ("tests.classes:WithNew", ["*"]),
            ("tests.classes:Colour", ["*"]),
        ],
    )
    def test_what_is_no_class_with_state_of_that_module_is_refused(self, name, patterns):
        with pytest.raises(CodecError):
            ClassesCodec(Rules(*patterns)).decode(forged(name, {"a": 1}, []))


def forged(name, state, fields):
    inner = msgpack.packb([name, state, fields])
    return msgpack.packb(msgpack.ExtType(100, b"classes\0" + inner))


class TestChangedClasses:
    @pytest.mark.parametrize(
        ("kind", "state", "said"),
        [
            ("Point", {"x": 1}, r"unexpected fields: none; missing fields: 'y'"),
            ("Point", {"x": 1, "y": 2, "z": 3}, r"unexpected fields: 'z'; missing fields: none"),
            ("Stone", {"at": 1, "old": 2}, r"unexpected fields: 'old'; missing fields: 'part'"),
        ],
    )
    def test_fields_that_were_added_or_removed_are_named(self, kind, state, said):
        with pytest.raises(CodecError, match=rf"tests\.classes\.{kind} does not fit the class here: {said}"):
            CODEC.decode(forged(f"tests.classes:{kind}", state, None))

    def test_a_field_of_a_model_that_was_removed_is_named(self):
        state = {
            "__dict__": {"name": None, "email": None, "old": 1},
            "__pydantic_extra__": None,
            "__pydantic_fields_set__": [],
            "__pydantic_private__": None,
        }
        with pytest.raises(CodecError, match="unexpected fields: 'old'"):
            CODEC.decode(forged("tests.classes:Patch", state, None))

    def test_a_private_attribute_that_was_added_is_named(self):
        state = {"__dict__": {"at": None, "hour": None, "part": None}, "__pydantic_fields_set__": []}
        with pytest.raises(CodecError, match="missing fields: '_token'"):
            CODEC.decode(forged("tests.classes:Model", state, None))

    def test_another_order_of_fields_is_found(self):
        with pytest.raises(CodecError, match="another order"):
            CODEC.decode(forged("tests.classes:Slim", [1, 2], ["part", "at"]))

    def test_a_member_that_was_removed_from_an_enum_is_refused(self):
        inner = msgpack.packb(["tests.classes:Colour", "GONE"])
        with pytest.raises(CodecError, match=r"member of the enum tests\.classes\.Colour does not exist here"):
            CODEC.decode(msgpack.packb(msgpack.ExtType(100, b"classes\0" + inner)))

    @pytest.mark.parametrize("state", [5, [1], "x", {"x": 1}])
    def test_a_state_that_does_not_fit_is_refused(self, state):
        with pytest.raises(CodecError):
            CODEC.decode(forged("tests.classes:Slotted", state, []) if state != {"x": 1} else forged("x:y", 1, 1))


@pytest.mark.parametrize("name", ["naive datetime deep inside", "private attribute", "slots and attributes"])
def test_altered_payloads_are_refused_or_decode_to_a_value(name):
    payload = bytes(CODEC.encode(VALUES[name]()))

    assert decode_everything(CODEC, payload) > 0


def test_a_method_that_raises_is_a_refusal_that_quotes_nothing():
    for value in (classes.BadState(), [classes.BadState()], classes.Record(part=classes.BadState())):
        with pytest.raises(CodecError) as refused:
            CODECS.encode(value)
        assert "hunter2" not in str(refused.value)


def test_an_object_that_raises_when_it_is_asked_for_its_class_arrives():
    assert type(through([classes.BadClass()])[0]) is classes.BadClass


def test_a_key_whose_hash_raises_is_refused_at_the_pull():
    key = msgpack.ExtType(100, b"classes\0" + msgpack.packb(["tests.classes:BadHash", {"number": -1}, None]))
    name, pieces = CODECS.encode({classes.BadHash(1): 1})
    assert CODECS.decode(name, b"".join(pieces)) == {classes.BadHash(1): 1}
    with pytest.raises(CodecError, match="cannot be rebuilt here: AttributeError"):
        CODECS.decode("msgpack", msgpack.packb({key: 1}))


def test_a_failure_of_a_class_does_not_quote_a_value():
    with pytest.raises(CodecError) as refused:
        CODEC.decode(forged("tests.classes:Counted", ["hunter2", "x"], []))

    assert "hunter2" not in str(refused.value)


def test_moments_with_zones_keep_them():
    value = classes.Model(at=datetime(2026, 1, 1, tzinfo=BERLIN))

    assert through(value).at + timedelta(days=180) == datetime(2026, 6, 30, tzinfo=BERLIN)
    assert through(classes.Stone(datetime(2026, 1, 1, tzinfo=UTC))).at.tzinfo is UTC
