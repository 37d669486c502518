"""
Pulls that can be read off a Dag file: ``xcom_pull`` with literal names, in templates and in the functions of the file.

Such a pull may never be made, and others cannot be read at all. So what is wrong with one is worth a warning, where the
same argument of a task is an error.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from airflow_provider_exclusive.compat import dag as airflow_dag
from airflow_provider_exclusive.definitions import source
from airflow_provider_exclusive.definitions.declared_dag import Input
from airflow_provider_exclusive.scopes.consumers import RETURN_KEY

_METHOD: Final = "xcom_pull"
_POSITIONS: Final = ("task_ids", "dag_id", "key", "include_prior_dates")
_SEQUENCES: Final = (list, tuple, set)
_UNKNOWN: Final = object()


@dataclass(frozen=True, slots=True)
class Pull:
    """
    One output that a task pulls.

    :param reader: the id of that task.
    :param where: the template field, or the line, for messages.
    """

    reader: str
    taken: Input
    where: str


def read(dag: Any) -> list[Pull]:
    """Return the pulls of an ``airflow.sdk.DAG`` that can be read, each once."""
    found = (pull for task in dag.tasks for pull in (*_in_templates(task), *_in_function(task)))
    return [pull for pull in dict.fromkeys(found) if not _is_airflows_own(pull.taken, dag)]


def _is_airflows_own(taken: Input, dag: Any) -> bool:
    producer = dag.task_dict.get(taken.task_id)
    return producer is not None and airflow_dag.is_airflows_own(taken.key, producer)


def _in_templates(task: Any) -> Iterator[Pull]:
    for name, content in airflow_dag.template_fields_of(task):
        for text in _texts(content):
            if _METHOD in text:  # parsing costs more, and few templates pull
                for arguments in _template_pulls(text):
                    yield from _pulls(task, arguments, f"its template field {name!r}")


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, (Mapping, *_SEQUENCES)):  # Airflow lets none of them contain itself
        for part in content.values() if isinstance(content, Mapping) else content:
            yield from _texts(part)


def _template_pulls(text: str) -> Iterator[dict[str, Any]]:
    from jinja2 import Environment, TemplateSyntaxError, nodes

    try:
        # Parsed and never rendered, so nothing is escaped.
        template = Environment().parse(text)  # noqa: S701
    except TemplateSyntaxError:
        return  # Airflow says so when it renders the template
    for call in template.find_all(nodes.Call):
        if (
            isinstance(call.node, nodes.Getattr)
            and call.node.attr == _METHOD
            and not (call.dyn_args or call.dyn_kwargs)
        ):
            named = {keyword.key: keyword.value for keyword in call.kwargs}
            yield _literals(call.args, named, _jinja_literal)


def _jinja_literal(node: Any) -> Any:
    from jinja2.nodes import Impossible

    try:
        return node.as_const()
    except Impossible:
        return _UNKNOWN


def _in_function(task: Any) -> Iterator[Pull]:
    code = _code_of(airflow_dag.argument_of(task, "python_callable"))
    if code is None or code.co_filename != task.dag.fileloc or not _names_method(code):
        return
    for function in source.functions_of(code.co_filename, code.co_name, code.co_firstlineno):
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == _METHOD:
                named = {keyword.arg: keyword.value for keyword in call.keywords}
                if None not in named and not any(isinstance(argument, ast.Starred) for argument in call.args):
                    arguments = _literals(call.args, named, _python_literal)
                    yield from _pulls(task, arguments, f"{code.co_filename}:{call.lineno}")


def _code_of(function: Any) -> CodeType | None:
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return code if isinstance(code, CodeType) else None


def _names_method(code: CodeType) -> bool:
    """Return whether a function, or one inside it, calls the method: so most sources are never read."""
    return _METHOD in code.co_names or any(
        _names_method(inner) for inner in code.co_consts if isinstance(inner, CodeType)
    )


def _python_literal(node: Any) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return _UNKNOWN


def _literals(positional: Iterable[Any], named: Mapping[Any, Any], evaluate: Any) -> dict[str, Any]:
    arguments = {**dict(zip(_POSITIONS, positional, strict=False)), **named}
    return {name: evaluate(node) for name, node in arguments.items()}


def _pulls(task: Any, arguments: Mapping[str, Any], where: str) -> Iterator[Pull]:
    task_ids, key = arguments.get("task_ids"), arguments.get("key", RETURN_KEY)
    dag_id = arguments.get("dag_id") or task.dag.dag_id
    for task_id in [*task_ids] if isinstance(task_ids, _SEQUENCES) else [task_ids]:
        if isinstance(dag_id, str) and isinstance(task_id, str) and isinstance(key, str):
            yield Pull(task.task_id, Input(dag_id, task_id, key), where)
