"""The demonstration ends what it started, however it ends itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stack import redis_server
from stack.environment import clean_environment
from stack.processes import ServerFailedError

ROOT = Path(__file__).resolve().parent.parent.parent
# A command that leaves its session and group and ignores what can be ignored, as a stubborn grandchild would.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "grandchild"], start_new_session=True)
print("running", flush=True)
time.sleep(600)
"""
OWNER = """
import sys
from pathlib import Path
from stack.processes import LeashedProcess
folder = Path(sys.argv[1])
LeashedProcess("stubborn", [sys.executable, str(folder / "stubborn.py")],
               environment={"MARK": str(folder)}, folder=folder, log=folder / "log", grace=0.2)
sys.stdin.read()
"""


def processes_that_know(folder: Path) -> list[int]:
    """Return the processes in whose environment ``folder`` occurs."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            knows = str(folder).encode() in environment.read_bytes()
        except OSError:  # it has ended meanwhile, or it is somebody else's
            continue
        if knows:
            found.append(int(environment.parent.name))
    return found


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("sign_of_life", "how"), [("metadata database created", signal.SIGTERM), ("parsed", signal.SIGINT)]
)
def test_an_interrupted_demo_leaves_no_process_and_no_file(tmp_path, sign_of_life, how):
    with subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=clean_environment() | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        for line in demo.stdout:
            if sign_of_life in line:
                break
        wait_for(lambda: len(processes_that_know(tmp_path)) > 1, 20)  # it prints between two starts, too
        demo.send_signal(how)
        rest = demo.communicate(timeout=60)[0]
    assert demo.returncode == 130, rest
    assert "everything is stopped and removed" in rest
    assert processes_that_know(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_killing_a_servers_owner_kills_the_whole_process_tree(tmp_path):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], cwd=ROOT, env=clean_environment(), stdin=subprocess.PIPE
    )
    log = tmp_path / "log"
    wait_for(lambda: log.exists() and log.read_text().count("running") == 2, 20)
    assert len(processes_that_know(tmp_path)) == 3  # the leash, its child and its grandchild
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    owner.stdin.close()
    wait_for(lambda: processes_that_know(tmp_path) == [], 10)


def test_killing_the_leash_itself_takes_its_command_with_it(tmp_path):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE) as owner:
        log = tmp_path / "log"
        wait_for(lambda: log.exists() and log.read_text().count("running") == 2, 20)
        leash, child, grandchild = sorted(processes_that_know(tmp_path))
        os.kill(leash, signal.SIGKILL)
        wait_for(lambda: child not in processes_that_know(tmp_path), 10)
        os.kill(grandchild, signal.SIGKILL)
        owner.stdin.close()


def test_a_missing_redis_server_is_named_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerFailedError, match="package redis-server on Debian"), redis_server.redis_server():
        pass
