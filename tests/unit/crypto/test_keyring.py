import base64
import hashlib
import itertools
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_exclusive.crypto import keyring, sealing
from airflow_provider_exclusive.crypto.keyring import Keyring, PrivateKey, format_key, parse_key
from airflow_provider_exclusive.exceptions import ConfigurationError, EnvelopeError, UnknownKeyError
from tests.sealed import open_sealed, seal

OPTION = "[exclusive] private_key"


def some_bytes(count):
    """Bytes that look random but are the same in every process, so that tests have the same names in all of them."""
    return hashlib.shake_256(b"test keys").digest(count)


def text_of(raw):
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "correct horse battery staple",
        "a passphrase of forty-four characters, no more.",
        text_of(some_bytes(31)),
        text_of(some_bytes(33)),
        text_of(some_bytes(32))[:-1],
        text_of(some_bytes(32)) + "=",
        text_of(some_bytes(32)) + text_of(some_bytes(32)),
        some_bytes(32).hex(),
        "A" * 20 + " " + "B" * 23,
        "A" * 20 + "\n" + "B" * 22 + "=",
        "é" * 43 + "=",
        "\ud800" * 43 + "=",
        "{FERNET_KEY}",
        "b'" + text_of(some_bytes(32)) + "'",
        "\x00" * 44,
    ],
)
def test_what_is_not_base64_of_32_bytes_is_no_key(text):
    with pytest.raises(ConfigurationError, match="expected base64 of exactly 32 random bytes") as refusal:
        parse_key(text, option=OPTION)
    assert refusal.value.option == OPTION
    assert str(refusal.value).endswith("airflow exclusive keygen")


@pytest.mark.parametrize(
    "raw",
    [
        bytes(32),
        b"\xff" * 32,
        b"abcd" * 8,
        b"\x01\x02\x03\x80" * 8,
        b"this is my very secret password!",
        b"0123456789abcdef0123456789abcdef",
        bytes(range(32)),
        bytes(range(255, 223, -1)),
        bytes(range(0, 224, 7)),
    ],
)
def test_a_key_that_can_be_guessed_is_refused(raw):
    with pytest.raises(ConfigurationError, match="it can be guessed"):
        parse_key(text_of(raw), option=OPTION)


@pytest.mark.parametrize("raw", [b"this is my very secret password!", some_bytes(31)])
def test_a_refusal_does_not_repeat_the_key(raw):
    with pytest.raises(ConfigurationError) as refusal:
        parse_key(text_of(raw), option=OPTION)
    said = str(refusal.value)
    assert text_of(raw) not in said
    assert not any(text_of(raw)[start : start + 8] in said for start in range(36))


def test_random_keys_are_accepted_in_both_alphabets_and_spaced():
    for _ in range(500):
        raw = os.urandom(32)
        assert parse_key(format_key(raw), option=OPTION) == raw
        assert parse_key(f"  {base64.urlsafe_b64encode(raw).decode()}\n", option=OPTION) == raw


def test_a_keyring_without_a_key_is_refused():
    with pytest.raises(ConfigurationError, match="at least one") as refusal:
        Keyring.from_raw_keys([])
    assert refusal.value.option == OPTION


def test_a_key_listed_twice_is_refused(raw_key):
    with pytest.raises(ConfigurationError, match="twice"):
        Keyring.from_raw_keys([raw_key("a"), raw_key("b"), raw_key("a")])


def test_an_unknown_key_is_named_and_not_tried(ring, raw_key):
    stranger = Keyring.from_raw_keys([raw_key("stranger")])
    key_id, wrapped = stranger.wrap(b"d" * 32, context=b"c")
    with pytest.raises(UnknownKeyError, match=key_id) as refusal:
        ring.unwrap(wrapped, key_id=key_id, context=b"c")
    assert refusal.value.key_id == key_id
    assert ring.current_key_id in str(refusal.value)


def test_a_sealed_key_to_another_public_key_names_the_option(raw_key):
    ring = Keyring.from_raw_keys([raw_key("new")])
    other = PrivateKey.from_raw(raw_key("other"))
    sealed_key = keyring.seal_secret(b"d" * 32, public_key=other.public, context=b"c")

    with pytest.raises(UnknownKeyError, match=r"\[exclusive\] public_key of this worker") as refusal:
        ring.open_secret(sealed_key, key_id=other.key_id, context=b"c")

    assert ring.current_key_id in str(refusal.value)


def test_a_key_is_chosen_by_its_id_alone(raw_key):
    both = Keyring.from_raw_keys([raw_key("new"), raw_key("old")])
    old = Keyring.from_raw_keys([raw_key("old")])
    _, wrapped = old.wrap(b"d" * 32, context=b"c")
    with pytest.raises(EnvelopeError):
        both.unwrap(wrapped, key_id=both.current_key_id, context=b"c")


