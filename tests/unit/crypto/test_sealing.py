"""Payloads are sealed by AES-256-GCM: what was changed anywhere does not open."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_exclusive.crypto.sealing import (
    MAX_PAYLOAD_BYTES,
    TAG_BYTES,
    Opening,
    Sealing,
    new_data_key,
)
from airflow_provider_exclusive.exceptions import CodecError, EnvelopeError
from tests.sealed import open_sealed, seal

KEY, OTHER_KEY = (hashlib.sha256(name).digest() for name in (b"a key", b"another key"))
CONTEXT = b"etl/run-1/extract"
VALUE = b"what the producer pushed"
SIZE = len(VALUE)
SEALED = seal(VALUE, data_key=KEY, context=CONTEXT)


def refused(sealed, *, data_key=KEY, context=CONTEXT):
    with pytest.raises(EnvelopeError, match="cannot be opened") as refusal:
        open_sealed(sealed, data_key=data_key, context=context)
    return str(refusal.value)


# --- what does not open


@pytest.mark.parametrize("position", range(len(SEALED)))
def test_a_changed_byte_is_refused(position):
    changed = bytearray(SEALED)
    changed[position] ^= 1
    refused(changed)


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_a_truncated_payload_is_refused(length):
    refused(SEALED[:length])


@pytest.mark.parametrize("more", [b"\0", SEALED, bytes(TAG_BYTES)], ids=["a byte", "itself", "another tag"])
def test_an_extended_payload_is_refused(more):
    refused(SEALED + more)
    refused(more + SEALED)


def test_another_data_key_is_refused():
    refused(SEALED, data_key=OTHER_KEY)


@pytest.mark.parametrize("context", [b"", CONTEXT + b"\0", CONTEXT[:-1], CONTEXT.upper()])
def test_another_context_is_refused(context):
    refused(SEALED, context=context)


@pytest.mark.parametrize("data_key", [b"", KEY[:16], KEY[:31], KEY + b"\0"])
def test_a_data_key_of_another_length_is_refused(data_key):
    refused(SEALED, data_key=data_key)


def test_every_failure_has_the_same_message():
    assert len({refused(SEALED[:-1]), refused(SEALED, data_key=OTHER_KEY), refused(SEALED, context=b"")}) == 1


@pytest.mark.parametrize("size", [MAX_PAYLOAD_BYTES + 1, 2**63 - 1])
def test_more_than_the_cipher_seals_is_refused(size):
    with pytest.raises(EnvelopeError):
        Opening(size, data_key=KEY, context=CONTEXT)


# --- while it arrives


def opening(size=SIZE):
    return Opening(size, data_key=KEY, context=CONTEXT)


def test_nothing_is_returned_before_anything_arrived():
    with pytest.raises(EnvelopeError):
        opening().finish()


def test_nothing_is_returned_before_the_tag_arrived():
    begun = opening()
    begun.write(SEALED[:-1])
    with pytest.raises(EnvelopeError):
        begun.finish()


def test_an_empty_value_needs_its_tag():
    empty = opening(size=0)
    empty.write(b"")
    with pytest.raises(EnvelopeError):
        empty.finish()


@pytest.mark.parametrize("size", [SIZE - 1, SIZE + 1])
def test_a_size_that_is_not_that_of_the_value_is_refused(size):
    wrong = opening(size)
    wrong.write(SEALED)
    with pytest.raises(EnvelopeError):
        wrong.finish()


def test_bytes_after_the_tag_are_refused_and_not_kept():
    flooded = opening()
    flooded.write(SEALED)
    for _ in range(100):
        flooded.write(bytes(1000))
    assert len(flooded._tag) <= 2 * TAG_BYTES + 1
    with pytest.raises(EnvelopeError):
        flooded.finish()


@pytest.mark.parametrize("chunk", [1, 7, TAG_BYTES, len(SEALED)])
def test_it_opens_however_it_arrives(chunk):
    begun = opening()
    for position in range(0, len(SEALED), chunk):
        begun.write(SEALED[position : position + chunk])
    assert begun.finish() == VALUE


def test_a_restart_discards_what_arrived():
    begun = opening()
    begun.write(b"garbage of an attempt that failed")
    begun.restart()
    assert not begun.has_begun
    begun.write(SEALED)
    assert begun.finish() == VALUE


def test_it_has_begun_even_with_an_empty_piece():
    begun = opening()
    assert not begun.has_begun
    begun.write(b"")
    assert begun.has_begun


# --- what opens


@given(st.binary(max_size=100), st.binary(max_size=20))
def test_what_was_sealed_opens(value, context):
    assert open_sealed(seal(value, data_key=KEY, context=context), data_key=KEY, context=context) == value


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_pieces_are_sealed_as_the_whole(pieces):
    assert seal(*pieces, data_key=KEY, context=CONTEXT) == seal(b"".join(pieces), data_key=KEY, context=CONTEXT)


@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 600_000])
def test_it_is_aes_256_gcm_with_a_nonce_of_zeros(size):
    value = hashlib.shake_256(b"a value").digest(size)
    assert seal(value, data_key=KEY, context=CONTEXT) == AESGCM(KEY).encrypt(bytes(12), value, CONTEXT)


def test_it_says_how_long_it_will_be():
    sealing = Sealing([b"abc", memoryview(b"de")], data_key=KEY, context=CONTEXT)
    assert len(sealing) == len(b"".join(map(bytes, sealing))) == 5 + TAG_BYTES


@pytest.mark.parametrize("changed", [0, 300_000, 599_999])
def test_memory_that_changed_is_not_sealed_under_the_same_key(changed):
    memory = bytearray(600_000)
    sealing = Sealing([b"first", memoryview(memory)], data_key=KEY, context=CONTEXT)
    first = b"".join(map(bytes, sealing))
    memory[changed] = 1
    second = []
    with pytest.raises(CodecError, match=r"changed while it was being stored.*Push a copy"):
        second.extend(map(bytes, sealing))
    assert first.startswith(b"".join(second)), "what differs must not leave the process"


def test_what_was_not_sealed_yet_may_change():
    memory = bytearray(600_000)
    sealing = Sealing([memory], data_key=KEY, context=CONTEXT)
    broken_off = bytes(next(iter(sealing)))
    memory[-1] = 1
    sealed = b"".join(map(bytes, sealing))
    assert sealed.startswith(broken_off)
    assert open_sealed(sealed, data_key=KEY, context=CONTEXT) == memory
    assert b"".join(map(bytes, sealing)) == sealed


def test_sealing_overwrites_one_buffer():
    sealing = Sealing([bytes(1 << 20)], data_key=KEY, context=CONTEXT)
    *pieces, tag = sealing
    assert len({id(piece.obj) for piece in pieces}) == 1
    assert len(tag) == TAG_BYTES


def test_an_opened_value_can_be_written_to():
    first, second = (open_sealed(SEALED, data_key=KEY, context=CONTEXT) for _ in range(2))
    first[0] = 0
    assert second == VALUE


def test_every_data_key_is_another():
    assert len({new_data_key() for _ in range(100)}) == 100
    assert {len(new_data_key()) for _ in range(10)} == {32}
