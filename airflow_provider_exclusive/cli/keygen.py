"""``airflow exclusive keygen``: a fresh key pair."""

from __future__ import annotations

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from airflow_provider_exclusive.cli.output import emit, emit_json
from airflow_provider_exclusive.crypto.keyring import PrivateKey, format_key

_TEXT: Final = """\
# A fresh key pair, key_id {key_id}. It is shown this once and stored nowhere.
#
# The API server gets both lines. So does every process that is to open values by itself: a triggerer, dag.test(), or
# the whole of an Airflow on one machine.
# A worker gets public_key alone: it can seal values, and opens them only through the API server, which decides.

[exclusive]
private_key = {private_key}
public_key = {public_key}

# Rather than in a file, keep the private key where Airflow fetches it, with one of these instead of private_key:
#   private_key_cmd = cat /run/secrets/exclusive_private_key
#   private_key_secret = exclusive_private_key
# (the latter names a secret of the [secrets] backend), or in the environment as AIRFLOW__EXCLUSIVE__PRIVATE_KEY.
# To rotate, put the new private key before the old one, separated by a comma, and replace public_key everywhere."""


def keygen(args: Any) -> None:
    """Print a pair and who gets which half; nothing is logged or stored."""
    raw = X25519PrivateKey.generate().private_bytes_raw()
    key = PrivateKey.from_raw(raw)
    pair = {"private_key": format_key(raw), "public_key": format_key(key.public), "key_id": key.key_id}
    if args.output == "json":
        emit_json(pair)
    else:
        emit(_TEXT.format(**pair))
