"""What each answer to the probe proves; no API server runs here."""

from __future__ import annotations

import httpx
import pytest

from airflow_provider_exclusive.cli.doctor import probe as module
from airflow_provider_exclusive.cli.doctor.probe import probe

KEY_ID, OTHER_ID = "0123456789abcdef" * 2, "f" * 32
REFUSAL = f'{{"detail": {{"reason": "exclusive-probe", "key_ids": ["{KEY_ID}", "{OTHER_ID}"]}}}}'
ATTACHED = {"x-exclusive-plugin": "attached"}


@pytest.fixture
def server(mocker):
    """An API server that accepts the token, and refuses the probe unless told otherwise."""
    mocker.patch.object(module, "mint_token", return_value="a-token")
    return mocker.patch.object(httpx, "get", return_value=httpx.Response(403, text=REFUSAL, headers=ATTACHED))


def answer(server, status, text="", headers=ATTACHED):
    server.return_value = httpx.Response(status, text=text, headers=headers)
    return probe("http://server/execution/")


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 500, 503])
@pytest.mark.parametrize(("text", "headers"), [("", {}), (REFUSAL, ATTACHED), ("", ATTACHED)])
def test_any_other_answer_proves_nothing(server, status, text, headers):
    found = answer(server, status, text, headers)
    assert (found.is_proved, found.was_asked, found.key_ids) == (False, True, frozenset())
    assert f"with HTTP {status} instead of refusing it" in found.explanation
    assert "do not start it with --apps execution" in found.explanation


@pytest.mark.parametrize("headers", [{}, {"x-exclusive-plugin": "detached"}])
def test_a_guard_without_its_middleware_proves_nothing(server, headers):
    found = answer(server, 403, REFUSAL, headers)
    assert (found.is_proved, found.was_asked, found.key_ids) == (False, True, frozenset())


def test_a_plugin_that_could_not_attach_says_why(server):
    why = "Airflow 3.2.2: expected the plain function xcoms.get_xcom(dag_id) in Airflow, found ()"
    found = answer(server, 404, headers={"x-exclusive-plugin": f"not attached: {why}"})
    assert (found.is_proved, found.was_asked, found.is_installed) == (False, True, True)
    assert f"could not attach to the API server ({why})" in found.explanation


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("headers", [{}, ATTACHED])
def test_a_refused_token_says_nothing_about_the_plugin(server, status, headers):
    found = answer(server, status, '{"detail": "Invalid auth token"}', headers)
    assert (found.is_proved, found.was_asked) == (False, False)
    assert f"did not accept a task token signed here (HTTP {status})" in found.explanation
    assert "[api_auth] jwt_secret" in found.explanation


def test_an_unauthorised_echo_of_the_word_proves_nothing(server):
    assert not answer(server, 401, REFUSAL).is_proved


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("silence"), ValueError("url")])
def test_a_server_that_cannot_be_reached_is_named(server, failure):
    server.side_effect = failure
    found = probe("http://server/execution/")
    assert (found.is_proved, found.was_asked) == (False, True)
    assert f"http://server/execution/: {type(failure).__name__}: {failure}. Check that it runs" in found.explanation


@pytest.mark.parametrize("missing", [ValueError("open-sesame"), FileNotFoundError("open-sesame")])
def test_without_a_secret_nothing_is_asked_or_told(server, mocker, missing):
    mocker.patch.object(module, "mint_token", side_effect=missing)
    found = probe("http://server/execution/")
    assert (found.is_proved, found.was_asked) == (False, False)
    assert f"no key to sign a task token with ({type(missing).__name__})" in found.explanation
    assert "open-sesame" not in found.explanation
    server.assert_not_called()


@pytest.mark.parametrize("failure", [ImportError("no app"), AttributeError("_jwt_generator"), TypeError("x")])
def test_an_airflow_that_signs_otherwise_is_unsupported(server, mocker, failure):
    mocker.patch.object(module, "mint_token", side_effect=failure)
    found = probe("http://server/execution/")
    assert (found.is_proved, found.was_asked) == (False, True)
    assert f"{type(failure).__name__}: {failure}. Use a release of" in found.explanation
    server.assert_not_called()


def test_a_refusal_by_guard_and_middleware_is_the_proof(server):
    found = probe("http://server/execution/")
    assert (found.is_proved, found.was_asked) == (True, True)
    assert found.explanation == "the API server refused the probe."


@pytest.mark.parametrize(
    ("listed", "held"),
    [("", set()), (KEY_ID, {KEY_ID}), (f"{KEY_ID}, {OTHER_ID}", {KEY_ID, OTHER_ID}), (f"{KEY_ID}0", set())],
)
def test_the_keys_that_the_server_holds_are_read(server, listed, held):
    assert answer(server, 403, f"exclusive-probe {listed}").key_ids == held


@pytest.mark.parametrize("url", ["http://server/execution", "http://server/execution/", "http://server/execution//"])
def test_the_probe_asks_for_an_xcom_of_nobody(server, url):
    probe(url, timeout_seconds=3)
    server.assert_called_once_with(
        "http://server/execution/xcoms/airflow_provider_exclusive/probe/probe/probe",
        headers={"Authorization": "Bearer a-token"},
        timeout=3,
    )


def test_no_explanation_holds_the_token(server):
    server.side_effect = httpx.ConnectError("refused")
    assert "a-token" not in probe("http://server/execution/").explanation
