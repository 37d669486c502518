"""``airflow exclusive keygen``: generate a key pair."""

from __future__ import annotations

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from airflow_provider_exclusive.cli.output import emit, emit_json
from airflow_provider_exclusive.crypto.keyring import PrivateKey, format_key

_TEXT: Final = """\
# A new key pair, key_id {key_id}. It is shown once and not stored.
#
# The API server needs both lines. So does every process that opens values by itself: a triggerer, dag.test(), or
# every component of an Airflow on one machine.
# A worker needs only public_key: it seals values with it, and opens them through the API server, which decides.

[exclusive]
private_key = {private_key}
public_key = {public_key}

# To keep the private key out of this file, replace the line private_key by one of these:
#   private_key_cmd = cat /run/secrets/exclusive_private_key
#   private_key_secret = exclusive_private_key
# (the second names a secret in the [secrets] backend), or set AIRFLOW__EXCLUSIVE__PRIVATE_KEY in the environment.
# To change a key that is in use:
# https://github.com/airflow-provider-exclusive/airflow-provider-exclusive/blob/main/docs/security.md#changing-the-key"""


def keygen(args: Any) -> None:
    """Print a key pair and which component needs which key; log and store nothing."""
    raw = X25519PrivateKey.generate().private_bytes_raw()
    key = PrivateKey.from_raw(raw)
    pair = {"private_key": format_key(raw), "public_key": format_key(key.public), "key_id": key.key_id}
    if args.output == "json":
        emit_json(pair)
    else:
        emit(_TEXT.format(**pair))
