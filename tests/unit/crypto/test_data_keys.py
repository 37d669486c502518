"""Sealed keys of workers without the private key, and what such workers are handed."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_exclusive.crypto import sealing
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys, ServerDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring, seal_data_key
from airflow_provider_exclusive.exceptions import ConfigurationError, EnvelopeError, UnknownKeyError
from airflow_provider_exclusive.format.reference import Reference, ServerAnswer, without_answer

VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "sealed_key_v1.json").read_text(encoding="utf-8"))


def decoded(field):
    return base64.b64decode(VECTOR[field])


@pytest.fixture
def vector_ring():
    return Keyring.from_raw_keys([decoded("private_key")])


@pytest.fixture
def handed():
    return ServerDataKeys(decoded("public_key"))


@pytest.fixture
def posted(make_store, handed, producer, scope):
    """What a worker with only the public key pushes."""
    return replace(make_store(inline_bytes=1_000), keys=handed).put(
        "a value", producer=producer, key="return_value", scope=scope
    )


class TestASealedKey:
    @pytest.mark.parametrize("field", ["dag_id", "run_id", "task_id", "key", "ti_id"])
    def test_does_not_open_about_another_producer(self, vector_ring, posted, field):
        row = posted.to_row()
        row["producer"] = row["producer"] | {field: "another"}
        altered = Reference.from_row(row)

        with pytest.raises(EnvelopeError):
            vector_ring.open_sealed_key(altered.sealed_key, key_id=altered.key_id, context=altered.context())

    def test_does_not_open_where_one_bit_differs(self, vector_ring, posted):
        for position in range(len(posted.sealed_key)):
            altered = bytearray(posted.sealed_key)
            altered[position] ^= 1
            with pytest.raises(EnvelopeError):
                vector_ring.open_sealed_key(bytes(altered), key_id=posted.key_id, context=posted.context())

    def test_does_not_open_under_another_key(self, ring, vector_ring, posted):
        with pytest.raises(UnknownKeyError):
            ring.open_sealed_key(posted.sealed_key, key_id=posted.key_id, context=posted.context())
        replaced = replace(vector_ring.keys[0], exchange_key=ring.keys[0].exchange_key)
        with pytest.raises(EnvelopeError):
            Keyring((replaced,)).open_sealed_key(posted.sealed_key, key_id=posted.key_id, context=posted.context())

    def test_must_hold_a_data_key(self, vector_ring):
        sealed_key = seal_data_key(b"short", public_key=decoded("public_key"), context=b"c")

        with pytest.raises(EnvelopeError):
            vector_ring.open_sealed_key(sealed_key, key_id=vector_ring.current_key_id, context=b"c")

    def test_is_no_wrapped_key_and_the_reverse(self, vector_ring, posted):
        with pytest.raises(EnvelopeError):
            vector_ring.unwrap(posted.sealed_key, key_id=posted.key_id, context=posted.context())
        key_id, wrapped = vector_ring.wrap(b"d" * 32, context=b"c")
        with pytest.raises(EnvelopeError):
            vector_ring.open_sealed_key(wrapped, key_id=key_id, context=b"c")

    def test_in_a_row_is_refused_by_everybody(self, vector_ring, handed, posted):
        with pytest.raises(EnvelopeError, match="no API server has accepted it"):
            LocalDataKeys(vector_ring).recover(posted)
        with pytest.raises(EnvelopeError, match="no API server has accepted it"):
            handed.recover(replace(posted, answer=ServerAnswer(b"d" * 32)))

    def test_of_the_frozen_format_opens(self, vector_ring):
        reference = Reference.from_row(VECTOR["row"])
        context = reference.context()
        data_key = vector_ring.open_sealed_key(reference.sealed_key, key_id=reference.key_id, context=context)

        assert data_key == decoded("data_key")
        assert sealing.open_sealed(reference.inline, data_key=data_key, context=context) == decoded("payload")
        assert reference.to_row() == VECTOR["row"]

    def test_shows_in_no_repr(self, posted, vector_ring, handed):
        shown = repr(posted) + repr(vector_ring) + repr(replace(posted, answer=ServerAnswer(b"secret data key" * 2)))

        assert base64.b64encode(posted.sealed_key).decode()[:16] not in shown
        assert "secret data key" not in shown


class TestAWorkerWithoutThePrivateKey:
    def test_says_what_is_missing_where_nobody_answered(self, handed, put):
        with pytest.raises(ConfigurationError, match="plugin 'exclusive' is not loaded"):
            handed.recover(put())

    def test_says_that_the_server_could_not_open_it(self, handed, put):
        with pytest.raises(EnvelopeError, match="could not open"):
            handed.recover(replace(put(), answer=ServerAnswer(None)))

    @pytest.mark.parametrize(
        ("reason", "kind", "message"),
        [
            ("unknown-key", UnknownKeyError, r"sealed under key '{key_id}', which the API server does not hold"),
            ("no-private-key", ConfigurationError, "The API server holds no private key"),
            ("superseded-try", EnvelopeError, "by an earlier try .* clear and re-run task 'extract'"),
            ("altered", EnvelopeError, "its row is not what the producer wrote"),
            ("of a later release", EnvelopeError, "could not open"),
        ],
    )
    def test_says_why_the_server_could_not(self, handed, put, reason, kind, message):
        reference = put()
        answered = Reference.from_answer(reference.to_answer(ServerAnswer(None, reason)))

        with pytest.raises(kind, match=message.format(key_id=reference.key_id)) as failure:
            handed.recover(answered)
        assert type(failure.value) is kind
        assert getattr(failure.value, "key_id", reference.key_id) == reference.key_id

    @pytest.mark.parametrize("data_key", [b"", b"short", b"x" * 33])
    def test_opens_nothing_with_a_wrong_data_key(self, make_store, handed, put, consumer, data_key):
        reference = replace(put(), answer=ServerAnswer(data_key))

        with pytest.raises(EnvelopeError):
            replace(make_store(), keys=handed).get(reference, reader=consumer)

    def test_opens_what_it_was_handed(self, make_store, ring, handed, put, consumer):
        reference = put()
        data_key = LocalDataKeys(ring).recover(reference)
        row = reference.to_answer(ServerAnswer(data_key))

        assert replace(make_store(), keys=handed).get(Reference.from_answer(row), reader=consumer) == "a value"


class TestAnAnswer:
    @pytest.mark.parametrize("data_key", [3, "not base64!", ["x"], {"a": 1}])
    def test_that_is_malformed_is_refused(self, put, data_key):
        with pytest.raises(EnvelopeError):
            Reference.from_answer(put().to_row() | {"data_key": data_key})

    def test_has_no_place_in_a_stored_row(self, put):
        row = put().to_answer(ServerAnswer(b"d" * 32))

        with pytest.raises(EnvelopeError):
            Reference.from_row(row)
        assert without_answer(row) == put().to_row() | without_answer(row)
        assert "data_key" not in without_answer(row)

    def test_does_not_matter_to_who_holds_the_private_key(self, store, put, consumer):
        reference = Reference.from_answer(put().to_answer(ServerAnswer(b"planted" * 5)))

        assert store.get(reference, reader=consumer) == "a value"
