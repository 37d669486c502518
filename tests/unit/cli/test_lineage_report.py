import json
from datetime import UTC, datetime

import pytest

from airflow_provider_exclusive.access.hand_over import RECORD_KEY
from airflow_provider_exclusive.cli.lineage_report import accesses_to, outputs_of, readers_of
from airflow_provider_exclusive.cli.metadata import AuditRow, XComRow
from airflow_provider_exclusive.format.canonical import to_base64
from airflow_provider_exclusive.format.reference import escape
from airflow_provider_exclusive.scopes.identity import TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope
from tests.rows import forged

EARLY, LATE = datetime(2026, 11, 21, 10, 0, tzinfo=UTC), datetime(2026, 11, 21, 11, 0, tzinfo=UTC)
OWN = Clause("etl", "load", "run-1")
TRIGGER = {"dag_id": "web", "run_id": "run-7", "task_id": "go", "map_index": -1}
ANY_RUN = "load, store (any run), web:* (any run)"
ASKED = {"dag_id": "etl", "run_id": "run-1", "task_id": "extract", "map_index": -1, "key": "return_value"}


def audit(event="exclusive.denied", when=EARLY, reader=("etl", "run-1", "spy", -1), **extra):
    extra = {**ASKED, "reason": "not-in-scope", "count": 1, "method": "GET", **extra}
    return AuditRow(event, when, *reader, json.dumps(extra))


def accesses(*rows):
    return accesses_to("etl", "run-1", rows)


@pytest.fixture
def row(put):
    """Return the XCom row of one exclusive output, with anything of it replaced."""

    def row(content=None, **coordinates):
        at = {"task_id": "extract", "map_index": -1, "key": "return_value"} | coordinates
        return XComRow(**at, content=put().to_row() if content is None else content, when=EARLY)

    return row


class TestOutputs:
    def read(self, *rows):
        return outputs_of("etl", "run-1", rows, now=LATE)

    def test_a_row_that_was_edited_is_named_and_hides_no_other(self, row):
        broken = dict(row().content) | {"sealed": "AAAA"}
        found = self.read(row(broken, key="broken"), row())
        assert [(output.key, output.state) for output in found] == [
            ("broken", "unreadable"),
            ("return_value", "sealed"),
        ]

    @pytest.mark.parametrize("elsewhere", [{"key": "other"}, {"task_id": "load"}, {"map_index": 3}])
    def test_a_reference_that_was_written_elsewhere_is_named(self, row, elsewhere):
        (output,) = self.read(row(**elsewhere))
        assert output.state == "misplaced"
        assert output.to_json().items() >= elsewhere.items()

    def test_one_under_a_key_with_percent_signs_is_not(self, row, put):
        (output,) = self.read(row(put(key="a%2Fb").to_row(), key="a/b"))  # as Airflow stores it
        assert output.state == "sealed"

    def test_a_users_own_value_that_looks_like_a_reference_is_none(self, row):
        assert self.read(row(escape({"__exclusive__": 1})), row({"plain": 1}), row("text")) == []

    def test_what_no_api_server_has_accepted_is_named(self, row):
        (output,) = self.read(row(forged(row().content, sealed=b"AAA")))
        assert output.state == "not accepted"

    def test_an_output_whose_time_is_over_is_expired(self, row, put, make_store):
        expiring = put(into=make_store(ttl_seconds=3600)).to_row()
        longer = put(into=make_store(ttl_seconds=3601)).to_row()
        assert [output.state for output in self.read(row(expiring), row(longer))] == ["expired", "sealed"]

    def test_it_names_writer_time_size_place_and_readers(self, row):
        (output,) = self.read(row())
        told = output.to_json()
        assert told == {
            "task_id": "extract",
            "map_index": -1,
            "key": "return_value",
            "state": "sealed",
            "written_at": "2026-11-21T10:00:00Z",
            "consumers": "load",
            "codec": "json",
            "size": len('"a value"'),
            "expires_at": None,
            "key_id": told["key_id"],
            "at": told["at"],
        }
        assert told["at"].startswith("memory:v1/etl/extract/")

    def test_of_a_row_that_cannot_be_read_only_its_place_is_told(self, row):
        (output,) = self.read(row({"__exclusive__": 1}, map_index=3))
        told = output.to_json()
        assert {name: fact for name, fact in told.items() if fact is not None} == {
            "task_id": "extract",
            "map_index": 3,
            "key": "return_value",
            "state": "unreadable",
            "written_at": "2026-11-21T10:00:00Z",
        }

    @pytest.mark.parametrize(
        ("scope", "told"),
        [
            (ConsumerScope((OWN,)), "load"),
            (ConsumerScope((OWN,), admits_caller=True), "load, caller"),
            (ConsumerScope((), admits_caller=True), "caller (the task that triggered the run)"),
            (ConsumerScope(()), "nobody but its producer"),
            (ConsumerScope((OWN, Clause("etl", "store", None), Clause("web", "*", None))), ANY_RUN),
        ],
    )
    def test_the_table_names_all_who_may_read(self, put, scope, told):
        assert readers_of(put(scope=scope)) == told

    def test_a_hand_over_record_alarms_nobody(self, put):
        assert readers_of(put(scope=OPEN, key=RECORD_KEY)) == "every task (it names outputs, but contains none)"

    @pytest.mark.parametrize(("inline_bytes", "place"), [(512, "inline"), (0, "memory:")])
    def test_nothing_that_is_sealed_is_told(self, row, put, make_store, inline_bytes, place):
        reference = put(into=make_store(inline_bytes=inline_bytes))
        (output,) = self.read(row(reference.to_row()))
        told = json.dumps(output.to_json())
        assert output.to_json()["at"].startswith(place)
        assert reference.to_row()["sealed"] not in told
        assert to_base64(reference.wrapped) not in told
        assert reference.wrapped.hex() not in told


