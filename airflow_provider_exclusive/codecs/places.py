"""Where in a value a part of it stands: told by types and order, for a key may be as confidential as a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def parts_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and items of a dict, list or tuple, each with its place in it."""
    if isinstance(value, dict):
        for position, (key, item) in enumerate(value.items()):
            yield f", key {position}", key
            yield f", item {position}", item
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{position}]", item) for position, item in enumerate(value))


def place_of(part: Any, whole: Any) -> str:
    """Return the place of the very object ``part`` within ``whole``, such as ``the value, item 2[0]``."""
    waiting, seen = [("the value", whole)], set()
    while waiting:
        place, candidate = waiting.pop()
        if candidate is part:
            return place
        if id(candidate) not in seen:
            seen.add(id(candidate))
            waiting += [(place + name, item) for name, item in parts_of(candidate)]
            if isinstance(candidate, (set, frozenset)):
                waiting += [(f"{place}, one of a set", item) for item in candidate]
    return "the value, somewhere"
