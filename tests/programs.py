"""Programs of a test in a process of their own, in which nothing has been imported."""

from __future__ import annotations

import subprocess
import sys


def output_of(program: str) -> str:
    """
    Run a Python program and return what it prints.

    :raises subprocess.CalledProcessError: if it fails.
    """
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
