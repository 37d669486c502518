"""Names of an XCom as bytes: none is lost, none is taken for another, and few bytes where Airflow chose them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_exclusive.format import names
from airflow_provider_exclusive.format.names import MAX_NAMES_BYTES, Names

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)).map(datetime.isoformat)
MADE_BY_AIRFLOW = st.builds(
    "{}__{}{}".format,
    st.sampled_from(["manual", "scheduled", "backfill", "asset_triggered", "asset_materialization", "Manual"]),
    MOMENTS | st.sampled_from(["2026-02-30T00:00:00+00:00", "2026-11-27T05:27:23.1+00:00", "2026-11-27T05:27:23Z"]),
    st.sampled_from(["", "_AbCdEfGh", "\1", "+00:00", "\n"]),
)
RUN_IDS = (TEXTS.filter(lambda text: not text.startswith("\1"))) | MADE_BY_AIRFLOW


@settings(max_examples=500, deadline=None)
@given(TEXTS, RUN_IDS, TEXTS, TEXTS)
@example("etl", "manual__1969-12-31T23:59:59.999999+00:00", "extract", "return_value")
@example("größe", "scheduled__2026-11-27T00:00:00+00:00", "\U0001f600", "a key/%2F")
def test_names_come_back(dag_id, run_id, task_id, key):
    written = Names(dag_id, run_id, task_id, key)
    read = Names.from_bytes(written.to_bytes())
    assert read == (written if key else written._replace(key="return_value"))


@settings(max_examples=500, deadline=None)
@given(st.tuples(TEXTS, RUN_IDS, TEXTS, TEXTS.filter(bool)), st.tuples(TEXTS, RUN_IDS, TEXTS, TEXTS.filter(bool)))
@example(("a", "b", "c", "d"), ("a", "b", "cd", "return_value"))
def test_other_names_are_other_bytes(one, other):
    assert (Names(*one).to_bytes() == Names(*other).to_bytes()) == (one == other)


@pytest.mark.parametrize(
    ("run_id", "most"),
    [
        ("manual__2026-11-27T05:27:23.123456+00:00", 17),
        ("scheduled__2026-11-27T00:00:00+00:00", 17),
        ("asset_triggered__2026-11-27T05:27:23.123456+00:00_AbCdEfGh", 26),
        ("manual__2026-11-27T05:27:23.123456+02:00", 40),  # Airflow's own are in UTC
        ("nightly", 7),
    ],
)
def test_the_time_in_a_run_id_takes_few_bytes(run_id, most):
    assert len(Names("", run_id, "", "k").to_bytes()) <= most + 4


@pytest.mark.parametrize("field", [0, 1, 2, 3])
def test_a_nul_cannot_be_written(field):
    parts = ["a", "b", "c", "d"]
    parts[field] = "x\0y"
    with pytest.raises(ValueError, match="holds a NUL"):
        Names(*parts).to_bytes()


@pytest.mark.parametrize("name", ["\ud800", "a\udfff"])
def test_a_lone_surrogate_cannot_be_written(name):
    with pytest.raises(ValueError):
        Names(name, "r", "t", "k").to_bytes()


def test_a_run_id_cannot_pretend_to_be_packed():
    with pytest.raises(ValueError, match="control character"):
        Names("d", "\1m0\1", "t", "k").to_bytes()


@pytest.mark.parametrize(
    "written",
    [
        b"", b"a", b"a\0b\0c", b"a\0b\0c\0d\0e", b"\xff\0b\0c\0d", b"a\0\1\0c\0d", b"a\0\1m\1\0c\0d", b"a\0\1m12\0c\0d",
        b"a\0\1x12\1\0c\0d", b"a\0\1mxyz\1\0c\0d", b"a\0\1m" + b"f" * 40 + b"\1\0c\0d", b"a\0\1m-" + b"f" * 15 + b"\1\0c\0d",
        b"a" * 251 + b"\0b\0c\0d", b"a\0" + b"b" * 251 + b"\0c\0d", b"a\0b\0c\0" + b"d" * 513,
    ],
)  # fmt: skip
def test_anything_else_is_refused(written):
    with pytest.raises(ValueError):
        Names.from_bytes(written)


@pytest.mark.parametrize("packed", [b"mA", b"m0xa", b"m+a", b"m 0a", b"m0a", b"m0_a", "m\uff11".encode(), b"m-0"])
def test_a_run_id_has_one_spelling(packed):
    with pytest.raises(ValueError, match="could be other bytes"):
        Names.from_bytes(b"a\0\1" + packed + b"\1\0c\0d")


@pytest.mark.parametrize(
    "written", [b"a\0manual__1970-01-01T00:00:00+00:00\0c\0d", b"a\0b\0c\0return_value"], ids=["run id", "key"]
)
def test_what_takes_fewer_bytes_is_not_spelled_out(written):
    with pytest.raises(ValueError, match="could be other bytes"):
        Names.from_bytes(written)


def test_the_longest_names_fit_the_bound():
    longest = Names("\U0001f600" * 250, "\U0001f600" * 250, "\U0001f600" * 250, "\U0001f600" * 512)
    assert len(longest.to_bytes()) <= MAX_NAMES_BYTES
    assert Names.from_bytes(longest.to_bytes()) == longest


def test_no_long_names_stay_in_memory():
    names._read_cached.cache_clear()
    Names.from_bytes(Names("d" * 250, "r" * 250, "t" * 250, "k").to_bytes())
    assert names._read_cached.cache_info().currsize == 0
    Names.from_bytes(Names("d", "r", "t", "k").to_bytes())
    assert names._read_cached.cache_info().currsize == 1


def test_the_ends_of_time_come_back():
    for moment in (
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
    ):
        for run_id in (f"manual__{moment.isoformat()}", f"manual__{(moment).isoformat(timespec='microseconds')}"):
            assert Names.from_bytes(Names("d", run_id, "t", "k").to_bytes()).run_id == run_id
