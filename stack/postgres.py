"""A throw-away PostgreSQL cluster on loopback."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from stack.processes import HOST, LeashedProcess, ServerFailedError, free_port, wait_until

_USER = "airflow"
_SERVER_ACCOUNTS = ("postgres", "nobody")
# Debian keeps the server's programs outside PATH, one folder per version; Alpine and Homebrew likewise.
_ROOTS = ("/usr/lib/postgresql", "/usr/libexec", "/opt/homebrew/opt")


@contextmanager
def postgres_server() -> Iterator[str]:
    """
    Run a PostgreSQL for as long as the context lasts.

    :return: the SQLAlchemy URL of an empty database in it.
    :raises ServerFailedError: if PostgreSQL is not installed or does not start.
    """
    programs = binaries()
    port, password = free_port(), secrets.token_urlsafe(24)
    with TemporaryDirectory(prefix="exclusive-postgres-") as name:
        folder = Path(name)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        _create_cluster(programs, folder, password=password, environment=environment)
        process = LeashedProcess(
            "PostgreSQL",
            [*_unprivileged(), *_server_command(programs, folder, port)],
            environment=environment,
            folder=folder,
            log=folder / "postgres.log",
            stop_signal=signal.SIGINT,  # a "fast" shutdown: it does not wait for clients
        )
        try:
            ready = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(port)]
            wait_until(
                lambda: subprocess.run(ready, check=False, env=environment).returncode == 0,
                servers=[process],
                timeout=30,
                what="PostgreSQL to accept connections",
            )
            yield f"postgresql+psycopg2://{_USER}:{password}@{HOST}:{port}/postgres"
        finally:
            process.stop()


def _create_cluster(programs: Path, folder: Path, *, password: str, environment: dict[str, str]) -> None:
    secret = folder / "password"
    secret.write_text(password)
    if (account := _account()) is not None:
        for path in (folder, secret):
            os.chown(path, account.pw_uid, account.pw_gid)
    command = [
        *_unprivileged(),
        *(str(programs / "initdb"), "-D", str(folder / "data"), "-U", _USER, "--auth=scram-sha-256"),
        *(f"--pwfile={secret}", "--no-sync", "--encoding=UTF8"),
    ]
    created = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=environment)
    if created.returncode:
        raise ServerFailedError(f"initdb ended with exit code {created.returncode}:\n{created.stderr}")


def _server_command(programs: Path, folder: Path, port: int) -> list[str]:
    # Nothing here has to survive a crash, so nothing has to wait for the disk.
    options = {
        "listen_addresses": HOST,
        "port": port,
        "unix_socket_directories": folder,
        "max_connections": 200,
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
    }
    settings = (word for name, value in options.items() for word in ("-c", f"{name}={value}"))
    return [str(programs / "postgres"), "-D", str(folder / "data"), *settings]


def _account() -> pwd.struct_passwd | None:
    """Return the account that the server must run as, or None for the current one: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    accounts = {account.pw_name: account for account in pwd.getpwall()}
    for name in _SERVER_ACCOUNTS:
        if name in accounts:
            return accounts[name]
    accounts_tried = " or ".join(_SERVER_ACCOUNTS)
    raise ServerFailedError(f"PostgreSQL refuses to run as root, and this machine has no account {accounts_tried}.")


def _unprivileged() -> list[str]:
    account = _account()
    if account is None:
        return []
    tool = shutil.which("setpriv")
    if tool is None:
        raise ServerFailedError("PostgreSQL refuses to run as root, and setpriv (package util-linux) is not installed.")
    return [tool, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]


def binaries() -> Path:
    """
    Return the folder of the server's programs.

    :raises ServerFailedError: if they are not installed.
    """
    candidates = sorted(
        (path for root in _ROOTS for path in _versions(Path(root))),
        reverse=True,
    )
    on_path = shutil.which("initdb")
    for folder in [*([Path(on_path).resolve().parent] if on_path else []), *candidates]:
        if all((folder / name).exists() for name in ("initdb", "postgres", "pg_isready")):
            return folder
    raise ServerFailedError(
        "PostgreSQL's server programs (initdb, postgres) are not installed. Install them with your system's package "
        "manager: package postgresql on Debian, Ubuntu, Alpine and Homebrew, postgresql-server on Fedora."
    )


def _versions(root: Path) -> Iterator[Path]:
    yield from root.glob("*/bin")
    yield from root.glob("postgresql*")
