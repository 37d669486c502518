"""What is not the producer's own value, or not for this reader, is refused: never None, a reference or another value."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_exclusive import Consumer, consumers, exclusive_task, wiring
from airflow_provider_exclusive.exceptions import (
    AccessDeniedError,
    CodecError,
    ConfigurationError,
    EnvelopeError,
    ExclusiveError,
    PayloadNotFoundError,
    UnknownKeyError,
    UnsupportedReferenceError,
)
from airflow_provider_exclusive.format.readers import EVERYBODY
from airflow_provider_exclusive.format.reference import MARKER, Reference
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.store import object_key_of
from airflow_provider_exclusive.xcom import pull, push
from tests.airflow.running import Run, a_dag, read_rows, write_row
from tests.rows import forged


class Reader:
    """A task that does something to what lies there, then reads, and keeps what came of it."""

    def __init__(self, read=lambda ti: ti.xcom_pull(task_ids="extract"), before=lambda ti: None) -> None:
        self.before, self.read = before, read
        self.value, self.error = "nothing was read", None

    def __call__(self, ti) -> None:
        self.before(ti)
        try:
            self.value = self.read(ti)
        except Exception as error:
            self.error = error

    def refused(self, kind: type[ExclusiveError], *fragments: str) -> None:
        assert self.value == "nothing was read"
        assert isinstance(self.error, kind), repr(self.error)
        for fragment in fragments:
            assert fragment in str(self.error)


def run_with_reader(reader: Reader, value="a secret", *, scope="reader", within=None, **options) -> Run:
    with within or a_dag() as dag:

        @exclusive_task(consumers=scope, **options)
        def extract():
            return value

        extract() >> PythonOperator(task_id="reader", python_callable=lambda ti: reader(ti))

    run = Run(dag)
    assert run.state == "success"
    return run


class TestReadersOutsideTheScope:
    def test_a_refusal_names_reader_scope_and_line_and_is_final(self):
        reader = Reader()

        run_with_reader(reader, scope=["extract"])

        reader.refused(
            AccessDeniedError, ".reader", "'return_value'", ".extract", "test_refusals.py:", "add", "may be read by"
        )
        assert isinstance(reader.error, AirflowFailException)
        assert "a secret" not in str(reader.error)

    def test_nobody_may_read_an_empty_scope(self):
        reader = Reader()

        run_with_reader(reader, scope=[])

        reader.refused(AccessDeniedError, "nobody but its producer")

    def test_a_key_that_no_clause_covers_is_the_producers_alone(self):
        reader, own = Reader(lambda ti: ti.xcom_pull(task_ids="extract", key="other")), []
        with a_dag() as dag:

            @exclusive_task(consumers={"key": ["reader"]})
            def extract(ti=None):
                ti.xcom_push("other", 7)
                own.append(ti.xcom_pull(task_ids="extract", key="other"))

            extract() >> PythonOperator(task_id="reader", python_callable=lambda ti: reader(ti))

        Run(dag)

        reader.refused(AccessDeniedError)
        assert own == [7]

    def test_reading_one_part_does_not_permit_the_whole(self):
        whole, part = Reader(), Reader(lambda ti: ti.xcom_pull(task_ids="extract", key="count"))
        with a_dag() as dag:

            @exclusive_task(consumers={"count": ["whole", "part"], "frame": ["part"]}, multiple_outputs=True)
            def extract() -> dict:
                return {"count": 42, "frame": "f"}

            extract() >> [
                PythonOperator(task_id="whole", python_callable=lambda ti: whole(ti)),
                PythonOperator(task_id="part", python_callable=lambda ti: part(ti)),
            ]

        Run(dag)

        whole.refused(AccessDeniedError)
        assert part.value == 42

    def test_another_run_may_read_only_where_any_run_is_said(self):
        for scope, permitted in (["reader"], False), ([Consumer(task="reader", any_run=True)], True):
            first = Reader()
            run = run_with_reader(first, scope=scope)
            second = Reader(lambda ti, run=run: ti.xcom_pull(task_ids="extract", run_id=run.run_id))
            again = a_dag()
            again.dag_id = run.dag_id
            run_with_reader(second, "another", scope=scope, within=again)

            assert first.value == "a secret"
            if permitted:
                assert second.value == "a secret"
            else:
                second.refused(AccessDeniedError)

    def test_include_prior_dates_does_not_widen_the_scope(self):
        run = run_with_reader(Reader(), scope=["reader"])
        second = Reader(lambda ti: ti.xcom_pull(task_ids="extract", include_prior_dates=True, map_indexes=-1))
        with a_dag() as dag:
            dag.dag_id = run.dag_id
            # This run's own producer pushes nothing, so Airflow answers with the earlier run's row.
            PythonOperator(task_id="extract", python_callable=lambda: None, pre_execute=consumers("reader")) >> (
                PythonOperator(task_id="reader", python_callable=lambda ti: second(ti))
            )

        Run(dag)

        second.refused(AccessDeniedError)

    def test_another_dag_may_read_only_where_it_is_named(self):
        run = run_with_reader(Reader(), scope=["reader", "dag_that_may:*"])
        results = {}
        for name in ("dag_that_may", "dag_that_may_not"):
            reader = results[name] = Reader(
                lambda ti: ti.xcom_pull(task_ids="extract", dag_id=run.dag_id, run_id=run.run_id)
            )
            with a_dag() as dag:
                dag.dag_id = name
                PythonOperator(task_id="reader", python_callable=lambda ti, reader=reader: reader(ti))
            Run(dag)

        assert results["dag_that_may"].value == "a secret"
        results["dag_that_may_not"].refused(AccessDeniedError)

    def test_items_and_slices_of_a_lazy_sequence_are_refused(self):
        caught = []
        with a_dag() as dag:

            @exclusive_task(consumers=[])
            def extract(x):
                return x

            @task
            def reader(ti=None, **context):
                values = extract_all.resolve(context | {"ti": ti})
                for read in (lambda: values[0], lambda: values[0:2], lambda: list(values)):
                    with pytest.raises(AccessDeniedError) as refusal:
                        read()
                    caught.append(refusal)

            extract_all = extract.expand(x=[1, 2])
            extract_all >> reader()

        assert Run(dag).state == "success"
        assert len(caught) == 3

    def test_an_exclusive_task_cannot_write_to_another_tasks_row(self):
        refused = []
        with a_dag() as dag:

            @exclusive_task
            def extract(ti=None):
                with pytest.raises(AccessDeniedError, match="only its own"):
                    XCom.set(key="k", value=1, dag_id=ti.dag_id, task_id="reader", run_id=ti.run_id, map_index=-1)
                refused.append(ti)

            extract()

        assert Run(dag).state == "success"
        assert refused

    def test_code_without_a_task_is_refused(self):
        from airflow_provider_exclusive.execution_time import running_task

        run = run_with_reader(Reader())
        running_task._last_seen = None

        with pytest.raises(AccessDeniedError, match="no running task") as refusal:
            pull.pull([run.xcom_rows()["extract", -1, "return_value"]], None)
        assert refusal.value.reason == "unknown-reader"


def rows_of(ti) -> dict:
    return read_rows(ti.dag_id, ti.run_id)


def payload_of(row) -> Path:
    return wiring.current_driver()._root / object_key_of(Reference.from_row(row))


def edit(change):
    """Return what changes the reference of ``extract``."""

    def before(ti) -> None:
        write_row(ti.dag_id, ti.run_id, "extract", change(rows_of(ti)["extract", -1, "return_value"]))

    return before


BY_GET_ALL = Reader
BY_GET_ONE = lambda **kwargs: Reader(lambda ti: ti.xcom_pull(task_ids="extract", map_indexes=-1), **kwargs)  # noqa: E731


@pytest.mark.parametrize("reader_kind", [BY_GET_ALL, BY_GET_ONE], ids=["get_all", "get_one"])
class TestRowsThatWereTamperedWith:
    @pytest.mark.parametrize(
        "change",
        [
            lambda row: row | {"consumers": f"{row['consumers']}, {Reference.from_row(row).producer.dag_id}:*"},
            lambda row: row | {"consumers": EVERYBODY},
            lambda row: forged(row, codec="cloudpickle"),
            lambda row: forged(row, size=1),
            lambda row: row | {"sealed": row["sealed"][:-4]},
            lambda row: forged(row, expires_at="2999-01-01T00:00:00Z"),
            lambda row: forged(row, wrapped=b""),
            lambda row: {name: text for name, text in row.items() if name != "sealed"},
            lambda row: row | {"extra": 1},
            lambda row: forged(row, ti_id=None),
        ],
    )
    def test_an_edited_reference_does_not_open(self, reader_kind, change):
        reader = reader_kind(before=edit(change))

        run_with_reader(reader)

        reader.refused(EnvelopeError, "Clear")

    def test_a_reference_of_a_later_version_says_so(self, reader_kind):
        reader = reader_kind(before=edit(lambda row: row | {MARKER: row[MARKER].replace("v1: ", "v2: ")}))

        run_with_reader(reader)

        reader.refused(UnsupportedReferenceError, "version 2", "Upgrade")

    @pytest.mark.parametrize("planted", ["text", 7, {"a": 1}, [1], {"__exclusive__": "plain", "value": {"a": 1}}])
    def test_a_planted_plain_value_is_refused(self, reader_kind, planted):
        reader = reader_kind(before=lambda ti: write_row(ti.dag_id, ti.run_id, "extract", planted))

        run_with_reader(reader)

        reader.refused(EnvelopeError, "plain value", "'extract'", "Clear")

    def test_a_genuine_reference_of_another_key_is_refused(self, reader_kind):
        def swap(ti):
            write_row(ti.dag_id, ti.run_id, "extract", rows_of(ti)["extract", -1, "b"])

        reader = reader_kind(before=swap)
        with a_dag() as dag:

            @exclusive_task(multiple_outputs=True)
            def extract() -> dict:
                return {"a": 1, "b": 2}

            extract() >> PythonOperator(task_id="reader", python_callable=lambda ti: reader(ti))
        Run(dag)

        reader.refused(EnvelopeError, "copied")

    def test_a_genuine_reference_of_another_task_is_refused(self, reader_kind):
        reader = reader_kind(
            before=lambda ti: write_row(ti.dag_id, ti.run_id, "extract", rows_of(ti)["other", -1, "return_value"])
        )
        with a_dag() as dag:
            for name in ("extract", "other"):
                exclusive_task(consumers="reader")(lambda name=name: name).override(task_id=name)()
            PythonOperator(task_id="reader", python_callable=lambda ti: reader(ti), trigger_rule="all_success")
            dag.get_task("extract") >> dag.get_task("reader")
            dag.get_task("other") >> dag.get_task("reader")
        Run(dag)

        reader.refused(EnvelopeError, "copied")

    def test_a_genuine_reference_of_another_run_is_refused(self, reader_kind):
        earlier = run_with_reader(Reader(), scope=[Consumer(task="reader", any_run=True)])
        row = earlier.xcom_rows()["extract", -1, "return_value"]
        reader = reader_kind(before=lambda ti: write_row(ti.dag_id, ti.run_id, "extract", row))
        dag = a_dag()
        dag.dag_id = earlier.dag_id

        run_with_reader(reader, within=dag)

        reader.refused(EnvelopeError, "copied")


def test_a_genuine_reference_of_another_map_index_is_refused():
    reader = Reader(
        lambda ti: ti.xcom_pull(task_ids="extract", map_indexes=[0, 1]),
        before=lambda ti: write_row(
            ti.dag_id, ti.run_id, "extract", rows_of(ti)["extract", 0, "return_value"], map_index=1
        ),
    )
    with a_dag() as dag:

        @exclusive_task
        def extract(x):
            return x

        extract.expand(x=[1, 2]) >> PythonOperator(task_id="reader", python_callable=lambda ti: reader(ti))
    Run(dag)

    reader.refused(EnvelopeError, "copied")


def test_an_item_of_a_lazy_sequence_from_another_run_is_refused():

    earlier = run_with_reader(Reader(), scope=[Consumer(task="reader", any_run=True)])
    row = earlier.xcom_rows()["extract", -1, "return_value"]
    reader = Reader(lambda ti: pull.pull([row], None))
    dag = a_dag()
    dag.dag_id = earlier.dag_id

    run_with_reader(reader, within=dag)

    reader.refused(EnvelopeError, "copied")


def test_an_item_of_a_lazy_sequence_from_another_task_is_refused():
    caught = []
    with a_dag() as dag:

        @exclusive_task
        def extract(x):
            return x

        @exclusive_task(consumers=["reader"])
        def other():
            return "another secret"

        @task
        def reader(values, ti=None):
            write_row(ti.dag_id, ti.run_id, "extract", rows_of(ti)["other", -1, "return_value"], map_index=1)
            for read in (lambda: values[1], lambda: values[0:2], lambda: list(values)):
                with pytest.raises(EnvelopeError, match="copied there") as refusal:
                    read()
                caught.append(refusal)

        other() >> reader(extract.expand(x=[1, 2]))

    assert Run(dag).state == "success"
    assert len(caught) == 3


@pytest.mark.parametrize("reader_kind", [BY_GET_ALL, BY_GET_ONE], ids=["get_all", "get_one"])
def test_a_planted_null_is_refused(reader_kind):
    reader = reader_kind(before=lambda ti: write_row(ti.dag_id, ti.run_id, "extract", None))

    run_with_reader(reader)

    reader.refused(EnvelopeError, "plain value")


def test_an_output_that_was_never_pushed_is_none_as_ever():
    reader = Reader(
        lambda ti: [ti.xcom_pull(task_ids="extract", key="never", map_indexes=index) for index in (None, 3)]
    )

    run_with_reader(reader)

    assert reader.value == [None, None]


@pytest.mark.parametrize("planted", ["text", None, [1]])
def test_a_plain_item_in_a_lazy_sequence_is_refused(planted):
    caught = []
    with a_dag() as dag:

        @exclusive_task
        def extract(x):
            return x

        @task
        def reader(values, ti=None):
            write_row(ti.dag_id, ti.run_id, "extract", planted, map_index=1)
            assert values[0] == 1
            with pytest.raises(EnvelopeError, match="plain value") as refusal:
                list(values)
            caught.append(refusal)

        reader(extract.expand(x=[1, 2]))

    assert Run(dag).state == "success"
    assert len(caught) == 1


class TestPayloadsThatWereTamperedWith:
    BIG = "x" * 10_000

    def payload(self, ti) -> Path:
        return payload_of(rows_of(ti)["extract", -1, "return_value"])

    def test_a_changed_payload_does_not_open(self):
        def flip(ti):
            path = self.payload(ti)
            data = bytearray(path.read_bytes())
            data[100] ^= 1
            path.write_bytes(data)

        reader = Reader(before=flip)
        run_with_reader(reader, self.BIG)

        reader.refused(EnvelopeError, "'extract'")

    def test_a_missing_payload_names_the_task_to_clear(self):
        reader = Reader(before=lambda ti: self.payload(ti).unlink())

        run_with_reader(reader, self.BIG)

        reader.refused(PayloadNotFoundError, "Clear and re-run task 'extract'")

    def test_two_swapped_payloads_do_not_open(self):
        def swap(ti):
            rows = rows_of(ti)
            paths = [payload_of(rows["extract", -1, key]) for key in "ab"]
            contents = [path.read_bytes() for path in paths]
            for path, content in zip(paths, reversed(contents), strict=True):
                path.write_bytes(content)

        reader = Reader(lambda ti: ti.xcom_pull(task_ids="extract", key="a"), before=swap)
        with a_dag() as dag:

            @exclusive_task(multiple_outputs=True)
            def extract() -> dict:
                return {"a": "a" * 9_999, "b": "b" * 9_999}

            extract() >> PythonOperator(task_id="reader", python_callable=lambda ti: reader(ti))
        Run(dag)

        reader.refused(EnvelopeError)


def test_without_the_backend_nothing_is_written(mocker):
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time import task_runner, xcom

    with a_dag() as dag:

        @exclusive_task(retries=3)
        def extract():
            return "a secret"

        extract()
    for module in (xcom, task_runner):
        mocker.patch.object(module, "XCom", BaseXCom)

    run = Run(dag)

    assert run.states == {"extract": "failed"}
    assert run.xcom_rows() == {}


class TestTheDeployment:
    @pytest.fixture(autouse=True)
    def fresh_process(self):
        def forget():
            for cached in (wiring._settings, wiring._driver, wiring._store):
                cached.cache_clear()

        forget()
        self.forget = forget
        yield
        forget()

    def set(self, monkeypatch, option, value):
        monkeypatch.setenv(option, value)
        self.forget()

    def test_a_value_sealed_under_a_dropped_key_names_the_key(self, monkeypatch):
        reader = Reader(before=lambda ti: self.set(monkeypatch, "AIRFLOW__EXCLUSIVE__PRIVATE_KEY", _A_KEY))

        run_with_reader(reader)

        reader.refused(UnknownKeyError, "private_key")
        assert reader.error.key_id in str(reader.error)

    def test_a_rotated_key_still_opens_what_it_sealed(self, monkeypatch):
        self.set(monkeypatch, "AIRFLOW__EXCLUSIVE__PRIVATE_KEY", _A_KEY)
        reader = Reader(
            before=lambda ti: self.set(monkeypatch, "AIRFLOW__EXCLUSIVE__PRIVATE_KEY", f"{_ANOTHER_KEY},{_A_KEY}")
        )

        run_with_reader(reader)

        assert reader.value == "a secret"

    def test_an_expired_value_says_when_it_expired(self, monkeypatch):
        import time

        self.set(monkeypatch, "AIRFLOW__EXCLUSIVE__TTL_SECONDS", "1")
        reader = Reader(before=lambda ti: time.sleep(1.1))

        run_with_reader(reader, "x" * 10_000)

        reader.refused(PayloadNotFoundError, "expired at 20", "ttl_seconds", "Clear and re-run task 'extract'")

    @pytest.mark.parametrize(
        ("option", "value", "fragment"),
        [
            ("AIRFLOW__EXCLUSIVE__PRIVATE_KEY", "correct horse battery staple", "private_key"),
            ("AIRFLOW__EXCLUSIVE__PRIVATE_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "guessed"),
            ("AIRFLOW__EXCLUSIVE__PUBLIC_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "public_key"),
            ("AIRFLOW__CORE__FERNET_KEY", "", "fernet_key"),
            ("AIRFLOW__CORE__FERNET_KEY", "{FERNET_KEY}", "fernet_key"),
            ("AIRFLOW__CORE__FERNET_KEY", "dG9vIHNob3J0", "fernet_key"),
            ("AIRFLOW__EXCLUSIVE__INLINE_BYTES", "-1", "inline_bytes"),
            ("AIRFLOW__EXCLUSIVE__TTL_SECONDS", "a month", "ttl_seconds"),
            ("AIRFLOW__EXCLUSIVE__ALLOW_CLOUDPICKLE", "maybe", "allow_cloudpickle"),
            ("AIRFLOW__EXCLUSIVE__AUDIT", "everything", "audit"),
            ("AIRFLOW__EXCLUSIVE__STORAGE", "redis://:hunter2@localhost", "password"),
            ("AIRFLOW__EXCLUSIVE__STORAGE", "redis://localhost", "conn_id"),
            ("AIRFLOW__EXCLUSIVE__STORAGE", "/var/lib/values", "file:///"),
            ("AIRFLOW__EXCLUSIVE__STORAGE", "nosuch://bucket/x", "nosuch"),
        ],
    )
    def test_a_wrong_option_is_named_when_the_producer_pushes(self, monkeypatch, option, value, fragment):
        self.set(monkeypatch, option, value)
        caught = []
        with a_dag() as dag:

            @exclusive_task(consumers=[])
            def extract(ti=None):
                with pytest.raises(ConfigurationError) as refusal:
                    ti.xcom_push("key", "x" * 1000)
                caught.append(str(refusal.value))

            extract()
        Run(dag)

        (message,) = caught
        assert fragment in message
        assert "hunter2" not in message

    def test_cloudpickle_must_be_allowed_by_the_deployment(self, monkeypatch):
        caught = []
        for allowed in ("False", "True"):
            self.set(monkeypatch, "AIRFLOW__EXCLUSIVE__ALLOW_CLOUDPICKLE", allowed)
            with a_dag() as dag:

                @exclusive_task(codec="cloudpickle")
                def extract(ti=None):
                    try:
                        ti.xcom_push("key", threading.Event)
                    except CodecError as refused:
                        caught.append(str(refused))
                    else:
                        caught.append(ti.xcom_pull(task_ids="extract", key="key"))

                extract()
            Run(dag)

        assert "allow_cloudpickle" in caught[0]
        assert caught[1] is threading.Event

    def test_a_value_without_codec_names_its_type(self):
        caught = []
        with a_dag() as dag:

            @exclusive_task
            def extract(ti=None):
                with pytest.raises(CodecError) as refusal:
                    ti.xcom_push("key", threading.Lock())
                caught.append(str(refusal.value))

            extract()
        Run(dag)

        assert "lock" in caught[0]


_A_KEY = "3qeQ3rYh0S0j4cTgPq2r1zWmvXkLb5n8oJtUuYw9AEI="
_ANOTHER_KEY = "mX2f9vQn7LwB5yRk1sT8dZ3hCj6gPa0eUoIxVtWqN4M="


@pytest.mark.parametrize(("pushed", "cleared"), [("r%2Fx", "r/x"), ("plain", "plain")])
def test_a_row_takes_its_payload_along_when_the_key_is_decoded(pushed, cleared):
    with a_dag() as dag:

        @exclusive_task(consumers=[])
        def work(ti=None):
            ti.xcom_push(pushed, "x" * 10_000)

        work()

    run = Run(dag)
    row = run.xcom_rows()["work", -1, cleared]
    location = object_key_of(Reference.from_row(row))
    assert wiring.current_driver().retrieve(location)

    push.purge(row, Coordinate(run.dag_id, run.run_id, "work", -1, cleared))

    assert wiring.current_driver().retrieve_many([location]) == [None]
