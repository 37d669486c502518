"""Write text or JSON to stdout, and failures to stderr with exit code 1."""

from __future__ import annotations

import functools
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from difflib import get_close_matches
from typing import Any, Final, NoReturn, TypeVar

from airflow_provider_exclusive.exceptions import ExclusiveError

_Result = TypeVar("_Result")

_WIDTH_WITHOUT_TERMINAL: Final = 200


def emit(text: str) -> None:
    """Write lines to stdout as they are."""
    sys.stdout.write(f"{text}\n")


def emit_json(document: Mapping[str, Any]) -> None:
    """Write one JSON object to stdout, in ASCII, so that a terminal interprets none of it."""
    emit(json.dumps(document, indent=2))


def emit_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to stdout; cells are data, never interpreted as markup or as a terminal's command."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, highlight=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(printable, row))
    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    Console(file=sys.stdout, markup=False, emoji=False, highlight=False, width=width).print(table)


@contextmanager
def only_the_answer() -> Iterator[None]:
    """Send everything else that is printed to stderr: by Dag files, and by Airflow's log, which goes to stdout."""
    with redirect_stdout(sys.stderr):
        yield


def printable(text: str) -> str:
    """Return ``text`` with invisible characters escaped; a task may choose any text as the key of an XCom."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def fail(message: str) -> NoReturn:
    """
    End the command.

    :raises SystemExit: which writes ``message`` to stderr and exits with 1.
    """
    raise SystemExit(message)


def did_you_mean(unknown: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that suggests the nearest known name, or an empty text."""
    near = get_close_matches(unknown, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def failing_clearly(command: Callable[[Any], _Result]) -> Callable[[Any], _Result]:
    """Make a command end with the message of this package's error instead of a traceback."""

    @functools.wraps(command)
    def run(args: Any) -> _Result:
        if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may not support every character of a Dag's ids
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return command(args)
        except ExclusiveError as failure:
            fail(str(failure))

    return run
