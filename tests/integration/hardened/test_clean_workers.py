"""What the other tests of this folder rest on: the workers do not hold what would let them open a value themselves."""

from __future__ import annotations

import json

import pytest

SECRETS = [
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__API__SECRET_KEY",
]


@pytest.fixture(scope="module")
def found(hardened, printed) -> dict:
    run_id = hardened.run("surroundings")
    assert hardened.task_states("surroundings", run_id) == {"look_around": "success"}
    (found,) = printed("surroundings", run_id, "look_around")
    return found


def test_the_scheduler_itself_holds_these_secrets(hardened):
    assert [name for name in SECRETS if not hardened.variables.get(name)] == []


@pytest.mark.parametrize("name", SECRETS)
def test_a_task_finds_no_deployment_secret_around_it(hardened, found, name):
    assert hardened.variables[name] not in json.dumps(found)


def test_no_component_but_the_api_server_has_the_private_key(hardened, found, key_pair):
    assert key_pair.private not in json.dumps(found)
    assert key_pair.private not in hardened.variables.values()
    assert not found["core"]["exclusive.private_key"]
    assert found["core"]["exclusive.public_key"] == found["sdk"]["exclusive.public_key"] == key_pair.public


def test_a_task_gets_no_database_session(found):
    assert found["database"].startswith("refused")
    # Airflow sets the names itself, to an address that cannot be, when it starts the process of a task.
    addresses = {value for name, value in found["environment"].items() if name.endswith("SQL_ALCHEMY_CONN")}
    assert addresses <= {"airflow-db-not-allowed:///"}
    assert not [entry for entry in found["at start"] if "SQL_ALCHEMY_CONN" in entry]
