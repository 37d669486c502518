"""The frozen wire format: what old releases wrote must open, what an attacker might write must not."""

import base64
import hashlib
import json
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airflow_provider_exclusive import exceptions
from airflow_provider_exclusive.access.hand_over import CONF_KEY, read_pointer
from airflow_provider_exclusive.access.hand_over_record import open_record
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.crypto.sealing import open_sealed
from airflow_provider_exclusive.format.reference import Reference

FOLDER = Path(__file__).parent.parent / "vectors"
VALID = json.loads((FOLDER / "reference_v1.json").read_text())
INVALID = json.loads((FOLDER / "reference_v1_invalid.json").read_text())
HANDED = json.loads((FOLDER / "hand_over_v1.json").read_text())
VALID += HANDED
DIGESTS = {
    "hand_over_v1.json": "eea795580d8d6810aa1b43ffb79ace23b6ddadfdb1af4ab35d2d2a60ce4996ac",
    "reference_v1.json": "9568fe4ddaeb388e097d065f53a25c2c914948b2880969d07c242fbd41b521af",
    "reference_v1_invalid.json": "7b70f25398ef2d4ac7dbe59338bcc7b8ff3a49e345aa5b062dd5ed4183ec5ddf",
    "sealed_key_v1.json": "0dce558156afafa9341806bef8ae4fa18f138adb0c717aa49cebc6a772060576",
}


def open_vector(vector):
    """Open a row and its payload as the package does."""
    ring = Keyring.from_raw_keys([base64.b64decode(vector["private_key"])])
    reference = Reference.from_row(vector["row"])
    context = reference.context()
    data_key = ring.unwrap(reference.wrapped_key, key_id=reference.key_id, context=context)
    sealed = reference.inline if reference.at is None else base64.b64decode(vector["sealed"])
    return context, open_sealed(sealed, data_key=data_key, context=context)


@pytest.mark.parametrize("vector", INVALID, ids=lambda vector: vector["why"])
def test_an_invalid_vector_is_refused_by_the_error_it_names(vector):
    with pytest.raises(exceptions.EnvelopeError) as refusal:
        open_vector(vector)
    assert type(refusal.value).__name__ == vector["error"]


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: vector["name"])
def test_a_valid_vector_opens(vector):
    context, payload = open_vector(vector)
    assert (context.hex(), payload.hex()) == (vector["context_hex"], vector["payload_hex"])


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: vector["name"])
def test_a_valid_vector_is_written_back_as_it_is(vector):
    assert Reference.from_row(vector["row"]).to_row() == vector["row"]


@pytest.mark.parametrize("vector", HANDED, ids=lambda vector: vector["name"])
def test_a_vector_admits_the_caller_as_it_always_did(vector):
    scope = Reference.from_row(vector["row"]).scope
    assert scope.admits_caller == (vector["hand_over"] is None)
    assert scope.is_open == (vector["hand_over"] is not None)


def test_a_hand_over_record_says_what_it_always_said():
    (vector,) = (vector for vector in HANDED if vector["hand_over"])
    trigger = read_pointer({CONF_KEY: vector["hand_over"]["pointer"]})

    assert trigger.is_same_task_instance(Reference.from_row(vector["row"]).producer)
    keys = LocalDataKeys(Keyring.from_raw_keys([base64.b64decode(vector["private_key"])]))
    hand_over = open_record(Reference.from_row(vector["row"]), keys=keys)
    assert (hand_over.dag_id, hand_over.run_id) == ("reporting", "child-1")
    assert [(name, source.at.map_index) for name, source in hand_over.sources.items()] == [
        ("rows", -1),
        ("parts", None),
    ]
    assert hand_over.to_record() == vector["hand_over"]["record"]


@pytest.mark.parametrize("name", DIGESTS)
def test_the_files_are_the_frozen_ones(name):
    # Line ends aside: a checkout may change those.
    assert hashlib.sha256((FOLDER / name).read_text().encode()).hexdigest() == DIGESTS[name]


# --- the same once more, from the description of the format alone


def encoded(value):
    if value is None:
        return b"n"
    if isinstance(value, dict):
        tag, content = b"d", b"".join(encoded(part) for pair in sorted(value.items()) for part in pair)
    elif isinstance(value, list):
        tag, content = b"l", b"".join(encoded(part) for part in value)
    else:
        tag, content = (b"i" if isinstance(value, int) else b"s"), str(value).encode()
    return tag + struct.pack(">Q", len(content)) + content


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: vector["name"])
def test_a_valid_vector_opens_without_this_package(vector):
    row, raw = vector["row"], base64.b64decode(vector["private_key"])
    bound = {"at": None} | {name: row[name] for name in row if name not in {"inline", "key_id", "wrapped_key"}}
    context = b"airflow-provider-exclusive reference" + encoded(bound)
    assert context.hex() == vector["context_hex"]

    public = X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
    assert row["key_id"] == hashlib.sha256(b"airflow-provider-exclusive/v1/key-id" + public).hexdigest()[:32]

    info = b"airflow-provider-exclusive/v1/wrapping-key"
    wrapping_key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(raw)
    key_id = row["key_id"].encode()
    wrap_context = b"airflow-provider-exclusive wrap" + struct.pack(">Q", len(key_id)) + key_id + context
    wrapped = base64.b64decode(row["wrapped_key"])
    data_key = AESGCM(wrapping_key).decrypt(wrapped[:12], wrapped[12:], wrap_context)

    sealed = base64.b64decode(row["inline"] if "inline" in row else vector["sealed"])
    assert AESGCM(data_key).decrypt(bytes(12), sealed, context).hex() == vector["payload_hex"]
