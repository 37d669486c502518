"""
Check how long modules and functions are: ``python tests/budgets.py``.

Ruff checks complexity, import-linter the arrows between modules; this is what neither can say. A long module is a
question, not a fault: it is split where it has two reasons to change, and never for its length. Lines of a function are
counted without its docstring, those of a module as they are; a function that only returns a table is data, not code.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MODULE_LINES = 600
USUAL_MODULE_LINES = 400
FUNCTION_LINES = 40
USUAL_FUNCTION_LINES = 25
SHOWN = 5
FOLDERS = ("airflow_provider_exclusive", "stack", "demo", "example_dags")


@dataclass(frozen=True, slots=True, order=True)
class Measured:
    lines: int
    name: str

    def __str__(self) -> str:
        return f"{self.lines:5}  {self.name}"


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    paths = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))
    modules = [Measured(len(path.read_text().splitlines()), str(path.relative_to(root))) for path in paths]
    functions = [function for path in paths for function in functions_of(path, str(path.relative_to(root)))]
    show("modules", modules, MODULE_LINES)
    show("functions", functions, FUNCTION_LINES)
    longer = sum(function.lines > USUAL_FUNCTION_LINES for function in functions)
    print(f"{longer} of {len(functions)} functions are longer than {USUAL_FUNCTION_LINES} lines.")
    for one in modules:
        if USUAL_MODULE_LINES < one.lines <= MODULE_LINES:
            print(f"warning: longer than {USUAL_MODULE_LINES} lines; does it have two reasons to change? {one}")
    over = [one for one in modules if one.lines > MODULE_LINES] + [f for f in functions if f.lines > FUNCTION_LINES]
    for one in over:
        print(f"OVER BUDGET: {one}", file=sys.stderr)
    return bool(over)


def functions_of(path: Path, name: str) -> Iterator[Measured]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not is_data(node):
            yield Measured(length_of(node), f"{name}:{node.lineno} {node.name}")


def is_data(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function does nothing but return a literal: a table may be as long as its content."""
    match [statement for statement in function.body if not is_docstring(statement)]:
        case [ast.Return(value=ast.Dict() as table)]:
            return not any(isinstance(node, (ast.Call, ast.comprehension, ast.Lambda)) for node in ast.walk(table))
    return False


def is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


def show(what: str, measured: list[Measured], budget: int) -> None:
    print(f"The largest of {len(measured)} {what} (at most {budget} lines):")
    for one in sorted(measured, reverse=True)[:SHOWN]:
        print(one)


if __name__ == "__main__":
    sys.exit(main())
