"""Which payloads of a run are gone, found out without reading one."""

from dataclasses import replace

import pytest

from airflow_provider_exclusive.cli import payloads
from airflow_provider_exclusive.cli.lineage_report import Output
from airflow_provider_exclusive.cli.payloads import mark_gone
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.format.reference import Reference
from airflow_provider_exclusive.storage.files import FilesDriver
from airflow_provider_exclusive.store import object_key_of
from tests.fakes import CountingDriver, FailingDriver
from tests.rows import forged
from tests.unit.conftest import NOW


@pytest.fixture
def output(put):
    def output(state="sealed", **put_with):
        reference = put(**put_with)
        return Output(reference.producer, reference.key, NOW, state, reference)

    return output


def states(outputs, driver):
    return [one.state for one in mark_gone(outputs, driver)[0]]


def test_what_is_there_stays_sealed_and_what_is_not_is_gone(output, driver):
    lost, kept = output(key="lost"), output(key="kept")
    driver.delete(object_key_of(lost.reference))
    assert mark_gone([lost, kept], driver) == ([replace(lost, state="payload gone"), kept], None)


def test_no_payload_is_read(output, driver):
    counting = CountingDriver(driver)
    mark_gone([output()], counting)
    assert counting.calls == {"scan": 1}


@pytest.mark.parametrize("state", ["expired", "not accepted", "misplaced"])
def test_only_what_should_be_there_is_looked_for(output, driver, state):
    found = output(state)
    driver.payloads.clear()
    assert mark_gone([found], CountingDriver(driver)) == ([found], None)


def test_without_stored_payloads_the_store_is_not_asked(output, make_store):
    inline = output(into=make_store(inline_bytes=512))
    broken = Output(inline.producer, "broken", NOW, "unreadable", None)
    assert mark_gone([inline, broken], FailingDriver()) == ([inline, broken], None)


@pytest.mark.parametrize("kind", ["redis", "MEMORY", "memory2"])
def test_what_lies_elsewhere_is_not_looked_for(output, driver, kind):
    found = output()
    moved = replace(found, reference=replace(found.reference, store=kind))
    marked, unchecked = mark_gone([moved, found], driver)
    assert (marked, unchecked.startswith("Only 1 of 2 payloads")) == ([moved, found], True)


@pytest.mark.parametrize("change", [{"object_id": b"/../../etc/passw"}, {"key": "other"}])
def test_a_forged_row_finds_no_payload_of_another(output, driver, change):
    found = output()
    edited = Reference.from_row(forged(found.reference.to_row(), **change))
    assert states([replace(found, reference=edited)], driver) == ["payload gone"]


def test_of_many_some_are_looked_for(output, driver, mocker):
    mocker.patch.object(payloads, "_LOOKED_FOR", 2)
    outputs = [output() for _ in range(3)]
    driver.payloads.clear()
    assert states(outputs, driver) == ["payload gone", "payload gone", "sealed"]
    assert mark_gone(outputs, driver)[1].startswith("Only 2 of 3 payloads")


def test_a_store_that_does_not_answer_is_no_loss(output):
    found = output()
    marked, unchecked = mark_gone([found], FailingDriver())
    assert (marked, unchecked) == ([found], "The store was not checked: The store of this test is down. Retry.")


def test_a_store_that_is_not_set_up_is_no_loss(output):
    found = output()
    assert mark_gone([found], ConfigurationError("no connection")) == (
        [found],
        "The store was not checked: no connection",
    )


def test_a_directory_of_another_machine_is_no_loss(output, tmp_path):
    found = output()
    marked, unchecked = mark_gone([found], FilesDriver(tmp_path / "nowhere"))
    assert marked == [found]
    assert unchecked.endswith(f"there is no directory {tmp_path / 'nowhere'} on this machine.")
