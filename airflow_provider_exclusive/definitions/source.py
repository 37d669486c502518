"""What the text of a Dag file says; it is read only where objects alone do not answer a question."""

from __future__ import annotations

import ast
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path


def parse(path: str) -> ast.Module | None:
    """Return the syntax tree of a file, or None if there is no such source, as in a zip file or a test's ``exec``."""
    try:
        written = Path(path).stat()
    except OSError:
        return None
    return _parse(path, written.st_mtime_ns, written.st_size)


@lru_cache(maxsize=1)
def _parse(path: str, _written_at: int, _size: int) -> ast.Module | None:
    try:
        with tokenize.open(path) as file:
            return ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):  # compiled files, and what is edited while it is read
        return None


def gives_decorator(path: str, line: int, argument: str) -> bool:
    """
    Return whether a call on ``line`` gives a decorator its ``argument``.

    That may also be a decorator that is called, as in ``task(pre_execute=…)(function)``.
    """
    tree = parse(path)
    return tree is not None and any(
        isinstance(part, ast.Call) and part.lineno == line
        for node in ast.walk(tree)
        for decorator in _decorators(node)
        for given in _evaluated(decorator)
        if isinstance(given, ast.keyword) and given.arg == argument
        for part in _evaluated(given.value)
    )


def _decorators(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return node.decorator_list
    return [node.func] if isinstance(node, ast.Call) and isinstance(node.func, ast.Call) else []


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of an expression that are evaluated with it, and so not those in a ``lambda``."""
    yield node
    for part in ast.iter_child_nodes(node):
        if not isinstance(part, ast.Lambda):
            yield from _evaluated(part)


def functions_of(path: str, name: str, first_line: int) -> list[ast.AST]:
    """Return the function of that name that begins there; nothing if two lambdas do, which nothing tells apart."""
    tree = parse(path)
    found = _functions(tree).get((name, first_line), []) if tree is not None else []
    return found if len(found) == 1 else []


@lru_cache(maxsize=1)
def _functions(tree: ast.Module) -> Mapping[tuple[str, int], list[ast.AST]]:
    found: dict[tuple[str, int], list[ast.AST]] = defaultdict(list)
    for node in ast.walk(tree):
        if (begins := _begins(node)) is not None:
            found[begins].append(node)
    return found


def _begins(node: ast.AST) -> tuple[str, int] | None:
    """Return the name and first line of a function, as its code object has them."""
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return node.name, min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return None
