"""Find the types in plain data, and how deep it is nested, before it is packed."""

from __future__ import annotations

import gc
from collections.abc import Collection
from typing import Any, Final

from airflow_provider_exclusive.exceptions import CodecError

MAX_LEVELS: Final = 400
"""How deep containers may be nested: the C code that packs them uses stack for each level and does not check it."""

MAX_NESTED_OBJECTS: Final = 32
"""How many of these levels may be tuples, sets and other extension types: decoding one uses 40 kB of stack."""

_CONTAINERS: Final = frozenset({list, dict})
_LARGE_LEVEL: Final = 100_000


def measure_nesting(value: Any) -> tuple[set[type], int]:
    """
    Return the types of everything in the lists and dicts of ``value``, and how many levels of them there are.

    Keys of dicts that have only text keys are skipped. The search goes level by level, so that the loops run in C:
    checking each item in Python would take longer than packing it.

    :raises CodecError: if there are more levels than can be packed.
    """
    found: set[type] = set()
    level: Collection[Any] = (value,)
    levels = 0
    while (types := set(map(type, level))) & _CONTAINERS:
        levels += 1
        if levels > MAX_LEVELS:
            raise too_deep()
        found |= types
        # What the garbage collector visits: every item, key and value (list_traverse and dict_traverse of CPython).
        level = gc.get_referents(*_containers(level, types))
    return found | types, levels


def _containers(items: Collection[Any], types: set[type]) -> Collection[Any]:
    """
    Return the lists and dicts among ``items``, whose types are ``types``.

    If they have very many items, return each once, so that one that contains itself cannot fill the memory.
    """
    chosen = items if types <= _CONTAINERS else [item for item in items if type(item) in _CONTAINERS]
    if sum(map(len, chosen)) <= _LARGE_LEVEL:
        return chosen
    return dict(zip(map(id, chosen), chosen, strict=True)).values()


class TooDeepError(CodecError):
    """The place of what is too deep would be as long as the nesting, so the message names none."""


def too_deep() -> CodecError:
    """Return the error for values that are nested too deep."""
    return TooDeepError(
        f"A value contains itself, or is nested too deep: expected at most {MAX_LEVELS} levels, of which "
        f"{MAX_NESTED_OBJECTS} may be tuples, sets and other objects. Flatten it."
    )
