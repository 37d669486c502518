"""One meaning has one form: else two rows could mean the same, or one seal fit two rows."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_exclusive.format.canonical import canonical, from_base64, to_base64

TEXTS = st.text(alphabet=st.characters(exclude_categories=()), max_size=8)
DATA = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


# --- base64


@pytest.mark.parametrize(
    "text",
    ["YQ", "YQ=", "YQ===", " YQ==", "YQ==\n", "Y Q==", "YR==", "-_8=", "YQ==YQ==", "=", "é===", "\ud800", "YQ\0=="],
    ids=repr,
)
def test_what_is_not_canonical_base64_is_refused(text):
    with pytest.raises(ValueError):
        from_base64(text)


@pytest.mark.parametrize("text", [None, b"YQ==", 7, ["YQ=="], True])
def test_base64_of_another_type_is_refused(text):
    with pytest.raises(TypeError):
        from_base64(text)


@given(st.binary(max_size=64))
def test_bytes_come_back_from_base64(data):
    assert from_base64(to_base64(data)) == data
    assert to_base64(data) == base64.standard_b64encode(data).decode()


# --- canonical data


@pytest.mark.parametrize("value", [True, False, 1.0, float("nan"), b"text", (1,), {1}, object(), [True], {"a": 1.5}])
def test_what_is_not_json_like_is_refused(value):
    with pytest.raises(TypeError, match="cannot encode"):
        canonical(value)


@pytest.mark.parametrize("name", [1, None, (1,), b"x"], ids=repr)
def test_a_dict_with_another_key_than_a_string_is_refused(name):
    with pytest.raises(TypeError, match=r"cannot encode \w+ as a key"):
        canonical({name: 2})
    with pytest.raises(TypeError):
        canonical({"a": 1, name: 2})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a", "b"], ["ab"]),
        (["a", "b"], ["b", "a"]),
        ([["a"], "b"], ["a", ["b"]]),
        (["a", None], ["a"]),
        ([], None),
        ([], {}),
        ("", None),
        ("1", 1),
        (1, -1),
        ({"a": "b"}, ["a", "b"]),
        ({"a": None}, {}),
        ({"a": "b"}, {"b": "a"}),
        ("\ud800", "?"),
        ("é", "e\u0301"),
    ],
)
def test_data_that_look_alike_differ(one, other):
    assert canonical(one) != canonical(other)


@given(DATA, DATA)
def test_different_data_give_different_bytes(one, other):
    assert (canonical(one) == canonical(other)) == (one == other)


def test_the_order_of_a_dict_does_not_matter():
    assert canonical({"a": 1, "b": [2]}) == canonical({"b": [2], "a": 1})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, b"n"),
        ("é", b"s\0\0\0\0\0\0\0\x02\xc3\xa9"),
        (-7, b"i\0\0\0\0\0\0\0\x02-7"),
        (["x"], b"l\0\0\0\0\0\0\0\x0as\0\0\0\0\0\0\0\x01x"),
        ({"x": None}, b"d\0\0\0\0\0\0\0\x0bs\0\0\0\0\0\0\0\x01xn"),
    ],
)
def test_the_bytes_are_those_of_the_format(value, expected):
    assert canonical(value) == expected
