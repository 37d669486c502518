"""
The ``[exclusive]`` section of Airflow's configuration as one frozen value.

The defaults stand here and, as provider metadata for Airflow's documentation and CLI, in ``get_provider_info``; a test
holds the two together. Reading is explicit: nothing is read at import and nothing is cached here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from airflow_provider_exclusive.crypto import keyring, sealing
from airflow_provider_exclusive.crypto.data_keys import DataKeys, LocalDataKeys, ServerDataKeys
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.format.options import Checked, Digits, Truth, WholeNumber, wrong_field
from airflow_provider_exclusive.format.reference import MAX_INLINE_BYTES

SECTION: Final = "exclusive"
_SENSITIVE: Final = ("public_key", "private_key")
_INDIRECT_FORMS: Final = ("_cmd", "_secret")
# Airflow answers a secret that is not there with the default. Here that would mean to seal under another key.
_EMPTY_SOURCE: Final = "and what it names is empty or not there. Check it, or unset it."
DEFAULTS: Final[dict[str, Any]] = {
    "conn_id": "",
    "storage": "",
    "public_key": "",
    "private_key": "",
    "inline_bytes": 512,
    "offload_bytes": 65536,
    "max_value_bytes": 2**31,
    "ttl_seconds": 2592000,
    "allow_cloudpickle": False,
    "parse_check": "error",
    "audit": "denied",
}
MAX_TTL_SECONDS: Final = 100 * 365 * 86400
"""The longest life of a payload that is not for ever, in seconds: dates end with the year 9999."""
MIN_VALUE_BYTES: Final = 1024
"""The least that values may be limited to, in bytes: the store's own checks push a value."""

_Section = TypeVar("_Section", bound=Checked)
_SIZE: Final = Field(le=sealing.MAX_PAYLOAD_BYTES, description=f"a whole number from 0 to {sealing.MAX_PAYLOAD_BYTES}")


class Settings(Checked):
    """
    What an operator of the deployment chose.

    :param conn_id: the connection that names the store; empty means :attr:`storage`.
    :param storage: the URL of a directory or an object store.
    :param inline_bytes: sealed payloads up to this size are stored in the reference itself, in bytes.
    :param offload_bytes: plain values from this encoded size go to a configured store, in bytes; 0 means never.
    :param max_value_bytes: larger encoded values are neither pushed nor pulled, in bytes.
    :param ttl_seconds: life of a payload, in seconds; None means for ever.
    """

    conn_id: str
    storage: str
    # The keyring says what is wrong with a key, without repeating it.
    public_key: str
    private_key: str = Field(repr=False)
    inline_bytes: WholeNumber = Field(le=MAX_INLINE_BYTES, description=f"a whole number from 0 to {MAX_INLINE_BYTES}")
    offload_bytes: Annotated[WholeNumber, _SIZE]
    max_value_bytes: WholeNumber = Field(
        ge=MIN_VALUE_BYTES, le=2**31, description=f"a whole number from {MIN_VALUE_BYTES} to {2**31}"
    )
    ttl_seconds: Annotated[int | None, Digits, AfterValidator(lambda seconds: seconds or None)] = Field(
        le=MAX_TTL_SECONDS, description=f"a whole number from 0 to {MAX_TTL_SECONDS}"
    )
    allow_cloudpickle: Truth = Field(description="one of true, false, 1, 0")
    audit: Literal["off", "denied", "all"] = Field(description="one of off, denied, all")

    @property
    def has_configured_store(self) -> bool:
        """Whether a store was named, rather than the embedded default taken."""
        return bool(self.conn_id or self.storage)

    @property
    def storage_url(self) -> str:
        """The URL of the store where no connection is named."""
        # as_uri quotes what a URL would take for a query or a fragment.
        return self.storage or (airflow_home() / "exclusive").absolute().as_uri()


class _ParseSettings(Checked):
    """What the Dag processor reads; a mistake in it stops no task."""

    parse_check: Literal["error", "warn", "off"] = Field(description="one of error, warn, off")


def read_settings() -> Settings:
    """
    Read the whole section.

    :raises ConfigurationError: naming the invalid option.
    """
    for option in DEFAULTS.keys() - set(_SENSITIVE):
        # Airflow ignores these forms there. Here that could mean to write into another store than was meant.
        _refuse_indirect(option, f"and Airflow reads that form for keys only. Set {option} itself; it holds no secret.")
    return _checked(Settings)


def read_parse_check() -> str:
    """
    Read how the Dag processor treats a contradiction: ``error``, ``warn`` or ``off``.

    :raises ConfigurationError: if it is none of these.
    """
    return _checked(_ParseSettings).parse_check


def read_unknown_options() -> list[str]:
    """Return the options of the section that this release does not read: misspelt, or of another release."""
    forms = {*DEFAULTS, *(f"{option}{form}" for option in _SENSITIVE for form in _INDIRECT_FORMS)}
    return sorted(set(_conf().getsection(SECTION) or ()) - forms)


