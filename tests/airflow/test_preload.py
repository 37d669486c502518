"""What the first push or pull of a task needs is imported by the process that forks it, and by no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys

FORK = """
import json, os, sys
from airflow.sdk.execution_time.xcom import XCom

found = {"backend": XCom.__module__, "before": "redis" in sys.modules}
read_end, write_end = os.pipe()
if (child := os.fork()) == 0:
    os.write(write_end, b"yes" if "redis" in sys.modules else b"no")
    os._exit(0)
os.waitpid(child, 0)
print(json.dumps(found | {"child": os.read(read_end, 3).decode()}))
"""


def fork_with(**options):
    settings = {f"AIRFLOW__EXCLUSIVE__{name.upper()}": value for name, value in options.items()}
    done = subprocess.run(
        [sys.executable, "-c", FORK], env=os.environ | settings, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_forking_process_has_imported_the_client_already():
    found = fork_with(conn_id="somewhere")

    assert found["backend"].startswith("airflow_provider_exclusive")
    assert found == found | {"before": False, "child": "yes"}


def test_without_a_connection_nothing_is_imported():
    assert fork_with()["child"] == "no"


def test_unreadable_settings_do_not_stop_a_process_from_forking():
    assert fork_with(conn_id="somewhere", inline_bytes="many")["child"] == "no"
