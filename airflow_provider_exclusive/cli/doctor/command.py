"""``airflow exclusive doctor``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from airflow_provider_exclusive.cli.doctor import keys, redis, server, settings, store
from airflow_provider_exclusive.cli.doctor.facts import Facts, gather
from airflow_provider_exclusive.cli.doctor.report import Finding, Report, Severity
from airflow_provider_exclusive.cli.output import emit, emit_json, emit_table, only_the_answer

_CHECKS: Final[Sequence[Callable[[Facts], Iterator[Finding]]]] = (
    settings.check,
    keys.check,
    store.check,
    redis.check,
    server.check,
)


def doctor(args: Any) -> None:
    """
    Print every finding.

    :raises SystemExit: with 1 if one is an error.
    """
    with only_the_answer():
        report = examine(gather())
    if args.output == "json":
        emit_json(report.to_json())
    else:
        _print(report)
    if report.exit_code:
        raise SystemExit(report.exit_code)


def examine(facts: Facts) -> Report:
    """Run every check."""
    return Report.of(finding for check in _CHECKS for finding in check(facts))


def _print(report: Report) -> None:
    emit_table(
        ["", "area", "finding", "what to do"],
        ((finding.severity.value, finding.area, finding.what, finding.cure) for finding in report.findings),
    )
    errors, warnings = report.count(Severity.ERROR), report.count(Severity.WARNING)
    emit(f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}, {report.count(Severity.OK)} ok.")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
