"""What a person at a terminal sees of ``make``."""

import os
import signal
import subprocess
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_ending_a_demo_that_was_kept_open_is_no_error(tmp_path):
    demo = tmp_path / "python"
    demo.write_text(
        textwrap.dedent("""\
            #!/bin/sh
            trap 'exit 0' INT
            echo open
            while :; do sleep 0.1; done
        """)
    )
    demo.chmod(0o700)
    command = ["make", "-o", "none/.package", "VENV=none", f"BIN={tmp_path}", "KEEP=1", "STORE=files", "demo"]
    # Without what a make above this one hands down, which prints the directories that it enters.
    environment = {"PATH": os.environ["PATH"]}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as make:
        assert make.stdout.readline() == "open\n"

        os.killpg(make.pid, signal.SIGINT)  # as Ctrl-C does: make and all below it

        _, printed = make.communicate(timeout=20)
    assert printed == ""
