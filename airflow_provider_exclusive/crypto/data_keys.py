"""
Protect the secrets of pushed values, and recover those of values that may be read.

The secret of a value is its data key or, if it is small, the encoded value itself. A process with the private key does
both locally. A process without it (a hardened deployment) seals each secret to the public key, and reads only values
whose secrets the API server sends after it has decided.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from airflow_provider_exclusive.crypto.keyring import Keyring, key_id_of, seal_secret
from airflow_provider_exclusive.exceptions import ConfigurationError, EnvelopeError, UnknownKeyError
from airflow_provider_exclusive.format.reference import NO_PRIVATE_KEY, SUPERSEDED, UNKNOWN_KEY, Reference


class DataKeys(ABC):
    """Protects and recovers the secrets in references."""

    @property
    @abstractmethod
    def key_id(self) -> str:
        """The id of the private key that protects what this process seals."""

    @abstractmethod
    def protect(self, secret: bytes, reference: Reference) -> Reference:
        """Return ``reference`` with its secret, protected and bound to the context of the reference."""

    @abstractmethod
    def recover(self, reference: Reference) -> bytes:
        """
        Return the secret of ``reference``.

        :raises EnvelopeError: if the reference is not what its producer wrote, or its key is unknown.
        :raises ConfigurationError: if this process has no private key, and the API server has no plugin or no key.
        """


@dataclass(frozen=True, slots=True)
class LocalDataKeys(DataKeys):
    """The keys of a process that holds the private key."""

    keyring: Keyring

    @property
    def key_id(self) -> str:
        """The id of the current key."""
        return self.keyring.current_key_id

    def protect(self, secret: bytes, reference: Reference) -> Reference:
        """Wrap the secret."""
        key_id, wrapped = self.keyring.wrap(secret, context=reference.context())
        return replace(reference, key_id=key_id, wrapped=wrapped)

    def recover(self, reference: Reference) -> bytes:
        """Unwrap the secret. One that is sealed is refused, because anybody can seal."""
        _refuse_sealed(reference)
        return self.keyring.unwrap(reference.wrapped, key_id=reference.key_id, context=reference.context())


@dataclass(frozen=True, slots=True)
class ServerDataKeys(DataKeys):
    """
    The keys of a process that holds only the public key.

    :param public_key: 32 raw bytes of X25519.
    """

    public_key: bytes

    @property
    def key_id(self) -> str:
        """The id of the private key that belongs to the public key."""
        return key_id_of(self.public_key)

    def protect(self, secret: bytes, reference: Reference) -> Reference:
        """Seal the secret to the holder of the private key."""
        sealed = seal_secret(secret, public_key=self.public_key, context=reference.context())
        return replace(reference, key_id=key_id_of(self.public_key), sealed=sealed)

    def recover(self, reference: Reference) -> bytes:
        """Return the secret that the API server sent with this reference."""
        if reference.answer is None:
            raise missing_plugin("did not open the value for it")
        _refuse_sealed(reference)
        if reference.answer.secret is None:
            raise _not_opened(reference, reference.answer.not_opened)
        return reference.answer.secret


def missing_private_key(consequence: str) -> ConfigurationError:
    """
    Return the error for an API server without a private key.

    :param consequence: what it therefore could not do.
    """
    return ConfigurationError(
        f"The API server holds no private key, so {consequence}. Set [exclusive] private_key where the API server "
        "runs, to the private half that airflow exclusive keygen printed with the worker's public_key, and restart it.",
        option="[exclusive] private_key",
    )


def missing_plugin(symptom: str) -> ConfigurationError:
    """
    Return the error for a worker without the private key whose API server has no plugin.

    :param symptom: what the API server did or did not do.
    """
    return ConfigurationError(
        f"This worker holds no private key, and the API server {symptom}: the plugin 'exclusive' is not loaded there. "
        "Install airflow-provider-exclusive where the API server runs, set [exclusive] private_key there, and do not "
        "start it with --apps execution, which loads no plugins. dag.test() uses no API server: set the private key in "
        "its own process.",
        option="[exclusive] private_key",
    )


def _not_opened(reference: Reference, reason: str | None) -> ConfigurationError | EnvelopeError:
    clear = f"clear and re-run task {reference.producer.task_id!r} of that run"
    if reason == UNKNOWN_KEY:
        return UnknownKeyError(
            f"This value is sealed under key {reference.key_id!r}, which the API server does not hold. Add the old "
            f"private key there, at the end of [exclusive] private_key, or {clear}.",
            key_id=reference.key_id,
        )
    if reason == NO_PRIVATE_KEY:
        return missing_private_key("it could not open this value")
    if reason == SUPERSEDED:
        return EnvelopeError(
            f"The output {reference.key!r} of {reference.producer} was written by an earlier try of that task, and "
            f"is no longer valid. To write it again, {clear}."
        )
    return EnvelopeError(
        f"The API server could not open the output {reference.key!r} of {reference.producer}: its row is not what the "
        f"producer wrote. Find out who can write there, and {clear}."
    )


def _refuse_sealed(reference: Reference) -> None:
    # Anybody can seal to the public key, so a row that holds what was sealed does not prove who wrote it.
    if reference.sealed is not None:
        raise EnvelopeError(
            "This exclusive value was pushed by a worker without the private key, and no API server has accepted it: "
            "the plugin 'exclusive' was not loaded there, or the API server had no private key. Fix that (airflow "
            "exclusive doctor names the cause), then clear and re-run the producer task."
        )
