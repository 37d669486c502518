"""
Faults of real file systems: a full disk and a read-only mount.

Each runs in a child with a mount namespace of its own (``unshare --map-root-user --mount``), so it works for root and for
an ordinary user alike and leaves no mount behind. The kernel must allow user namespaces.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[3]


def run_on_mount(folder: Path, options: str, program: str) -> str:
    prologue = """
        from pathlib import Path
        from airflow_provider_exclusive.exceptions import StorageError, StorageUnavailableError
        from airflow_provider_exclusive.storage.files import FilesDriver
        import subprocess, sys
        folder = Path(sys.argv[1])
        driver = FilesDriver(folder / "exclusive")
    """
    script = f"mount -t tmpfs -o {options} tmpfs '{folder}' && exec '{sys.executable}' -c \"$0\" '{folder}'"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, textwrap.dedent(prologue) + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_keeps_its_payloads_and_recovers(tmp_path):
    said = run_on_mount(
        tmp_path,
        "size=256k",
        textwrap.dedent("""
            driver.store("v1/kept", b"k" * 1000, ttl_seconds=None)
            try:
                driver.store("v1/large", b"x" * 1_000_000, ttl_seconds=None)
            except StorageError as failure:
                print(type(failure).__name__, failure)
            print([stored.key for stored in driver.scan()], [path.name for path in folder.rglob("*") if path.is_file()])
            assert driver.retrieve("v1/kept") == b"k" * 1000
            driver.store("v1/small", b"s" * 100_000, ttl_seconds=None)
        """),
    )
    assert said.startswith("StorageRefusedError Could not write")
    assert "No space left on device. Free or add space there, or point [exclusive] storage at a larger disk." in said
    assert said.endswith("['v1/kept'] ['kept']\n"), "a failed write must leave nothing behind"


def test_a_read_only_mount_is_read_and_explains_failed_writes(tmp_path):
    said = run_on_mount(
        tmp_path,
        "size=256k",
        textwrap.dedent("""
            driver.store("v1/kept", b"kept", ttl_seconds=None)
            subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
            for operation in (lambda: driver.store("v1/a", b"x", ttl_seconds=None), lambda: driver.delete("v1/kept")):
                try:
                    operation()
                except StorageError as failure:
                    print(type(failure).__name__, failure)
            assert driver.retrieve("v1/kept") == b"kept"
        """),
    )
    assert said.count("StorageError Could not") == 2
    assert said.count("Read-only file system. The user that runs Airflow needs read and write access: mount it") == 2
