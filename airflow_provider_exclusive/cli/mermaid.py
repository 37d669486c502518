"""Draw a Dag's consumer scopes as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_exclusive.cli.output import printable
from airflow_provider_exclusive.cli.scope_report import CALLER, DagScopes, KeyScope, TaskScopes


def draw(scopes: DagScopes) -> str:
    """
    Return the flowchart's source.

    A solid arrow is an argument of the reader. A dotted arrow is a permission that no argument uses: the reader may
    still pull. Contradictions are comments at the end.
    """
    lines = ["flowchart LR", *_nodes(scopes), *_arrows(scopes)]
    return "\n".join([*lines, *(f"    %% {printable(message)}" for message in scopes.contradictions)])


def _nodes(scopes: DagScopes) -> Iterator[str]:
    names = _ids(scopes)
    producers = {task.task_id for task in scopes.tasks}
    for name, node in names.items():
        if name in producers:
            yield f'    {node}[["{_quoted(name)}"]]'
        elif ":" in name or name == CALLER:
            yield f'    {node}[/"{_quoted(name)}"/]'
        else:
            yield f'    {node}["{_quoted(name)}"]'


def _arrows(scopes: DagScopes) -> Iterator[str]:
    names = _ids(scopes)
    for task in scopes.tasks:
        for key in task.keys:
            for reader in _readers(key):
                arrow = "-->" if reader in key.input_of else "-.->"
                yield f'    {names[task.task_id]} {arrow}|"{_quoted(key.key)}"| {names[reader]}'


def _ids(scopes: DagScopes) -> dict[str, str]:
    # Mermaid reserves words such as "end" in the ids of nodes, so ids are numbers and names are labels.
    named = dict.fromkeys(name for task in scopes.tasks for name in _names(task))
    return {name: f"t{number}" for number, name in enumerate(named)}


def _names(task: TaskScopes) -> Iterator[str]:
    yield task.task_id
    for key in task.keys:
        yield from _readers(key)


def _readers(key: KeyScope) -> dict[str, None]:
    return dict.fromkeys([*key.input_of, *key.readers])


def _quoted(text: str) -> str:
    return printable(text).replace("#", "#35;").replace('"', "#quot;")
