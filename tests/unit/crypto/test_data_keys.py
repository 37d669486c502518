"""Secrets that workers without the private key sealed, and what such workers are handed."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys, ServerDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.exceptions import ConfigurationError, EnvelopeError, UnknownKeyError
from airflow_provider_exclusive.format.reference import Reference, ServerAnswer, to_answer, without_answer
from tests.rows import forged

VECTOR = Path(__file__).parents[2] / "vectors" / "sealed_v1.json"
OTHER_TRY = "0193b1a2-0000-7000-8000-00000000000f"


@pytest.fixture
def server_ring(raw_key):
    """The private key of the API server, whose public half the worker has."""
    return Keyring.from_raw_keys([raw_key("the API server")])


@pytest.fixture
def handed(server_ring):
    return ServerDataKeys(server_ring.keys[0].public)


@pytest.fixture(params=[0, 1_000], ids=["stored", "in the row"])
def posted(request, make_store, handed, put):
    """What a worker with only the public key pushes."""
    return put(into=replace(make_store(inline_bytes=request.param), keys=handed))


class TestWhatIsSealed:
    @pytest.mark.parametrize(
        "change",
        [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"key": "x"}, {"map_index": 3}, {"ti_id": OTHER_TRY}],
    )
    def test_does_not_open_about_another_producer(self, server_ring, posted, change):
        altered = Reference.from_row(forged(posted.to_row(), **change))

        with pytest.raises(EnvelopeError):
            server_ring.open_secret(altered.sealed, key_id=altered.key_id, context=altered.context())

    def test_does_not_open_where_one_bit_differs(self, server_ring, posted):
        for position in range(len(posted.sealed)):
            altered = bytearray(posted.sealed)
            altered[position] ^= 1
            with pytest.raises(EnvelopeError):
                server_ring.open_secret(bytes(altered), key_id=posted.key_id, context=posted.context())

    def test_does_not_open_under_another_key(self, ring, server_ring, posted):
        with pytest.raises(UnknownKeyError):
            ring.open_secret(posted.sealed, key_id=posted.key_id, context=posted.context())
        replaced = replace(server_ring.keys[0], exchange_key=ring.keys[0].exchange_key)
        with pytest.raises(EnvelopeError):
            Keyring((replaced,)).open_secret(posted.sealed, key_id=posted.key_id, context=posted.context())

    def test_is_not_what_is_wrapped_and_the_reverse(self, server_ring, posted):
        with pytest.raises(EnvelopeError):
            server_ring.unwrap(posted.sealed, key_id=posted.key_id, context=posted.context())
        key_id, wrapped = server_ring.wrap(b"d" * 32, context=b"c")
        with pytest.raises(EnvelopeError):
            server_ring.open_secret(wrapped, key_id=key_id, context=b"c")

    def test_in_a_row_is_refused_by_everybody(self, server_ring, handed, posted):
        with pytest.raises(EnvelopeError, match="no API server has accepted it"):
            LocalDataKeys(server_ring).recover(posted)
        with pytest.raises(EnvelopeError, match="no API server has accepted it"):
            handed.recover(replace(posted, answer=ServerAnswer(b"d" * 32)))

    def test_of_the_frozen_format_opens(self):
        vector = json.loads(VECTOR.read_text(encoding="utf-8"))
        ring = Keyring.from_raw_keys([base64.b64decode(vector["private_key"])])
        reference = Reference.from_row(vector["row"])
        secret = ring.open_secret(reference.sealed, key_id=reference.key_id, context=reference.context())

        assert secret == base64.b64decode(vector["secret"])
        assert ring.keys[0].public == base64.b64decode(vector["public_key"])
        assert reference.to_row() == vector["row"]

    def test_shows_in_no_repr(self, posted, server_ring, handed):
        answered = replace(posted, answer=ServerAnswer(b"secret data key" * 2))
        shown = repr(posted) + repr(server_ring) + repr(handed) + repr(answered)

        assert repr(posted.sealed)[2:20] not in shown
        assert base64.b64encode(posted.sealed).decode()[:16] not in shown
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
        answered = Reference.from_answer(to_answer(reference.to_row(), ServerAnswer(None, reason)))

        with pytest.raises(kind, match=message.format(key_id=reference.key_id)) as failure:
            handed.recover(answered)
        assert type(failure.value) is kind
        assert getattr(failure.value, "key_id", reference.key_id) == reference.key_id

    @pytest.mark.parametrize("inline_bytes", [0, 1_000])
    @pytest.mark.parametrize("secret", [b"", b"short", b"x" * 33])
    def test_opens_nothing_with_a_secret_of_another_length(
        self, make_store, handed, put, consumer, secret, inline_bytes
    ):
        reference = replace(put(into=make_store(inline_bytes=inline_bytes)), answer=ServerAnswer(secret))

        with pytest.raises(EnvelopeError):
            replace(make_store(), keys=handed).get(reference, reader=consumer)

    @pytest.mark.parametrize("inline_bytes", [0, 1_000])
    def test_opens_what_it_was_handed(self, make_store, ring, handed, put, consumer, inline_bytes):
        reference = put(into=make_store(inline_bytes=inline_bytes))
        secret = LocalDataKeys(ring).recover(reference)
        row = to_answer(reference.to_row(), ServerAnswer(secret))

        assert replace(make_store(), keys=handed).get(Reference.from_answer(row), reader=consumer) == "a value"


class TestAnAnswer:
    @pytest.mark.parametrize("secret", [3, "not base64!", ["x"], {"a": 1}])
    def test_that_is_malformed_is_refused(self, put, secret):
        with pytest.raises(EnvelopeError, match="The API server's answer to this read is invalid"):
            Reference.from_answer(put().to_row() | {"opened": secret})

    def test_has_no_place_in_a_stored_row(self, put):
        stored = put().to_row()
        row = to_answer(stored, ServerAnswer(b"d" * 32))

        with pytest.raises(EnvelopeError):
            Reference.from_row(row)
        assert without_answer(row) == stored

    def test_does_not_matter_to_who_holds_the_private_key(self, store, put, consumer):
        reference = Reference.from_answer(to_answer(put().to_row(), ServerAnswer(b"planted" * 5)))

        assert store.get(reference, reader=consumer) == "a value"
