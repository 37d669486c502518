from __future__ import annotations

import threading

import pytest

from airflow_provider_exclusive.codecs.base import CodecRegistry
from airflow_provider_exclusive.codecs.cloudpickle import CloudpickleCodec
from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec
from airflow_provider_exclusive.exceptions import CodecError
from tests.unit.codecs.hostile import decode_everything

CODEC = CloudpickleCodec()


class Explosive:
    def __reduce__(self):
        raise ValueError("secret-42")


def test_it_is_never_chosen_by_type():
    with pytest.raises(CodecError, match="No codec accepts"):
        CodecRegistry([MsgpackCodec(), CODEC]).encode(object())


def test_a_deployment_that_did_not_allow_it_says_how():
    with pytest.raises(CodecError, match="allow_cloudpickle"):
        CodecRegistry([MsgpackCodec()]).decode("cloudpickle", CODEC.encode(1))


def test_what_cannot_be_pickled_is_refused_by_name():
    with pytest.raises(CodecError, match=r"_thread\.lock cannot be pickled"):
        CODEC.encode(threading.Lock())


def test_it_reads_memory_of_any_kind():
    payload = CODEC.encode({"a": [1]})

    assert [CODEC.decode(kind(payload)) for kind in (bytes, bytearray, memoryview)] == [{"a": [1]}] * 3


def test_the_refusal_does_not_quote_the_failure():
    with pytest.raises(CodecError) as refused:
        CODEC.encode(Explosive())

    assert "secret-42" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_missing_module_is_named():
    with pytest.raises(CodecError, match="'not_a_module_anywhere', which is not installed"):
        CODEC.decode(b"cnot_a_module_anywhere\nthing\n.")


def test_altered_payloads_are_refused_or_decode_to_a_value():
    assert decode_everything(CODEC, CODEC.encode(["text", 1, None])) > 0


def test_a_closure_comes_back_working():
    offset = 40

    assert CODEC.decode(CODEC.encode(lambda number: number + offset))(2) == 42
