"""Errors for a value that cannot be encoded exactly: they name its type, its place and an alternative."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from airflow_provider_exclusive.codecs.ways_out import way_out_for
from airflow_provider_exclusive.exceptions import CodecError


def qualified_name(value: Any) -> str:
    """Return the full name of the type of ``value``."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def refusal(
    value: Any, because: str = "no codec restores exactly this type", *, way_out: str | None = None
) -> CodecError:
    """
    Return the error for a value that cannot be encoded.

    :param because: the reason; never a part of the value.
    :param way_out: what to do instead; None means what applies to values of this kind.
    """
    kind = qualified_name(value)
    return CodecError(f"A value of type {kind} cannot be encoded: {because}. {way_out or way_out_for(value)}")


def origin(failure: BaseException) -> str:
    """Return the type of a failure and where it was raised, without its text, which may quote a value."""
    frames = traceback.extract_tb(failure.__traceback__)
    return (
        f"{type(failure).__name__} at {frames[-1].filename}:{frames[-1].lineno}" if frames else type(failure).__name__
    )


def parts_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and items of a container, each with its place in it."""
    kind = type(value)
    if issubclass(kind, dict):
        for position, (key, item) in enumerate(value.items()):
            yield f", key {position}", key
            yield f", item {position}", item
    elif issubclass(kind, (list, tuple, deque)):
        yield from ((f"[{position}]", item) for position, item in enumerate(value))
    elif issubclass(kind, (set, frozenset)):
        yield from ((", one of a set", item) for item in value)


def place_of(part: Any, parts: Iterable[tuple[str, Any]]) -> str:
    """
    Return the place of the object ``part``, such as ``the value, item 2[0]``.

    :param parts: the objects to search, each with its place.
    """
    waiting, seen = list(parts), set()
    whole = waiting[0][0] if waiting else ""
    while waiting:
        place, candidate = waiting.pop()
        if candidate is part:
            return place
        if id(candidate) not in seen:
            seen.add(id(candidate))
            waiting += [(place + name, item) for name, item in parts_of(candidate)]
    return f"{whole}, somewhere"