class TestAccesses:
    def test_equal_refusals_are_counted_with_the_first_and_the_last(self):
        (access,) = accesses(audit(count=4), audit(when=LATE, count=2))
        assert (access.count, access.first, access.last) == (
            6,
            "2026-11-21T10:00:00+00:00",
            "2026-11-21T11:00:00+00:00",
        )

    @pytest.mark.parametrize(
        "other",
        [
            audit("exclusive.write_denied"),
            audit("exclusive.read"),
            audit(key="other"),
            audit(task_id="transform"),
            audit(map_index=0),
            audit(reason="unknown-reader"),
            audit(method="DELETE"),
            audit(handed_over_by=TRIGGER),
            audit(reader=("etl", "run-1", "spy", 2)),
            audit(reader=("etl", "run-2", "spy", -1)),
            audit(reader=("other", "run-1", "spy", -1)),
        ],
    )
    def test_what_differs_is_told_apart(self, other):
        assert [access.count for access in accesses(audit(), other)] == [1, 1]

    @pytest.mark.parametrize("elsewhere", [{"run_id": "run-10"}, {"dag_id": "other"}])
    def test_what_is_about_another_run_is_left_out(self, elsewhere):
        assert accesses(audit(**elsewhere)) == []

    def test_whoever_asked_for_any_earlier_run_shows_in_their_own(self):
        assert len(accesses(audit(run_id=None))) == 1
        assert accesses(audit(run_id=None, reader=("etl", "run-2", "spy", -1))) == []

    @pytest.mark.parametrize("extra", [None, "", "not JSON run-1", "[]", "{}", '"run-1"', "null"])
    def test_a_line_that_cannot_be_read_is_left_out(self, extra):
        assert accesses(AuditRow("exclusive.denied", EARLY, None, None, None, None, extra)) == []

    @pytest.mark.parametrize("odd", [{"count": "many"}, {"map_index": None}, {"reason": None}, {"key": None}])
    def test_a_field_of_another_kind_does_not_end_the_command(self, odd):
        (access,) = accesses(audit(**odd))
        assert access.count == 1

    def test_a_read_tells_through_which_hand_over(self):
        (access,) = accesses(audit("exclusive.read", reason="handed-over", handed_over_by=TRIGGER))
        assert access.handed_over_by == TaskIdentity("web", "run-7", "go", -1)
        assert access.to_json()["handed_over_by"] == TRIGGER

    @pytest.mark.parametrize("odd", ["web.go", {}, TRIGGER | {"run_id": 7}])
    def test_a_hand_over_that_cannot_be_read_is_left_out(self, odd):
        (access,) = accesses(audit("exclusive.read", handed_over_by=odd))
        assert access.handed_over_by is None

    def test_a_reader_who_is_not_known_is_nobody(self):
        (access,) = accesses(audit(reader=(None, None, None, None)))
        assert access.reader is None
        assert access.to_json()["reader"] is None

    def test_json_tells_who_did_what_and_why(self):
        (access,) = accesses(audit(reader=("etl", "run-1", "spy", 2)))
        assert access.reader == TaskIdentity("etl", "run-1", "spy", 2)
        assert access.to_json() == {
            "task_id": "extract",
            "map_index": -1,
            "key": "return_value",
            "outcome": "denied",
            "reader": {"dag_id": "etl", "run_id": "run-1", "task_id": "spy", "map_index": 2},
            "method": "GET",
            "reason": "not-in-scope",
            "count": 1,
            "first": "2026-11-21T10:00:00+00:00",
            "last": "2026-11-21T10:00:00+00:00",
            "handed_over_by": None,
        }
