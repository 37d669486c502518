"""Check a run of an example Dag by its states, logs and rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from demo.examples import Example, Reading, Refusal
from stack.airflow import AirflowStack
from stack.metadata import XComRow


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    The outcome of one run.

    :param rows: the XComs it left in the metadata database.
    :param faults: what is wrong, a sentence each; empty if every value arrived and every intruder was refused.
    """

    example: Example
    run_id: str
    rows: tuple[XComRow, ...]
    faults: tuple[str, ...]


def run_of(stack: AirflowStack, example: Example, run_id: str) -> str:
    """
    Return the run to check.

    :param run_id: the run that was started: of the example itself, or of the one that triggers it.
    """
    if not example.triggered_by:
        return run_id
    rows = stack.xcom_rows(dag_id=example.triggered_by, run_id=run_id)
    return next((str(row.value) for row in rows if row.key == "trigger_run_id"), "")


def judge(stack: AirflowStack, example: Example, run_id: str) -> Outcome:
    """Check a finished run."""
    rows = tuple(stack.xcom_rows(dag_id=example.dag_id, run_id=run_id))
    faults = [
        *_wrong_states(stack, example, run_id),
        *_lost_values(stack, example, run_id),
        *_missing_refusals(stack, example, run_id),
        *_open_rows(example, rows),
    ]
    return Outcome(example, run_id, rows, tuple(faults))


def _wrong_states(stack: AirflowStack, example: Example, run_id: str) -> Iterator[str]:
    for task, state in stack.task_states(example.dag_id, run_id).items():
        expected = "failed" if task in example.failing_tasks else "success"
        if state != expected:
            error = _last_error(stack, example, run_id, task)
            yield f"{example.dag_id}.{task} ended as {state}, expected {expected}: {error}"


def _lost_values(stack: AirflowStack, example: Example, run_id: str) -> Iterator[str]:
    for reading in example.readings:
        witness = reading.witness or reading.reader
        said = [entry.get("event") for entry in stack.log_entries(example.dag_id, run_id, witness)]
        if reading.says not in said:
            yield (
                f"{example.dag_id}: the output of {reading.producer} did not reach {reading.reader} intact: the log of "
                f"{witness} lacks the line {reading.says!r}."
            )


def _missing_refusals(stack: AirflowStack, example: Example, run_id: str) -> Iterator[str]:
    for refusal in example.refusals:
        name = f"{example.dag_id}.{refusal.reader}"
        reason = refusal_reason(stack, example, run_id, refusal)
        if refusal.because not in reason:
            yield f"{name} was not refused for the right reason, {refusal.because!r}. Its error: {reason or 'none'}"
        if refusal.secret in stack.task_log(example.dag_id, run_id, refusal.reader):
            yield f"The value of {refusal.producer} is in the log of {name}, which may not read it."
        tries = {task["task_id"]: task["try_number"] for task in stack.api.task_instances(example.dag_id, run_id)}
        if tries[refusal.reader] != 1:
            yield f"{name} was tried {tries[refusal.reader]} times; a refusal must not be retried."


def _open_rows(example: Example, rows: tuple[XComRow, ...]) -> Iterator[str]:
    references = {(row.task_id, row.key) for row in rows if is_reference(row)}
    for reading in example.readings:
        for key in reading.keys:
            if (reading.producer, key) not in references:
                yield f"{example.dag_id}: key {key!r} of {reading.producer} holds no reference."


def is_reference(row: XComRow) -> bool:
    """Return whether a row holds a reference instead of a value."""
    return isinstance(row.value, dict) and "__exclusive__" in row.value


def refusal_reason(stack: AirflowStack, example: Example, run_id: str, refusal: Refusal) -> str:
    """Return the message of the ``AccessDeniedError`` in the log of a refused task, or an empty text."""
    for entry in stack.log_entries(example.dag_id, run_id, refusal.reader):
        for error in entry.get("error_detail") or ():
            if error["exc_type"] == "AccessDeniedError":
                return str(error["exc_value"])
    return ""


def readers(example: Example, row: XComRow) -> list[Reading]:
    """Return who reads the value of a row."""
    return [one for one in example.readings if one.producer == row.task_id and row.key in one.keys]


def _last_error(stack: AirflowStack, example: Example, run_id: str, task: str) -> str:
    name, _, index = task.rstrip("]").partition("[")
    log = stack.task_log(example.dag_id, run_id, name, int(index or -1))
    errors = [line for line in log.splitlines() if '"error"' in line]
    return errors[-1][:2000] if errors else "its log has no error"
