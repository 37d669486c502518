"""How a run of a real Airflow ended, and, where that was not as it should be, what its log says of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from stack.airflow import AirflowStack

LAST_LINES = 15


def assert_succeeded(stack: AirflowStack, dag_id: str, run_id: str) -> None:
    """
    Hold that every task of a finished run succeeded.

    :raises AssertionError: if one did not, with the last lines of its log and what the scheduler said of it: a test
        that fails on a machine that nobody can look at has to tell why.
    """
    states = stack.task_states(dag_id, run_id)
    assert set(states.values()) == {"success"}, "\n".join(_account(stack, dag_id, run_id, states))


def _account(stack: AirflowStack, dag_id: str, run_id: str, states: dict[str, str | None]) -> Iterator[str]:
    yield f"{dag_id} run {run_id}: {states}"
    for name in (name for name, state in states.items() if state == "failed"):
        task_id, _, index = name.rstrip("]").partition("[")
        yield f"The log of {name}:"
        yield from stack.task_log(dag_id, run_id, task_id, int(index or -1)).splitlines()[-LAST_LINES:]
        yield f"The scheduler about {name}:"
        yield from _lines_with((run_id, f"task_id={task_id}"), stack)
        yield from _lines_with((run_id, f"{dag_id}.{task_id}"), stack)


def _lines_with(words: Collection[str], stack: AirflowStack) -> list[str]:
    lines = (stack.home / "scheduler.log").read_text(errors="replace").splitlines()
    return [line for line in lines if all(word in line for word in words)][-LAST_LINES:]