def read_keyring(settings: Settings) -> Keyring:
    """
    Build the keyring from ``[exclusive] private_key``, or derive it from ``[core] fernet_key``.

    :raises ConfigurationError: if a key is missing, malformed, guessable, or does not match ``public_key``.
    """
    if settings.private_key:
        parts = settings.private_key.replace(",", " ").split()
        option = "[exclusive] private_key"
        if len(parts) > 1 and not any(map(keyring.is_as_long_as_a_key, parts)):
            parts = [settings.private_key]  # a passphrase rather than a list
        ring = Keyring.from_raw_keys(keyring.parse_key(part, option=option) for part in parts)
        _check_pair(settings, ring)
        return ring
    _refuse_indirect("private_key", _EMPTY_SOURCE)
    if settings.public_key:
        raise ConfigurationError(
            "[exclusive] public_key is set and [exclusive] private_key is not. That is right for a worker; the API "
            "server and whatever else opens values by itself needs the private key.",
            option="[exclusive] private_key",
        )
    return Keyring.from_raw_keys(
        keyring.derive(secret, purpose=b"private-key from fernet-key") for secret in _fernet_secrets()
    )


def read_data_keys(settings: Settings) -> DataKeys:
    """
    Return how this process comes by data keys: by itself, or, if it holds only ``public_key``, through the API server.

    :raises ConfigurationError: as :func:`read_keyring`.
    """
    if settings.public_key and not settings.private_key:
        _refuse_indirect("private_key", _EMPTY_SOURCE)
        return ServerDataKeys(keyring.parse_key(settings.public_key, option="[exclusive] public_key"))
    return LocalDataKeys(read_keyring(settings))


def airflow_home() -> Path:
    """Return the folder that Airflow calls ``$AIRFLOW_HOME``."""
    return Path(os.path.expandvars(os.environ.get("AIRFLOW_HOME") or "~/airflow")).expanduser()


def _check_pair(settings: Settings, ring: Keyring) -> None:
    if not settings.public_key:
        return
    public = keyring.parse_key(settings.public_key, option="[exclusive] public_key")
    if keyring.PrivateKey.from_raw(public).public == ring.keys[0].raw:
        raise ConfigurationError(
            "[exclusive] private_key and [exclusive] public_key are swapped. Swap them back. If the private key was "
            "given to workers as their public key, create a new pair: airflow exclusive keygen.",
            option="[exclusive] public_key",
        )
    if public != ring.keys[0].public:
        raise ConfigurationError(
            "[exclusive] public_key is not the public half of the first [exclusive] private_key. Set it to "
            f"{keyring.format_key(ring.keys[0].public)} or unset it.",
            option="[exclusive] public_key",
        )


def _fernet_secrets() -> list[bytes]:
    option = "[core] fernet_key"
    parts = [part.strip() for part in _read("core", "fernet_key").split(",")]
    if not any(parts) or parts == ["{FERNET_KEY}"]:
        raise ConfigurationError(
            f"Exclusive values need a key, and neither [exclusive] private_key nor {option} is set. Set one, the same "
            f"in every component. {keyring.HOW_TO_MAKE_A_KEY}",
            option=option,
        )
    try:
        # Airflow accepts a key twice; a keyring is right not to.
        return [keyring.parse_key(part, option=option) for part in dict.fromkeys(parts)]
    except ConfigurationError as malformed:
        raise ConfigurationError(
            f"Exclusive values need a key, and none can be derived: {malformed} Or set [exclusive] private_key.",
            option=option,
        ) from malformed


def _checked(section: type[_Section]) -> _Section:
    found = {option: _read(SECTION, option, fallback=DEFAULTS[option]) for option in section.model_fields}
    try:
        return section.model_validate(found)
    except ValidationError as invalid:
        option = wrong_field(invalid)
        raise ConfigurationError(
            f"[{SECTION}] {option} = {found[option]!r}: expected {section.model_fields[option].description}.",
            option=f"[{SECTION}] {option}",
        ) from None


def _refuse_indirect(option: str, because: str) -> None:
    for form in _INDIRECT_FORMS:
        if _read(SECTION, f"{option}{form}"):
            raise ConfigurationError(
                f"[{SECTION}] {option}{form} is set, {because}", option=f"[{SECTION}] {option}{form}"
            )


def _read(section: str, option: str, *, fallback: Any = "") -> str:
    try:
        content = _conf().get(section, option, fallback=fallback)
    except Exception as failure:  # the command of a "_cmd" form, a secrets backend: they raise whatever they like
        raise ConfigurationError(
            f"[{section}] {option} cannot be read ({type(failure).__name__}). Run the command of its _cmd form by "
            "hand, or look up its _secret in the secrets backend. The cause of this error says what failed.",
            option=f"[{section}] {option}",
        ) from failure
    return "" if content is None else str(content).strip()


def _conf() -> Any:
    from airflow.sdk.configuration import conf

    return conf
