"""What comes back through our codecs, beside what comes back through Airflow's own backend."""

from __future__ import annotations

import json
from datetime import datetime
from types import SimpleNamespace

import pytest

from airflow_provider_exclusive.exceptions import CodecError
from airflow_provider_exclusive.wiring import create_codecs
from tests import classes, library_values
from tests.same import same
from tests.values import BEYOND, KEPT, MODULE

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def _allowed_classes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES",
            f"airflow.* {MODULE}.* {classes.MODULE}.* {library_values.ALLOWED}",
        )
        from airflow.sdk import serde

        caches = (serde._get_patterns, serde._match_glob)
        for cache in caches:
            cache.cache_clear()
        yield
    for cache in caches:
        cache.cache_clear()


def through_airflow(value):
    from airflow.sdk.bases.xcom import BaseXCom

    row = json.loads(json.dumps(BaseXCom.serialize_value(value)))
    return BaseXCom.deserialize_value(SimpleNamespace(value=row))


def through_codecs(value):
    codecs = create_codecs(allow_cloudpickle=False)
    name, pieces = codecs.encode(value)
    return codecs.decode(name, memoryview(bytearray(b"".join(pieces))))  # what large payloads are opened into


def settled(value):
    """pendulum sets fold on every moment, and Airflow drops it: it counts only where the clock shows an hour twice."""
    if not isinstance(value, datetime):
        return value
    other_fold = value.replace(fold=1 - value.fold)
    return value.replace(fold=0) if value.utcoffset() == other_fold.utcoffset() else value


def test_the_matrix_is_as_large_as_promised():
    assert len(KEPT) >= 40
    assert len(BEYOND) >= 15


@pytest.mark.parametrize("name", KEPT)
def test_what_airflow_keeps_comes_back_as_airflow_gives_it_back(name):
    value = KEPT[name]()

    ours = through_codecs(KEPT[name]())

    theirs = through_airflow(value)
    assert same(settled(theirs), settled(value)), "this value belongs in BEYOND"
    assert same(ours, value)
    assert same(settled(ours), settled(theirs))


@pytest.mark.parametrize("name", BEYOND)
def test_what_airflow_refuses_or_changes_comes_back_exactly(name):
    assert same(through_codecs(BEYOND[name]()), BEYOND[name]())


@pytest.mark.parametrize("name", BEYOND)
def test_airflow_does_refuse_or_change_it(name):
    try:
        is_kept = same(through_airflow(BEYOND[name]()), BEYOND[name]())
    except Exception:  # whatever Airflow raises, it does not carry the value
        is_kept = False

    assert not is_kept, "this value belongs in KEPT"


def test_the_matrix_of_libraries_is_as_large_as_promised():
    everything = [*library_values.ARRIVE, *library_values.REFUSED]
    assert len(everything) >= 500
    assert len({library for library, _ in everything}) >= 12


@pytest.mark.parametrize("key", library_values.ARRIVE, ids=": ".join)
def test_a_value_of_a_library_comes_back_exactly(key):
    assert same(through_codecs(library_values.ARRIVE[key]()), library_values.ARRIVE[key]())


@pytest.mark.parametrize("key", library_values.REFUSED, ids=": ".join)
def test_any_other_value_of_a_library_is_refused_with_a_way_out(key):
    make, said = library_values.REFUSED[key]
    with pytest.raises(CodecError, match=said):
        through_codecs(make())
