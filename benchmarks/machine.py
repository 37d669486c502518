"""The machine and versions that the figures were measured with."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from stack import postgres, redis_server

_PACKAGES = (
    "airflow-provider-exclusive",
    "apache-airflow",
    "apache-airflow-providers-common-io",
    "cryptography",
    "msgpack",
    "numpy",
    "pandas",
    "pyarrow",
    "redis",
    "hiredis",
)


def describe() -> dict[str, str]:
    """Return date, machine and versions."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} processors ({_processor()}), {gibibytes:.0f} GiB of memory, {platform.system()}",
        "load at the start": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
        "PostgreSQL": _output(str(postgres.binaries() / "postgres"), "--version"),
        "Redis": _output(redis_server.binary(), "--version"),
        **{name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
