"""One meaning has one form: else two rows could mean the same."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_exclusive.format.canonical import from_base64, to_base64


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
