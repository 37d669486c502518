"""The extras of the connections that name a store; the description of each says what is expected of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from airflow_provider_exclusive.format.options import Checked, Seconds, Truth, WholeNumber

_MOST_SECONDS: Final = 86400
MOST_DIGITS: Final = 9
_TEXT: Final = Field(default=None, description="text")
_NUMBER: Final = Field(
    default=None, lt=10**MOST_DIGITS, description=f"a whole number from 0, of at most {MOST_DIGITS} digits"
)
_SECONDS: Final = Field(
    default=None, le=_MOST_SECONDS, description=f"a number of seconds, more than 0 and at most {_MOST_SECONDS}"
)


class Extras(Checked):
    """The extras of a connection."""

    storage: Annotated[str | None, _TEXT]
    key_prefix: Annotated[str | None, _TEXT]
    db: Annotated[WholeNumber | None, _NUMBER]
    ssl: Truth | None = Field(default=None, description="true or false")
    ssl_ca_certs: Annotated[str | None, _TEXT]
    ssl_certfile: Annotated[str | None, _TEXT]
    ssl_keyfile: Annotated[str | None, _TEXT]
    connect_timeout_seconds: Annotated[Seconds | None, _SECONDS]
    read_timeout_seconds: Annotated[Seconds | None, _SECONDS]
    deadline_seconds: Annotated[Seconds | None, _SECONDS]
    retries: Annotated[WholeNumber | None, _NUMBER]


class RedisExtras(Extras):
    """
    Those of a connection of type ``redis``, as the Redis provider has them.

    :param ssl_check_hostname: always done, whatever it says: the provider's form saves False if nobody touched it.
    """

    ssl_cert_reqs: Literal["required", "optional", "none"] = Field(
        default="required", description="required; this provider always verifies the server's certificate"
    )
    ssl_check_hostname: Truth = Field(default=True, description="true or false")
