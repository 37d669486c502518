"""What plain data consists of and how deep it is, found out before it is packed."""

from __future__ import annotations

import gc
from collections.abc import Collection
from typing import Any, Final

from airflow_provider_exclusive.exceptions import CodecError

MAX_LEVELS: Final = 400
"""How deep containers may lie in each other: the C code that packs them takes stack for each and does not check it."""

MAX_NESTED_OBJECTS: Final = 32
"""How many of these levels may be tuples, sets and other extension types: reading one takes 40 kB of stack."""

_CONTAINERS: Final = frozenset({list, dict})
_LARGE_LEVEL: Final = 100_000


def measure_nesting(value: Any) -> tuple[set[type], int]:
    """
    Return the types of everything in the lists and dicts of ``value``, and how many levels of them there are.

    Keys are left out of dicts with no other keys than text. Level by level, because that leaves the loops to C: asking
    each item in Python would take longer than packing it.

    :raises CodecError: at more levels than can be packed.
    """
    found: set[type] = set()
    level: Collection[Any] = (value,)
    levels = 0
    while (types := set(map(type, level))) & _CONTAINERS:
        levels += 1
        if levels > MAX_LEVELS:
            raise too_deep()
        found |= types
        # What the collector is told of: every item, key and value (list_traverse and dict_traverse of CPython).
        level = gc.get_referents(*_containers(level, types))
    return found | types, levels


def _containers(items: Collection[Any], types: set[type]) -> Collection[Any]:
    """
    Return the lists and dicts among ``items``, whose types are ``types``.

    Each once if very much is in them, so that one that contains itself ends at the limit instead of filling the memory.
    """
    chosen = items if types <= _CONTAINERS else [item for item in items if type(item) in _CONTAINERS]
    if sum(map(len, chosen)) <= _LARGE_LEVEL:
        return chosen
    return dict(zip(map(id, chosen), chosen, strict=True)).values()


def too_deep() -> CodecError:
    """Return the error for values that are deeper than that."""
    return CodecError(
        f"A value contains itself, or is nested too deep: at most {MAX_LEVELS} levels, of which "
        f"{MAX_NESTED_OBJECTS} may be tuples, sets and other objects. Flatten it."
    )
