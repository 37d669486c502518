"""
One run that an operator triggers: which one it is, and whether it exists.

Airflow's task runner triggers after an operator's code has ended. An operator that hands over must act when the run
turns out to exist, so the same messages are sent from here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NoReturn

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DagRunTriggerException

from airflow_provider_exclusive.access.hand_over import CONF_KEY, read_pointer
from airflow_provider_exclusive.compat.task_runner import find_conf
from airflow_provider_exclusive.exceptions import HandOverError
from airflow_provider_exclusive.scopes.identity import TaskIdentity

_MOST_IDS: Final = 100
_NOT_OF_THE_AUTHOR: Final = frozenset({CONF_KEY, "openlineage"})
"""Keys of ``conf`` that differ from try to try."""


class Found(Enum):
    """What is there in the place of the run that is to be triggered."""

    NOTHING = "nothing"
    TO_RESET = "a run of an earlier try, which is to be reset"
    TO_USE = "a run of an earlier try, which is to be used as it is"


def name_of(request: DagRunTriggerException) -> str:
    """Return how messages call the run."""
    return f"run {request.dag_run_id} of {request.trigger_dag_id}"


def propose_id(dag_id: str, trigger: TaskIdentity, *, generation: int) -> str:
    """
    Return the id of a run that does not exist, or that an earlier try of ``trigger`` made.

    Every try proposes the same, so that a retry finds the run again.

    :param generation: differs after the task was cleared: then another run is wanted.
    :raises HandOverError: if every id that comes into question is taken by somebody else.
    """
    about = repr((trigger.dag_id, trigger.run_id, trigger.task_id, trigger.map_index, generation))
    digest = hashlib.sha256(about.encode(errors="surrogatepass")).hexdigest()[:16]
    for number in range(1, _MOST_IDS + 1):
        run_id = f"exclusive__{digest}__{number}"
        conf = find_conf(dag_id, run_id)
        if conf is None or _is_of(conf, trigger):
            return run_id
    raise HandOverError(
        f"All {_MOST_IDS} run ids that {trigger} can give a run of {dag_id} are taken by other tasks. Give the "
        "operator a trigger_run_id."
    )


def find(request: DagRunTriggerException, trigger: TaskIdentity) -> Found:
    """
    Return whether an earlier try of ``trigger`` made this very run, and what is to be done with it.

    :raises HandOverError: if the run exists and is to be reset, but looks for its inputs elsewhere or has another
        ``conf``: Airflow never changes the ``conf`` of a run.
    :raises AirflowSkipException: if it exists, somebody else made it, and that is to be skipped.
    :raises AirflowFailException: if it exists, somebody else made it, and it is not to be reset.
    """
    conf = find_conf(request.trigger_dag_id, request.dag_run_id)
    if conf is None:
        return Found.NOTHING
    if not _is_of(conf, trigger):
        if request.reset_dag_run:
            raise HandOverError(
                f"Run {request.dag_run_id} of {request.trigger_dag_id} exists already and was "
                f"{_made_by(conf)}, so it does not look for its inputs at {trigger}. Resetting a run "
                "never changes its conf. Use another trigger_run_id, or delete that run."
            )
        refuse(request)
    if _authored(conf) != _authored(request.conf):
        raise HandOverError(
            f"Run {request.dag_run_id} of {request.trigger_dag_id} was triggered by an earlier try of {trigger} with "
            "another conf, and Airflow never changes the conf of a run. Use another trigger_run_id, or delete that run."
        )
    return Found.TO_RESET if request.reset_dag_run else Found.TO_USE


def refuse(request: DagRunTriggerException) -> NoReturn:
    """Skip or fail, because the run exists already."""
    if request.skip_when_already_exists:
        raise AirflowSkipException(f"Skipped, because {name_of(request)} exists already.")
    raise AirflowFailException(f"Could not trigger {name_of(request)}: it exists already. Use another trigger_run_id.")


def _is_of(conf: Mapping[str, Any], trigger: TaskIdentity) -> bool:
    owner = read_pointer(conf)
    return owner is not None and owner.is_same_task_instance(trigger)


def _made_by(conf: Mapping[str, Any]) -> str:
    owner = read_pointer(conf)
    return f"triggered by {owner}" if owner else "not triggered by an ExclusiveTriggerDagRunOperator"


def _authored(conf: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (conf or {}).items() if name not in _NOT_OF_THE_AUTHOR}
