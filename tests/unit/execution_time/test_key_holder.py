"""A process that can only seal asks once whether the API server can open what it seals."""

from __future__ import annotations

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import XComResult

from airflow_provider_exclusive.exceptions import ConfigurationError, UnknownKeyError
from airflow_provider_exclusive.execution_time import key_holder


@pytest.fixture
def send(mocker):
    """What Airflow's supervisor is sent, and answers."""
    key_holder._held_key_ids.cache_clear()
    yield mocker.patch.object(task_runner, "SUPERVISOR_COMMS", create=True).send
    key_holder._held_key_ids.cache_clear()


def test_an_api_server_without_the_plugin_is_found_out(send):
    send.return_value = XComResult(key="any", value=None)

    with pytest.raises(
        ConfigurationError, match=r"plugin 'exclusive' is not loaded there.*--apps execution"
    ) as missing:
        key_holder.require("k-1")
    assert missing.value.option == "[exclusive] private_key"


def test_one_without_a_private_key_is_found_out(send):
    send.return_value = XComResult(key="any", value=[])

    with pytest.raises(ConfigurationError, match="The API server holds no private key"):
        key_holder.require("k-1")


def test_another_pair_is_found_out(send):
    send.return_value = XComResult(key="any", value=["k-2", "k-3"])

    with pytest.raises(UnknownKeyError, match=r"'k-1'.*'k-2', 'k-3'") as unknown:
        key_holder.require("k-1")
    assert unknown.value.key_id == "k-1"


def test_a_refusal_is_not_remembered(send):
    send.return_value = XComResult(key="any", value=None)
    with pytest.raises(ConfigurationError):
        key_holder.require("k-1")
    send.return_value = XComResult(key="any", value=["k-1"])

    key_holder.require("k-1")


def test_it_asks_once(send):
    send.return_value = XComResult(key="any", value=["k-2", "k-1"])

    key_holder.require("k-1")
    key_holder.require("k-2")

    ((message,),) = [call.args for call in send.call_args_list]
    assert (type(message).__name__, message.dag_id, message.task_id) == (
        "GetXCom",
        "airflow_provider_exclusive",
        "held_keys",
    )
