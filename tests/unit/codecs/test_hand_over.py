import json

import pytest

from airflow_provider_exclusive.access.hand_over import HandOver, Source
from airflow_provider_exclusive.codecs.base import CodecRegistry
from airflow_provider_exclusive.codecs.hand_over import HandOverCodec
from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec
from airflow_provider_exclusive.exceptions import CodecError
from airflow_provider_exclusive.scopes.identity import TaskIdentity

TRIGGER = TaskIdentity("etl", "run-1", "hand_over")
RECORD = HandOver(TRIGGER, "reporting", "child-1", {"rows": Source("etl", "run-1", "extract", "rows", None, True)})


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"{", b"[" * 100_000, b'{"a": 1} x', "\ud800".encode("utf-8", "surrogatepass")]
)
def test_a_payload_that_is_no_json_is_an_error_with_the_cure(payload):
    with pytest.raises(CodecError, match="clear the trigger task"):
        HandOverCodec().decode(payload)


@pytest.mark.parametrize("value", [None, {}, RECORD.to_record(), "text", [RECORD], HandOver])
def test_nothing_but_a_hand_over_is_taken(value):
    assert not HandOverCodec().accepts(value)


def test_a_record_is_json_that_the_api_server_reads_without_a_codec():
    payload = HandOverCodec().encode(RECORD)

    assert HandOver.from_record(json.loads(payload), trigger=TRIGGER) == RECORD
    assert HandOverCodec().decode(payload) == RECORD.to_record()


def test_the_registry_of_a_deployment_gives_a_record_this_codec_and_a_dict_like_it_another():
    codecs = CodecRegistry([HandOverCodec(), MsgpackCodec()])

    assert codecs.encode(RECORD)[0] == "hand-over"
    assert codecs.encode(RECORD.to_record())[0] == "msgpack"


def test_whose_record_it_is_is_said_by_where_it_lies_and_not_in_it():
    assert b"hand_over" not in HandOverCodec().encode(RECORD)
