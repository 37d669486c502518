"""What a deployment says about classes, without an Airflow."""

from __future__ import annotations

from fnmatch import fnmatch


class Rules:
    def __init__(self, *patterns: str) -> None:
        self.patterns = patterns

    def allows(self, name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in self.patterns)

    def serializes(self, kind: type) -> bool:
        return hasattr(kind, "serialize") and hasattr(kind, "deserialize")
