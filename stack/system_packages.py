"""Install missing servers with the system's package manager: ``python -m stack.system_packages redis …``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from stack import postgres, redis_server
from stack.processes import ServerFailedError

_INSTALLED: Final[dict[str, Callable[[], object]]] = {"redis": redis_server.binary, "postgresql": postgres.binaries}
_COMMANDS: Final = {
    "apt-get": [["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "--no-install-recommends"]],
    "dnf": [["dnf", "install", "-y", "-q"]],
    "apk": [["apk", "add", "--no-progress"]],
    "brew": [["brew", "install", "-q"]],
}
_PACKAGES: Final = {
    "apt-get": {"redis": "redis-server", "postgresql": "postgresql"},
    "dnf": {"redis": "redis", "postgresql": "postgresql-server"},
    "apk": {"redis": "redis", "postgresql": "postgresql"},
    "brew": {"redis": "redis", "postgresql": "postgresql"},
}


def main(wanted: list[str]) -> int:
    """
    Install those of ``wanted`` that are not installed yet.

    :return: the exit code: 0 if all are installed now.
    """
    missing = [server for server in wanted if not _is_installed(server)]
    if not missing:
        return 0
    try:
        _install(missing)
        for server in missing:
            _INSTALLED[server]()
    except (ServerFailedError, subprocess.CalledProcessError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


def _is_installed(server: str) -> bool:
    try:
        _INSTALLED[server]()
    except ServerFailedError:
        return False
    return True


def _install(missing: list[str]) -> None:
    manager = next((name for name in _COMMANDS if shutil.which(name)), None)
    if manager is None:
        raise ServerFailedError(
            f"Not installed: {' and '.join(missing)}. None of {', '.join(_COMMANDS)} was found; install it yourself."
        )
    packages = [_PACKAGES[manager][server] for server in missing]
    for command in _COMMANDS[manager]:
        arguments = [] if "update" in command else packages
        line = [*_privilege(manager, packages), *command, *arguments]
        print(f"not installed: {', '.join(missing)}; running: {' '.join(line)}", flush=True)
        # RUNLEVEL=1 keeps Debian's packages from starting the servers system-wide.
        subprocess.run(line, check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"})


def _privilege(manager: str, packages: list[str]) -> list[str]:
    if os.geteuid() == 0 or manager == "brew":
        return []
    if shutil.which("sudo"):
        return ["sudo", "--preserve-env=DEBIAN_FRONTEND,RUNLEVEL"]
    raise ServerFailedError(
        f"This needs root, and sudo was not found. As root, run: {manager} install {' '.join(packages)}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
