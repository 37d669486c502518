"""The findings of the checks, and the report of all findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a finding is; only an error makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One result of a check.

    :param area: ``settings``, ``keys``, ``store``, ``redis`` or ``server``.
    :param name: a stable word for machines, unique within the area.
    :param what: a sentence; never a key or a password.
    :param cure: what to do; if nothing is wrong, what to know.
    """

    severity: Severity
    area: str
    name: str
    what: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Area:
    """Creates the findings of one area."""

    area: str

    def ok(self, name: str, what: str, hint: str = "") -> Finding:
        """Return a finding that something is as it should be."""
        return Finding(Severity.OK, self.area, name, what, hint)

    def warning(self, name: str, what: str, cure: str) -> Finding:
        """Return a finding that something works but should be changed."""
        return Finding(Severity.WARNING, self.area, name, what, cure)

    def error(self, name: str, what: str, cure: str = "") -> Finding:
        """
        Return a finding that something does not work, or does not protect.

        :param cure: may be empty if ``what``, the message of an error, says what to do.
        """
        return Finding(Severity.ERROR, self.area, name, what, cure)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Report:
        """Collect findings."""
        return cls(tuple(findings))

    def count(self, severity: Severity) -> int:
        """Return how many findings are of that severity."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 1 if there is any error, else 0."""
        return int(self.count(Severity.ERROR) > 0)

    def to_json(self) -> dict[str, Any]:
        """Return counts and findings."""
        return {
            "errors": self.count(Severity.ERROR),
            "warnings": self.count(Severity.WARNING),
            "findings": [
                {
                    "severity": finding.severity.value,
                    "area": finding.area,
                    "name": finding.name,
                    "what": finding.what,
                    "cure": finding.cure,
                }
                for finding in self.findings
            ],
        }
