"""Hostile tasks are refused with a reason, honest pulls are answered all the while, and no refused row stays in memory.

How long the pulls take is measured by ``python -m benchmarks.stall``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.stall_airflow import listener
from tests.integration.hardened import stalling

ROOT = Path(__file__).parents[3]
ANSWERED = {"64 kB, permitted", "64 kB, forged"}


@pytest.fixture(scope="module")
def stalled(hardened, key_pair):
    """What hostile and honest tasks were answered; see :func:`stalling.main`."""
    address = urlsplit(hardened.url)
    arguments = [str(address.hostname), str(address.port), str(listener(address.port)), key_pair.public]
    done = subprocess.run(
        [sys.executable, "-m", stalling.__name__, *arguments],
        cwd=ROOT, env=hardened.variables, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.splitlines()[-1])


def test_hostile_requests_are_refused_with_a_reason(stalled):
    assert len(stalled["hostile"]) >= 10
    for kind, answers in stalled["hostile"].items():
        assert sum(answers.values()) == stalling.OF_EACH_KIND, kind
        if kind == "odd coordinates":
            assert "200" not in answers
        elif kind not in ANSWERED:
            assert {answer.partition(" ")[0] for answer in answers} == {"403"}, kind
            assert "403" not in answers, f"{kind}: no reason"


def test_honest_pulls_are_answered_all_the_while(stalled):
    assert stalled["pulls"] == {"200": stalling.PULLS}


def test_refused_rows_of_5_mb_leave_no_memory(stalled):
    assert stalled["letters"] == {"403": stalling.WARM_UP + stalling.LETTERS}
    before, after = stalled["memory"]
    # If they stayed, there would be twice as much.
    assert after - before < stalling.LETTERS * stalling.CHARACTERS / 2
