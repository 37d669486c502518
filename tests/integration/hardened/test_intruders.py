"""Code that goes past the backend and asks the API server itself gets 403, and changes nothing."""

from __future__ import annotations

import json

import pytest

INTRUDERS = ["the same run", "another run", "another Dag"]
READS = [
    "read",
    "read unmapped",
    "read with prior dates",
    "read map index",
    "read map index with prior dates",
    "read key with slash",
    "read encoded key",
    "item",
    "last item",
    "item of unmapped",
    "slice",
    "slice of unmapped",
    "slice with prior dates",
    "reversed slice",
    "part of a slice",
]
ODD_READS = ["read encoded run", "read route in task", "read as slice"]
WRITES = [
    "write",
    "write map index",
    "write new key",
    "write new map index",
    "write null",
    "write plain",
    "delete",
    "delete map index",
    "delete plain",
]
ALLOWED = ["count", "read plain", "write own", "read own", "delete own"]


@pytest.mark.parametrize("name", READS + WRITES)
@pytest.mark.parametrize("intruder", INTRUDERS)
def test_an_intruder_gets_403_and_a_reason(intrusion, intruder, name):
    attempt = intrusion.attempts[intruder][name]

    assert (attempt["outcome"], attempt["status"]) == ("refused", 403)
    reason = attempt["detail"]["detail"]
    assert reason["reason"]
    assert "confide" in reason["message"] or "plain" in reason["message"]


@pytest.mark.parametrize("name", ODD_READS)
@pytest.mark.parametrize("intruder", INTRUDERS)
def test_a_path_disguised_as_another_route_yields_nothing(intrusion, intruder, name):
    attempt = intrusion.attempts[intruder][name]

    # Whether Airflow takes it for a route at all is its own affair: then there is no such XCom.
    assert attempt["outcome"] != "answered" or not attempt["detail"]["found"]


@pytest.mark.parametrize("intruder", INTRUDERS)
def test_the_token_that_a_task_process_can_reach_opens_nothing(intrusion, intruder):
    attempt = intrusion.attempts[intruder]["borrow the supervisor's token"]

    assert attempt["outcome"] == "failed"
    assert attempt["status"] in (None, 401, 403)


@pytest.mark.parametrize("intruder", INTRUDERS)
def test_no_answer_to_an_intruder_holds_a_value(intrusion, intruder, canary):
    assert canary not in json.dumps(intrusion.attempts[intruder])


def test_the_attacked_rows_are_unchanged(intrusion):
    assert intrusion.before
    assert intrusion.after == intrusion.before
    assert "planted" not in str(intrusion.after)


def test_the_consumer_reads_all_values_intact_after_the_attacks(hardened, intrusion, printed):
    hardened.clear("confidences", intrusion.run_id, ["friend"], downstream=False)
    hardened.wait("confidences", intrusion.run_id)

    first, again = printed("confidences", intrusion.run_id, "friend")
    assert set(first.values()) == {True}
    assert again == first


@pytest.mark.parametrize("name", ALLOWED)
@pytest.mark.parametrize("intruder", INTRUDERS)
def test_harmless_requests_are_answered(intrusion, intruder, name):
    assert intrusion.attempts[intruder][name]["outcome"] == "answered"


@pytest.mark.parametrize("intruder", INTRUDERS)
def test_every_attempt_was_made(intrusion, intruder):
    expected = {*READS, *ODD_READS, *WRITES, *ALLOWED, "borrow the supervisor's token"}

    assert set(intrusion.attempts[intruder]) == expected
