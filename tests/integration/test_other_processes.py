"""Values that are pushed in one process and pulled in another one, in another time zone; hostile ones among them."""

from __future__ import annotations

import json

import pytest

from tests import classes, generated_values
from tests.programs import output_of
from tests.unit.codecs import test_classes
from tests.unit.codecs.arrow.test_bounds import BOMBS

ALLOWED_MEGABYTES = 60

ZONED = """
import sys, pendulum
from airflow_provider_exclusive.codecs.serde import SerdeCodec
from tests.classes import OwnSerialization
pushed = pendulum.datetime(2026, 1, 1, 12, tz="Europe/Berlin")
if len(sys.argv) == 1:
    print(SerdeCodec().encode(OwnSerialization(pushed)).hex())
else:
    restored = SerdeCodec().decode(bytes.fromhex(sys.argv[1])).at
    print((restored, restored.tzname(), type(restored)) == (pushed, pushed.tzname(), type(pushed)))
"""

PULL_OBJECTS = """
import json, sys
from tests.classes import *
from tests.unit.codecs import test_classes
print(json.dumps([name for name, encoded in json.load(sys.stdin).items()
    if not test_classes.same(
        test_classes.CODECS.decode(encoded[0], bytes.fromhex(encoded[1])), test_classes.VALUES[name]())]))
"""

PULL_BOMB = """
import resource, sys
from tests.unit.codecs.arrow.test_bounds import CODEC, CodecError
import pandas, polars, pyarrow
CODEC.decode(CODEC.encode(pandas.DataFrame({"a": [1], "b": ["x"]})))
payload = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    CODEC.decode(payload)
    print("decoded")
except CodecError as refused:
    print("refused")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_zoned_datetime_of_serde_arrives_in_another_zone(zone):
    allowed = {"AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES": f"{classes.MODULE}.*"}
    pushed = output_of(ZONED, TZ="Asia/Tokyo", **allowed).split()[-1]

    assert output_of(ZONED, pushed, TZ=zone, **allowed).split()[-1] == "True"


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_objects_arrive_in_a_process_of_another_zone(zone):
    pushed = {name: test_classes.CODECS.encode(make()) for name, make in test_classes.VALUES.items()}
    payloads = {name: (codec, b"".join(pieces).hex()) for name, (codec, pieces) in pushed.items()}

    assert json.loads(output_of(PULL_OBJECTS, stdin=json.dumps(payloads).encode(), TZ=zone)) == []


def test_generated_objects_arrive_in_another_process_and_zone():
    assert generated_values.check(300, "unit", journeys=[("UTC", "America/New_York")]) == []


@pytest.mark.parametrize(
    "name",
    [
        "a text type of 8 MB for one number",
        "a null column as text",
        "compressed numbers",
        "compressed numbers for pandas",
    ],
)
def test_a_bomb_takes_no_memory(name):
    outcome, megabytes = output_of(PULL_BOMB, stdin=BOMBS[name]()).split()

    assert outcome == "refused"
    assert int(megabytes) < ALLOWED_MEGABYTES
