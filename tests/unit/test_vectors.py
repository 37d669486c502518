"""The frozen wire format: what old releases wrote must open, what an attacker might write must not."""

import base64
import hashlib
import json
import re
import struct
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airflow_provider_exclusive import exceptions
from airflow_provider_exclusive.access.hand_over import CONF_KEY, read_pointer
from airflow_provider_exclusive.access.hand_over_record import open_record
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.crypto.sealing import cannot_be_opened
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.store import object_key_of
from tests.sealed import open_sealed

FOLDER = Path(__file__).parent.parent / "vectors"
VALID = json.loads((FOLDER / "reference_v1.json").read_text())
INVALID = json.loads((FOLDER / "reference_v1_invalid.json").read_text())
HANDED = json.loads((FOLDER / "hand_over_v1.json").read_text())
VALID += HANDED
SEALED = json.loads((FOLDER / "sealed_v1.json").read_text())
DIGESTS = {
    "hand_over_v1.json": "8ed46a093f4a88c2a94bcbd5394dc320be964817a6e62e22e0c5bdb35528ad05",
    "reference_v1.json": "3ff0b9709914b7c6466859d8151ecdda1bb28596ab841b935b34460b9a713db5",
    "reference_v1_invalid.json": "e09c1a9d4c827210ca3786b4a0fe42ae993b28dcb8abc09e2f77f3f82a89dd3e",
    "sealed_v1.json": "e614610216a1cb0aa9fbe25b1bfd9eff1f6eda03e26e3f9613327307400a9ff9",
}


def open_vector(vector):
    """Open a row and its payload as the package does."""
    reference = Reference.from_row(vector["row"])
    context = reference.context()
    keys = LocalDataKeys(Keyring.from_raw_keys([base64.b64decode(vector["private_key"])]))
    secret = keys.recover(reference)
    if reference.store is None:
        if len(secret) != reference.size:
            raise cannot_be_opened()
        return context, secret
    return context, open_sealed(base64.b64decode(vector["sealed"]), data_key=secret, context=context)


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


@pytest.mark.parametrize("vector", [one for one in VALID if one["sealed"]], ids=lambda vector: vector["name"])
def test_a_payload_is_where_it_was_stored(vector):
    assert object_key_of(Reference.from_row(vector["row"])) == vector["object_key"]


def test_what_a_worker_sealed_opens_where_the_key_is():
    ring = Keyring.from_raw_keys([base64.b64decode(SEALED["private_key"])])
    reference = Reference.from_row(SEALED["row"])
    assert ring.keys[0].public == base64.b64decode(SEALED["public_key"])
    assert reference.to_row() == SEALED["row"]
    opened = ring.open_secret(reference.sealed, key_id=reference.key_id, context=reference.context())
    assert opened == base64.b64decode(SEALED["secret"])


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


def named(label, key_id, context):
    return label + struct.pack(">Q", len(key_id)) + key_id + context


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: vector["name"])
def test_a_valid_vector_opens_without_this_package(vector):
    row, raw = vector["row"], base64.b64decode(vector["private_key"])
    content = base64.b64decode(row["sealed"])
    in_row = re.search(r" in (\w+)", row["__exclusive__"])[1] == "row"
    (length,) = struct.unpack(">H", content[37:39])
    end = 39 + length + (0 if in_row else 16)
    texts = [row[name].encode() for name in ("__exclusive__", "consumers")]
    bound = b"".join(struct.pack(">I", len(text)) + text for text in texts) + content[17:end]
    context = b"airflow-provider-exclusive reference" + bound
    assert context.hex() == vector["context_hex"]

    public = X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
    key_id = hashlib.sha256(b"airflow-provider-exclusive/v1/key-id" + public).hexdigest()[:32]
    assert (content[0], content[1:17].hex()) == (0, key_id)

    info = b"airflow-provider-exclusive/v1/wrapping-key"
    wrapping_key = HKDF(algorithm=SHA256(), length=64, salt=None, info=info).derive(raw)
    wrap_context = named(b"airflow-provider-exclusive wrap", key_id.encode(), context)
    secret = AESSIV(wrapping_key).decrypt(content[end:], [wrap_context])
    if not in_row:
        secret = AESGCM(secret).decrypt(bytes(12), base64.b64decode(vector["sealed"]), context)
    assert secret.hex() == vector["payload_hex"]


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: vector["name"])
def test_the_names_are_read_without_this_package(vector):
    content = base64.b64decode(vector["row"]["sealed"])
    map_index, length = struct.unpack(">iH", content[33:39])
    dag_id, run_id, task_id, key = content[39 : 39 + length].decode().split("\0")
    if run_id.startswith("\1"):
        packed, rest = run_id[1:].split("\1")
        word = {"m": "manual", "s": "scheduled", "b": "backfill", "a": "asset_triggered"}[packed[0]]
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(packed[1:], 16))
        run_id = f"{word}__{moment.isoformat()}{rest}"
    producer = Reference.from_row(vector["row"]).producer
    assert (producer.dag_id, producer.run_id, producer.task_id, producer.map_index) == (
        dag_id, run_id, task_id, map_index
    )  # fmt: skip
    assert uuid.UUID(producer.ti_id or "0" * 32).bytes == content[17:33]
    assert Reference.from_row(vector["row"]).key == (key or "return_value")
