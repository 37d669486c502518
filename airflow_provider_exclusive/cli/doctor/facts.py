"""Read the configuration of this process once, for all checks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from airflow_provider_exclusive import config, wiring
from airflow_provider_exclusive.config import Settings
from airflow_provider_exclusive.crypto.data_keys import DataKeys
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.execution_time import redaction
from airflow_provider_exclusive.storage.base import StorageDriver

BACKEND: Final = "airflow_provider_exclusive.xcom.backend"
_DEFAULT_API: Final = "http://localhost:8080"

_Result = TypeVar("_Result")


class ProbeResult(Protocol):
    """The outcome of requesting an XCom from the API server that no task may read."""

    @property
    def is_proved(self) -> bool:
        """Whether the plugin itself refused."""

    @property
    def was_asked(self) -> bool:
        """Whether this process could send a valid request; if not, nothing is known."""

    @property
    def is_installed(self) -> bool:
        """Whether the plugin is there, although it may not be attached."""

    @property
    def key_ids(self) -> frozenset[str]:
        """The ids of the private keys that the API server holds."""

    @property
    def explanation(self) -> str:
        """What happened, in a sentence for people."""


Probe = Callable[[str], ProbeResult]


@dataclass(frozen=True, slots=True)
class Facts:
    """
    The configuration of one process; a part that could not be read is the error instead.

    :param backend_modules: where the configured XCom backend and its base classes are defined.
    :param executor: ``[core] executor``, as it is configured.
    :param api_url: where workers reach the execution API.
    :param redaction_error: why this version of Airflow would store opened values; None if it would not.
    :param probe: sends the probe to the API server.
    """

    settings: Settings | ConfigurationError
    unknown_options: list[str] | ConfigurationError
    parse_check: str | ConfigurationError
    keys: DataKeys | ConfigurationError
    driver: StorageDriver | ConfigurationError
    backend_modules: frozenset[str] | ConfigurationError
    executor: str
    api_url: str
    redaction_error: ConfigurationError | None
    probe: Probe


def read_driver() -> StorageDriver | ConfigurationError:
    """Return the driver of this process, or the error that prevents it."""
    # Without this, Airflow looks up connections as in a worker, through a supervisor that does not run here.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    settings = _try(config.read_settings)
    return _try(wiring.current_driver) if isinstance(settings, Settings) else settings


def gather() -> Facts:
    """Read the configuration of this process; return the errors of unreadable parts instead of raising them."""
    driver = read_driver()
    settings = _try(config.read_settings)
    redaction_error = _try(redaction.prepare)
    return Facts(
        settings=settings,
        unknown_options=_try(config.read_unknown_options),
        parse_check=_try(config.read_parse_check),
        keys=_try(lambda: config.read_data_keys(settings)) if isinstance(settings, Settings) else settings,
        driver=driver,
        backend_modules=_try(_read_backend_modules),
        executor=_read("core", "executor"),
        api_url=_read("core", "execution_api_server_url") or _default_api_url(_read("api", "base_url")),
        redaction_error=redaction_error if isinstance(redaction_error, ConfigurationError) else None,
        probe=_probe,
    )


def is_loopback(host: str | None) -> bool:
    """Return whether ``host`` is a loopback name or address; does not resolve names."""
    return host is not None and (host.lower() == "localhost" or host == "::1" or host.startswith("127."))


def _try(read: Callable[[], _Result]) -> _Result | ConfigurationError:
    try:
        return read()
    except ConfigurationError as failure:
        return failure
    except Exception as failure:  # noqa: BLE001  # secrets backends, hooks and file systems may raise anything
        # Without its message, which may contain a connection's password.
        return ConfigurationError(f"{type(failure).__name__} while reading the configuration.")


def _read_backend_modules() -> frozenset[str]:
    from airflow.sdk.execution_time.xcom import XCom

    return frozenset(kind.__module__ for kind in XCom.__mro__)


def _default_api_url(base_url: str) -> str:
    # As airflow.executors.base_executor builds it.
    base = base_url if "://" in base_url else f"{_DEFAULT_API}/{base_url.lstrip('/')}"
    return f"{base.rstrip('/')}/execution/"


def _read(section: str, option: str) -> str:
    from airflow.configuration import conf

    return str(conf.get(section, option, fallback="") or "").strip()


def _probe(api_url: str) -> ProbeResult:
    # Imported here, so that an error in the server's modules is reported as a finding.
    from airflow_provider_exclusive.cli.doctor.probe import probe

    return probe(api_url)
