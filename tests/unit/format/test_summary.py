"""What a reference says in plain text has one form, and nothing else is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_exclusive.format.summary import Summary, is_of_this_version, read_summary, version_in

WORDS = st.from_regex(r"[A-Za-z0-9_.\-]{1,20}", fullmatch=True)
STORES = st.none() | WORDS.filter(lambda word: word != "row")
TIMES = st.none() | st.sampled_from(["2026-12-20T10:00:00Z", "9999-12-31T23:59:59Z"])


@given(st.builds(Summary, st.integers(0, 2**63 - 1), WORDS, STORES, TIMES, st.booleans()))
def test_a_summary_comes_back(summary):
    assert read_summary(str(summary)) == summary
    assert is_of_this_version(str(summary))


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (Summary(1, "msgpack", None, None, is_masked=False), "v1: 1 B msgpack in row"),
        (
            Summary(8002552, "arrow", "redis", "2026-12-20T10:00:00Z", is_masked=True),
            "v1: 8002552 B arrow in redis until 2026-12-20T10:00:00Z masked",
        ),
    ],
)
def test_it_reads_as_a_person_would_say_it(summary, text):
    assert str(summary) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "v1: ", "v1: 1 B msgpack", "v1: 1 B  in row", "v1: 01 B msgpack in row", "v1: -1 B msgpack in row",
        "v1: +1 B msgpack in row", "v1: 1.0 B msgpack in row", "v1: 1_0 B msgpack in row", "v1: \u0661 B msgpack in row",
        "v1: 9223372036854775808 B msgpack in row", "v1: 1 B msgpack in row ", " v1: 1 B msgpack in row",
        "v1: 1 B msgpack in row\n", "v1: 1 b msgpack in row", "v2: 1 B msgpack in row", "v1 1 B msgpack in row",
        "v1: 1 B msg pack in row", "v1: 1 B größe in row", "v1: 1 B msgpack in row until", "v1: 1 B msgpack in row masked masked",
        "v1: 1 B msgpack in row until 2026-13-20T10:00:00Z", "v1: 1 B msgpack in row until 2026-12-20T10:00:00+00:00",
        "v1: 1 B msgpack in row until 2026-12-20", "v1: 1 B msgpack in row until 2026-12-20T10:00:00.5Z",
        "v1: 1 B msgpack in row masked until 2026-12-20T10:00:00Z",
    ],
)  # fmt: skip
def test_any_other_text_is_refused(text):
    with pytest.raises(ValueError):
        read_summary(text)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        *[("v1: x", 1), ("v2: whatever it says then", 2), ("v999999999: ", 999999999), ("v1", None), ("v1:", None)],
        *[("v9999999999: ", None), ("V1: ", None), (" v1: ", None), (1, None), (None, None), (["v1: "], None)],
    ],
)
def test_the_version_is_what_it_begins_with(text, version):
    assert version_in(text) == version
    assert is_of_this_version(text) == (version == 1)
