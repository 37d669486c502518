"""Programs of a test in a process of their own, in which nothing has been imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]


def output_of(program: str, *arguments: str, stdin: bytes = b"", **environment: str) -> str:
    """
    Run a Python program, which can import the tests, and return what it prints.

    :param environment: variables of the process besides those of this one.
    :raises AssertionError: if it fails, with what it wrote to its standard error.
    """
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        input=stdin,
        env=os.environ | {"PYTHONPATH": str(_ROOT)} | environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()
