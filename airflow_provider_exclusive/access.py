"""The one decision about who may read; every place that says no asks it."""

from __future__ import annotations

from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.reference import Reference
from airflow_provider_exclusive.scopes import TaskIdentity


def decide(reader: TaskIdentity | None, reference: Reference) -> None:
    """
    Let ``reader`` pass or raise.

    The producer passes, so do those whom the reference's scope permits, and nobody else.

    :param reader: the task instance that asks, or None if it is not known.
    :param reference: a reference whose row was found where the reference says it is.
    :raises AccessDeniedError: naming who asked, for what, and who may.
    """
    if reference.scope.is_open:
        return
    what = f"the exclusive output {reference.key!r} of {reference.producer}"
    if reader is None:
        raise AccessDeniedError(
            f"Access to {what} denied: no running task instance is known in this process, so there is nobody to "
            "check. Pull it in a task and pass the value on (a subprocess or a thread pool of another process has no "
            "task instance of its own).",
            reason="unknown-reader",
        )
    if not reader.is_same_task_instance(reference.producer) and not reference.scope.permits(reader):
        raise AccessDeniedError(
            f"Access denied: {reader} asked for {what}, which may be read by: {reference.scope}. To let it read, add "
            f"{reader.task_id!r} to the consumers of {reference.producer.task_id!r} and clear that task."
        )
