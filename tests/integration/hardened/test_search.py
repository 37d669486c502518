"""The search of ``test_traces`` finds a value in every form in which it could lie somewhere."""

from __future__ import annotations

import base64
import json
import os

import msgpack
import pyarrow as pa
import pytest

from airflow_provider_exclusive.codecs.arrow.codec import ArrowCodec
from tests.integration.hardened import disguises, search
from tests.integration.hardened.dags_for_traces.distinctive import number, text

VALUE, COUNT, KEY = text("lost"), number("lost"), os.urandom(32)
FRAME = pa.table({"text": [VALUE, "another"], "count": [1, COUNT]})
WITH_TEXT = {
    "JSON": json.dumps({"value": VALUE}).encode(),
    "the repr of bytes": repr(VALUE.encode()).encode(),
    "UTF-16": f"the value is {VALUE}".encode("utf-16"),
    "MessagePack": msgpack.packb({"value": [VALUE]}),
    "Arrow": ArrowCodec().encode(FRAME),
}
WITH_NUMBER = {
    "JSON": json.dumps({"value": [COUNT]}).encode(),
    "MessagePack": msgpack.packb({"value": COUNT}),
    "MessagePack of its square": msgpack.packb({"value": COUNT**2}),
    "Arrow": ArrowCodec().encode(FRAME),
}
WITH_KEY = {
    "raw": b"key" + KEY,
    "repr": f"the key is {KEY!r}".encode(),
    "repr in JSON": json.dumps({"event": f"the key is {KEY!r}"}).encode(),
    "capital hexadecimal": KEY.hex().upper().encode(),
    "URL-safe base64": base64.urlsafe_b64encode(KEY),
}


@pytest.mark.parametrize("form", WITH_TEXT)
def test_a_text_is_found_as(form):
    assert search.places_of(search.spellings_of_text(VALUE), {"here": WITH_TEXT[form], "not here": b"lost"}) == ["here"]


@pytest.mark.parametrize("form", WITH_NUMBER)
def test_a_number_is_found_as(form):
    spelled = search.spellings_of_number(COUNT) | search.spellings_of_number(COUNT**2)

    assert search.places_of(spelled, {"here": WITH_NUMBER[form], "not here": b"4000000000"}) == ["here"]


@pytest.mark.parametrize("form", WITH_KEY)
def test_a_key_is_found_as(form):
    assert search.places_of(search.spellings(KEY), {"here": WITH_KEY[form], "not here": os.urandom(64)}) == ["here"]


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, bytes.hex])
@pytest.mark.parametrize("offset", range(4))
@pytest.mark.parametrize("payload", [*WITH_TEXT.values(), WITH_KEY["raw"]], ids=[*WITH_TEXT, "key"])
def test_a_packed_value_is_found_when_encoded_again(payload, offset, encode):
    encoded = encode(b"x" * offset + payload)
    haystack = encoded if isinstance(encoded, bytes) else encoded.encode()

    assert search.places_of(search.spellings_of_text(VALUE) | search.spellings(KEY), {"here": haystack}) == ["here"]


def test_every_example_has_its_disguise():
    assert {path.stem for path in disguises.ORIGINALS.glob("*.py")} == set(disguises.DISGUISES)


@pytest.mark.parametrize("dag_id", disguises.DISGUISES)
def test_no_disguise_holds_a_value(dag_id):
    spelled = {spelling for value in disguises.TEXTS for spelling in search.spellings_of_text(value)}
    spelled |= {spelling for value in disguises.NUMBERS for spelling in search.spellings_of_number(value)}

    assert search.places_of(spelled, {"its source": disguises.disguise(dag_id).encode()}) == []
