"""Every refusal names place, field and type, and a way out that applies to this kind of value."""

from __future__ import annotations

import asyncio
import collections
import io
import re
import threading
from collections import UserDict, namedtuple
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from airflow_provider_exclusive import wiring
from airflow_provider_exclusive.exceptions import CodecError
from tests import classes

CODECS = wiring.create_codecs(allow_cloudpickle=False)
Row = namedtuple("Row", ["id", "name"])  # noqa: PYI024  # as database hooks make them


class Pair(NamedTuple):
    left: int


class Text(str):
    __slots__ = ()


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)


class Lazy(collections.abc.Sequence):
    __slots__ = ("handle",)

    def __reduce__(self):
        raise TypeError

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return index


class Struct(msgspec.Struct):
    number: int


@dataclass
class Report:
    body: object


def rows():
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        return connection.execute(sa.text("select 1 as a")).fetchone()


async def coroutine():
    return 1


def closed_coroutine():
    value = coroutine()
    value.close()
    return value


def operator():
    from airflow.providers.standard.operators.bash import BashOperator

    return BashOperator(task_id="run", bash_command="true")


def dag():
    from airflow.sdk import DAG

    return DAG("some_dag")


@pytest.fixture(autouse=True)
def _allowed(monkeypatch):
    from airflow.sdk import serde

    monkeypatch.setenv(
        "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES", f"airflow.* {classes.MODULE}.* {__name__}.* sqlalchemy.*"
    )
    for cache in (serde._get_patterns, serde._match_glob):
        cache.cache_clear()
    yield
    for cache in (serde._get_patterns, serde._match_glob):
        cache.cache_clear()


REFUSED = {
    "named tuple": (lambda: Row(1, "a"), "handler="),
    "typed named tuple": (lambda: Pair(1), "tuple(value)"),
    "lazy sequence": (Lazy, "Return list(value)"),
    "generator": (lambda: (n for n in range(3)), "Return list(value)"),
    "map": (lambda: map(str, [1]), "Return list(value)"),
    "dict view": (lambda: {"a": 1}.values(), "Return list(value)"),
    "dict items": (lambda: {"a": 1}.items(), "Return set(value), or list(value)"),
    "memoryview": (lambda: memoryview(b"x"), "Return bytes(value)"),
    "enum": (lambda: classes.Colour.RED, "Return its .value"),
    "subclass of str": (lambda: Text("x"), "Return str(value)"),
    "generic model": (lambda: classes.Page[int](items=[1]), "class IntPage(Page[int]): pass"),
    "class": (lambda: classes.Point, "Return its name"),
    "function": (lambda: rows, "the consumer can import it"),
    "module": (lambda: re, "the consumer can import it"),
    "exception": (lambda: ValueError("x"), "Return str(value), or raise it"),
    "coroutine": (closed_coroutine, "Await it"),
    "file": (lambda: io.StringIO("x"), "value.read()"),
    "lock": (threading.Lock, "leave it out, and return the data"),
    "event loop": (asyncio.Queue, "allowed_deserialization_classes"),
    "masked array": (lambda: np.ma.masked_array([1], [True]), "value.filled(...)"),
    "matrix": (lambda: np.matrix([[1]]), "numpy.asarray(value)"),
    "array of objects": (lambda: np.array([{}], dtype=object), "array.tolist()"),
    "Arrow scalar": (lambda: pa.scalar(1), "value.as_py()"),
    "row of SQLAlchemy": (rows, "dict(value._mapping)"),
    "object of a session": (lambda: User(id=1), "value.__table__.columns"),
    "msgspec": (lambda: Struct(1), "msgspec.to_builtins(value)"),
    "class that is not allowed": (lambda: UserDict(a=1), "'collections.UserDict'|collections.UserDict"),
    "own reduction": (classes.Reduced, "Return plain data"),
    "operator": (operator, "return its task_id"),
    "Dag": (dag, "return its dag_id"),
}


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda value: value, ""),
        (lambda value: [{"k": value}], "In the value[0], item 0: "),
        (lambda value: classes.Record(part=(1, value)), "In the value.part[1]: "),
    ],
    ids=["bare", "in plain data", "in an object"],
)
def test_a_refusal_names_place_type_and_way_out(name, wrap, place):
    make, way_out = REFUSED[name]
    value = make()
    if name == "enum" and ".part" in place:
        pytest.skip("it is encoded inside an object")

    with pytest.raises(CodecError) as refused:
        CODECS.encode(wrap(value))

    message = str(refused.value)
    assert message.startswith(
        f"{place}A value of type {type(value).__module__}.{type(value).__qualname__} cannot be"
    ), message
    assert any(choice in message for choice in way_out.split("|")), message
    assert "0x" not in message


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (
            pd.DataFrame({"a": pd.Series([1, {Pair(1)}], dtype=object)}),
            r"column 'a' .* In row \[1\], one of a set: .*Pair",
        ),
        (pd.Series([Pair], name="s", dtype=object), r"Series 's' .* In row \[0\]: .*Return its name"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([Pair], dtype=object)), r"index None .*In row \[0\]"),
    ],
)
def test_a_refusal_of_a_cell_names_column_and_row(frame, said):
    with pytest.raises(CodecError, match=said):
        CODECS.encode(frame)


def test_a_refusal_of_the_attributes_of_a_frame_says_so():
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["source"] = Pair(1)

    with pytest.raises(CodecError, match=r"its attrs: In the value, item 0: .*Pair"):
        CODECS.encode(frame)


def test_a_default_factory_is_refused_with_its_place():
    with pytest.raises(CodecError, match=r"^In the value\[0\]: .*defaultdict.*Return dict\(value\)"):
        CODECS.encode([collections.defaultdict(lambda: 1)])


def test_a_field_that_cannot_be_encoded_is_named():
    with pytest.raises(CodecError, match=r"^In the value\.body: A value of type _thread\.lock"):
        CODECS.encode(Report(threading.Lock()))
