"""An API server without the plugin opens nothing for anybody, and the error names the cure."""

from __future__ import annotations

import sys

import httpx
import pytest

from stack.processes import HOST, LeashedProcess, free_port, wait_until
from tests.runs import assert_succeeded


@pytest.fixture(scope="module")
def served_without_plugin(hardened, intrusion):
    """
    The workers talk to an API server on which Airflow loads no middleware; everything else is as before.

    It holds the private key, so nothing but the plugin is missing. Yields a run made before, with the plugin; so was
    the one that is attacked.
    """
    run_id = hardened.run("mending")
    assert_succeeded(hardened, "mending", run_id)
    port = free_port()
    server = LeashedProcess(
        "execution API",
        [sys.executable, "-m", "airflow", "api-server", "--apps", "execution", "--port", str(port)],
        environment={**hardened.variables, **hardened.components["api-server"]},
        folder=hardened.home,
        log=hardened.home / "execution-api.log",
    )
    try:
        wait_until(lambda: answers(port), servers=[server], timeout=60, what="the execution API to answer")
        hardened.restart("scheduler", {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/"})
        yield run_id
    finally:
        hardened.restart("scheduler")
        server.stop()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/execution/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_an_intruder_reads_no_value(hardened, served_without_plugin, intrusion, printed):
    run_id = hardened.run("strangers", conf={"victim_run": intrusion.run_id})

    attempts = printed("strangers", run_id, "intruder")
    answered = [attempt for attempt in attempts if attempt["outcome"] == "answered"]
    # Without the plugin Airflow refuses nothing: the references come out, and remain closed.
    assert {"read", "item", "slice"} <= {attempt["name"] for attempt in answered}
    assert [attempt["name"] for attempt in answered if attempt["detail"]["legible"]] == []


def test_a_value_pushed_with_the_plugin_reports_it_missing(hardened, served_without_plugin, errors_of):
    run_id = served_without_plugin
    hardened.clear("mending", run_id, ["load"])
    hardened.wait("mending", run_id)

    assert hardened.task_states("mending", run_id) == {"extract": "success", "load": "failed"}
    assert_plugin_is_missed(errors_of("mending", run_id, "load"))


def test_a_push_without_the_plugin_fails_at_once(hardened, served_without_plugin, errors_of):
    run_id = hardened.run("mending")

    assert hardened.task_states("mending", run_id) == {"extract": "failed", "load": "upstream_failed"}
    assert_plugin_is_missed(errors_of("mending", run_id, "extract"))


def assert_plugin_is_missed(errors):
    assert "ConfigurationError" in errors
    assert "the plugin 'exclusive' is not loaded there" in errors
    assert "private_key" in errors
    assert "--apps execution" in errors