def test_rotation_opens_old_values_and_uses_the_new_key(raw_key):
    old = Keyring.from_raw_keys([raw_key("old")])
    old_id, wrapped = old.wrap(b"d" * 32, context=b"c")
    rotated = Keyring.from_raw_keys([raw_key("new"), raw_key("old")])
    assert rotated.unwrap(wrapped, key_id=old_id, context=b"c") == b"d" * 32
    assert rotated.wrap(b"d" * 32, context=b"c")[0] == Keyring.from_raw_keys([raw_key("new")]).current_key_id


@pytest.mark.parametrize("length", [0, 1, 15, 16, 28, 47, 49, 120])
def test_a_wrapped_key_of_another_length_does_not_open(ring, length):
    with pytest.raises(EnvelopeError, match="cannot be opened"):
        ring.unwrap(os.urandom(length), key_id=ring.current_key_id, context=b"c")


def test_a_wrapped_key_does_not_open_in_another_context(ring):
    key_id, wrapped = ring.wrap(b"d" * 32, context=b"one")
    with pytest.raises(EnvelopeError, match="cannot be opened"):
        ring.unwrap(wrapped, key_id=key_id, context=b"two")


def test_no_bit_of_a_wrapped_key_can_be_changed(ring):
    key_id, wrapped = ring.wrap(b"d" * 32, context=b"c")
    for place, bit in itertools.product(range(len(wrapped)), range(8)):
        changed = bytearray(wrapped)
        changed[place] ^= 1 << bit
        with pytest.raises(EnvelopeError):
            ring.unwrap(bytes(changed), key_id=key_id, context=b"c")


@given(secret=st.binary(max_size=200), context=st.binary(max_size=50))
def test_a_secret_of_any_size_comes_back_16_bytes_longer(secret, context):
    ring = Keyring.from_raw_keys([some_bytes(32)])
    key_id, wrapped = ring.wrap(secret, context=context)
    assert len(wrapped) == len(secret) + 16
    assert ring.unwrap(wrapped, key_id=key_id, context=context) == secret


@given(secret=st.binary(max_size=200), context=st.binary(max_size=50))
def test_a_sealed_secret_comes_back_48_bytes_longer(secret, context):
    ring = Keyring.from_raw_keys([some_bytes(32)])
    sealed = keyring.seal_secret(secret, public_key=ring.keys[0].public, context=context)
    assert len(sealed) == len(secret) + 48
    assert ring.open_secret(sealed, key_id=ring.current_key_id, context=context) == secret


def test_wrapped_secrets_differ_with_key_context_and_secret(raw_key):
    rings = [Keyring.from_raw_keys([raw_key(name)]) for name in ("one", "other")]
    wrapped = {
        ring.wrap(secret, context=context)[1] for ring in rings for secret in (b"a", b"b") for context in (b"c", b"d")
    }
    assert len(wrapped) == 8


def test_what_was_sealed_does_not_unwrap(ring):
    sealed = keyring.seal_secret(b"d" * 32, public_key=ring.keys[0].public, context=b"c")
    with pytest.raises(EnvelopeError):
        ring.unwrap(sealed, key_id=ring.current_key_id, context=b"c")


@pytest.mark.parametrize("sealed", [b"", b"x", bytes(15), bytes(16), bytes(17)])
def test_a_payload_too_short_for_a_seal_does_not_open(sealed):
    with pytest.raises(EnvelopeError, match="cannot be opened"):
        open_sealed(sealed, data_key=b"d" * 32, context=b"")


@given(payload=st.binary(max_size=200), context=st.binary(max_size=50))
def test_a_payload_opens_with_its_key_and_context_plus_16_bytes(payload, context):
    data_key = sealing.new_data_key()
    sealed = seal(payload, data_key=data_key, context=context)
    assert len(sealed) == len(payload) + sealing.TAG_BYTES
    assert open_sealed(sealed, data_key=data_key, context=context) == payload


def test_data_keys_are_fresh():
    assert len({sealing.new_data_key() for _ in range(100)}) == 100


def test_purposes_derive_different_keys(raw_key):
    secret = raw_key("secret")
    assert keyring.derive(secret, purpose=b"one") != keyring.derive(secret, purpose=b"two")


def test_no_repr_shows_key_material(raw_key, store, put):
    raw = raw_key("current")
    reference = put("a value", into=replace(store, inline_bytes=1000))
    key = PrivateKey.from_raw(raw)
    secrets = [raw, keyring.derive(raw, purpose=b"wrapping-key", length=64), reference.wrapped]
    shown = " ".join([repr(key), repr(store.keys), repr(reference), repr(store), str(reference), repr([store])])
    for secret in secrets:
        for form in (repr(secret)[2:-1], secret.hex(), text_of(secret)):
            assert form[:16] not in shown
    assert key.key_id in shown
