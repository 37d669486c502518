"""What is found in a value: everything, once, in order."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_exclusive.execution_time.parts import parts_of


class Made(Mapping):
    """A mapping that makes each value when it is asked for."""

    def __getitem__(self, name):
        return [f"{name} {number}" for number in range(3)]

    def __iter__(self):
        return iter(("first", "second", "third"))

    def __len__(self):
        return 3


def texts_in(value):
    return [part for part in parts_of(value) if isinstance(part, str)]


def test_parts_come_in_order_without_the_keys_of_mappings():
    assert texts_in(["a", ("b", {"key": "c"}), frozenset({"d"}), 5, "e"]) == ["a", "b", "c", "d", "e"]


def test_what_contains_itself_comes_once():
    value = ["a"]
    value.append(value)
    assert list(parts_of(value)) == [value, "a"]


def test_values_that_are_made_on_demand_all_come():
    assert texts_in(Made()) == [f"{name} {number}" for name in ("first", "second", "third") for number in range(3)]
