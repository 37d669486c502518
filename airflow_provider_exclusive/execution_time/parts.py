"""What is in a value, for whoever has to find something that it must not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_SEQUENCES: Final = (list, tuple, set, frozenset)


def parts_of(value: Any) -> Iterator[Any]:
    """Yield ``value`` and everything in it, in order and each object once, but not the keys of mappings."""
    waiting, seen = [value], dict[int, Any]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen[id(part)] = part  # kept, so that no other object gets its id
        yield part
        if isinstance(part, (Mapping, *_SEQUENCES)):
            waiting.extend(reversed(list(part.values() if isinstance(part, Mapping) else part)))
