"""
From a connection or a URL to a storage driver.

Only known fields are read, each with its type; one that nobody reads is an error, because it is most often a typing
mistake in one that matters. Messages never repeat user information of a URL, nor a host field with a URL pasted in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import ValidationError

from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.format.options import read_truth, wrong_field
from airflow_provider_exclusive.hooks.extras import MOST_DIGITS, Extras, RedisExtras
from airflow_provider_exclusive.storage.base import StorageDriver
from airflow_provider_exclusive.storage.files import FilesDriver
from airflow_provider_exclusive.storage.redis.driver import RedisDriver, RedisSettings

if TYPE_CHECKING:
    from redis import Redis

DEFAULT_REDIS_PORT: Final = 6379
_HIGHEST_PORT: Final = 65535
_REDIS_FIELDS: Final = ("host", "port", "login", "password", "schema")
_LATER: Final = frozenset({"cluster", "startup_nodes", "sentinels", "service_name"})
_HOST_NAME: Final = re.compile(r"[^\s/@:]+|[^\s/@]*:[^\s/@]*:[^\s/@]*")  # IPv6 has more than one colon


_EXTRAS: Final[Mapping[str, type[Extras]]] = {"exclusive": Extras, "redis": RedisExtras}


def create_driver(connection: Any) -> StorageDriver:
    """
    Build the driver for an Airflow connection of type ``exclusive``, or ``redis`` as its provider defines it.

    :raises ConfigurationError: naming the connection and the invalid field.
    """
    if connection.conn_type not in _EXTRAS:
        raise _wrong(connection, "conn_type", f"{connection.conn_type!r}; expected {' or '.join(_EXTRAS)}")
    extras = _read_extras(connection)
    if "storage" in extras:
        return _driver_from_storage_field(connection, extras)
    if not connection.host:
        raise _wrong(connection, "host", "empty; expected a Redis server, or an object store's URL in 'storage'")
    return RedisDriver(_redis_settings(connection, extras), connect=_connect)


def create_driver_from_url(url: str) -> StorageDriver:
    """
    Build the driver for ``file:///…`` or for an object store such as ``s3://bucket/prefix``.

    :raises ConfigurationError: if the URL cannot be one of these, or has a password in it.
    """
    option = "[exclusive] storage"
    return _driver_from_url(url, lambda what: ConfigurationError(f"{option}: {what}.", option=option))


def _driver_from_storage_field(connection: Any, extras: dict[str, Any]) -> StorageDriver:
    url = extras.pop("storage")
    unread = [name for name in _REDIS_FIELDS if getattr(connection, name)]
    # The connection form saves an untouched check box as False.
    if unread := unread + [name for name, content in extras.items() if content is not False]:
        raise _wrong(
            connection,
            unread[0],
            "set together with 'storage'; a connection names one store: unset one of them. Credentials for the URL "
            "belong in the connection that it names, as in s3://connection_id@bucket/prefix",
        )
    return _driver_from_url(url, lambda what: _wrong(connection, "storage", what))


def _driver_from_url(url: str, wrong: Callable[[str], ConfigurationError]) -> StorageDriver:
    parts = _split(url, wrong)
    if parts.scheme in ("redis", "rediss", "exclusive"):
        raise wrong(
            "a Redis server. Create an Airflow connection of type 'exclusive' for it (such as "
            "exclusive://login:password@host:6379/0) and name that in [exclusive] conn_id"
        )
    if parts.password is not None:
        raise wrong(
            "a URL with a password in it, which logs and the UI would show. Write "
            f"{parts.scheme}://connection_id@bucket/prefix and keep the password in that Airflow connection"
        )
    if "?" in url or "#" in url:
        raise wrong("a URL with '?' or '#'; expected scheme, place and path only (in a file's path: %3F or %23)")
    if parts.scheme in ("file", "local"):
        return FilesDriver(_local_path(parts, url, wrong))
    if not parts.scheme or not parts.netloc or parts.port is not None:  # such as a password with a slash in it
        raise wrong(f"{_shown(url)}; expected the URL of a store, such as file:///path or s3://bucket/prefix")
    return _create_object_storage_driver(url, parts.scheme, wrong)


def _split(url: str, wrong: Callable[[str], ConfigurationError]) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it checks it; a password with a slash in it ends up here
    except ValueError:
        # The parser's own message repeats what it could not read, so it is not even kept as the cause.
        raise wrong("not a valid URL; expected for example file:///path or s3://bucket/prefix") from None
    return parts


def _local_path(parts: SplitResult, url: str, wrong: Callable[[str], ConfigurationError]) -> Path:
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or path[:1] != "/" or not path.strip("/") or "\0" in path:
        raise wrong(f"{_shown(url)}; expected file:///absolute/path")
    return Path(path)


def _shown(url: str) -> str:
    return "a URL with a user in it" if "@" in url else repr(url)


def _create_object_storage_driver(url: str, scheme: str, wrong: Callable[[str], ConfigurationError]) -> StorageDriver:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_exclusive.storage.object_storage import ObjectStorageDriver, installation_hint

    try:
        return ObjectStorageDriver(ObjectStoragePath(url))
    except (ImportError, ValueError) as unusable:
        raise wrong(
            f"Airflow has no file system for {scheme}:// here. {installation_hint(scheme).rstrip('.')}"
        ) from unusable


def _connect(settings: RedisSettings) -> Redis:
    from airflow_provider_exclusive.hooks.redis import ExclusiveRedisHook

    return ExclusiveRedisHook(settings).get_conn()


def _redis_settings(connection: Any, extras: dict[str, Any]) -> RedisSettings:
    if _HOST_NAME.fullmatch(connection.host) is None:
        what = "not a host name; expected for example redis.example.com, without port or path"
        raise _wrong(connection, "host", what)
    port, database = _port(connection), _database(connection, extras.pop("db", None))
    try:
        return RedisSettings(
            host=connection.host,
            port=port,
            db=database,
            username=connection.login or None,
            password=connection.password or None,
            **extras,
        )
    except ConfigurationError as contradiction:
        raise ConfigurationError(
            f"Connection {connection.conn_id!r}, field {contradiction}", option=contradiction.option
        ) from contradiction


def _port(connection: Any) -> int:
    port = _number(DEFAULT_REDIS_PORT if connection.port is None else connection.port)
    if not port or port > _HIGHEST_PORT:
        raise _wrong(connection, "port", f"{connection.port!r}; expected a number from 1 to {_HIGHEST_PORT}")
    return port


def _database(connection: Any, extra: int | None) -> int:
    if not connection.schema:
        return extra or 0
    database = _number(connection.schema)
    if database is None:
        raise _wrong(connection, "schema", f"{connection.schema!r}; expected the number of a Redis database")
    if extra not in (None, database):
        raise _wrong(connection, "db", f"{extra}, and the schema is {database}; expected one of them, or both equal")
    return database


def _read_extras(connection: Any) -> dict[str, Any]:
    if not _is_json_object(connection.extra):
        # Airflow logs this and goes on with no extras at all: that would switch TLS off.
        raise _wrong(connection, "extra", 'not a JSON object; expected for example {"ssl": true}')
    model = _EXTRAS[connection.conn_type]
    # The connection form saves an empty field as None or as "".
    found = {
        name: content
        for name, content in (connection.extra_dejson or {}).items()
        if content not in (None, "") or name not in model.model_fields.keys() | _LATER
    }
    for name in found.keys() & _LATER:
        if read_truth(found.pop(name)) is not False:
            raise _wrong(connection, name, "set, but this release talks to a single Redis node; unset it")
    try:
        extras = model.model_validate(found)
    except ValidationError as invalid:
        name = wrong_field(invalid)
        raise _wrong(connection, name, _fault(model, name, found[name])) from None
    if extras.ssl and isinstance(extras, RedisExtras) and extras.ssl_cert_reqs == "none":
        raise _wrong(connection, "ssl_cert_reqs", _fault(model, "ssl_cert_reqs", "none"))
    return extras.model_dump(include=set(Extras.model_fields), exclude_unset=True)


def _fault(model: type[Extras], name: str, content: Any) -> str:
    if name not in model.model_fields:
        near = get_close_matches(name, model.model_fields, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(model.model_fields)}"
        return f"not a field of this connection; {meant}"
    got = repr(content) if isinstance(content, (str, int, float)) else f"a {type(content).__name__}"
    return f"{got}; expected {model.model_fields[name].description}"


def _is_json_object(extra: str | None) -> bool:
    try:
        return isinstance(json.loads(extra or "{}") or {}, dict)
    except ValueError:
        return False


def _number(content: Any) -> int | None:
    text = str(content)
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else None


def _wrong(connection: Any, name: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"Connection {connection.conn_id!r}, field {name!r}: {what}.", option=name)
