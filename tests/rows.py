"""Rows as somebody who can write to the database may leave them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def with_field(row: Mapping[str, Any], path: Sequence[str | int], value: Any) -> dict[str, Any]:
    """Return a copy of ``row`` in which the field at ``path`` is ``value``."""
    copy: dict[str, Any] = json.loads(json.dumps(row))
    at: Any = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return copy
