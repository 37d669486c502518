"""``ExclusiveTriggerDagRunOperator``: triggers a Dag run, hands it outputs, and collects results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.bases.operator import get_merged_defaults
from airflow.sdk.definitions._internal.contextmanager import DagContext, TaskGroupContext
from airflow.sdk.exceptions import DagRunTriggerException

from airflow_provider_exclusive.access.hand_over import CONF_KEY, RECORD_KEY, HandOver, read_pointer, to_pointer
from airflow_provider_exclusive.compat.task_runner import find_conf
from airflow_provider_exclusive.definitions.consumers import ConsumersHook, create_hook
from airflow_provider_exclusive.exceptions import HandOverError, InvalidScopeError
from airflow_provider_exclusive.execution_time.failures import failing_without_retry
from airflow_provider_exclusive.operators import outputs, waiting
from airflow_provider_exclusive.scopes.identity import TaskIdentity

_KEYS: Final = "exclusive_keys"


class ExclusiveTriggerDagRunOperator(TriggerDagRunOperator):
    """
    Triggers a Dag run, hands it chosen outputs, and can collect results.

    Accepts every argument of
    :class:`~airflow.providers.standard.operators.trigger_dagrun.TriggerDagRunOperator`. Without the two below it
    behaves like that operator.

    :param exclusive_keys: what the triggered run is handed: a mapping from a name there (for
        :func:`~airflow_provider_exclusive.exclusive_input`) to an output of this Dag: an XComArg, a task id, a pair of
        task id and key, or an ``exclusive_input(…)`` that this run was handed itself. The tasks of these outputs become
        upstream tasks. Values are neither pulled nor copied: the triggered run may read them where they are.
    :param collect: what this task collects: a mapping from a name to a task id of the triggered Dag, or to a pair of
        task id and key. The task then waits for the run, and its output is a dict of these values. Only its direct
        downstream tasks may read that dict, unless ``pre_execute=consumers(…)`` names others. The collected outputs
        must permit the caller, which is this task: ``consumers=["caller"]``.
    :raises InvalidScopeError: if one of them names an invalid output.
    """

    template_fields: Sequence[str] = (*TriggerDagRunOperator.template_fields, _KEYS)

    def __init__(
        self,
        *,
        exclusive_keys: Mapping[str, Any] | None = None,
        collect: Mapping[str, Any] | None = None,
        pre_execute: Any = None,  # named, so that default_args reach it before the scope is chosen
        **kwargs: Any,
    ) -> None:
        super().__init__(pre_execute=_scoped(pre_execute, collect), **kwargs)
        self.exclusive_keys = outputs.parse_keys(exclusive_keys, dag=kwargs.get("dag"))
        self.collect = outputs.parse_collect(collect)
        _check_conf(self.conf, is_needed=bool(exclusive_keys or collect))

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """See :meth:`airflow.sdk.BaseOperator.partial`."""
        defaults = _defaults(kwargs)
        given = {name: kwargs.get(name, defaults.get(name)) for name in (_KEYS, "collect", "pre_execute")}
        given[_KEYS] = outputs.parse_keys(given[_KEYS], dag=kwargs.get("dag"))
        given["pre_execute"] = _scoped(given["pre_execute"], given["collect"])
        # Passed even if empty, so that Airflow refuses them in .expand(…): the scheduler must know what is handed over.
        return super().partial(**kwargs | given)

    def execute(self, context: Any) -> Any:
        """
        Trigger the run; wait for it and collect results if requested.

        :raises DagRunTriggerException: which makes Airflow trigger the run.
        :raises HandOverError: if the run exists already with inputs from another task, or a result is missing.
        """
        try:
            return super().execute(context)
        except DagRunTriggerException as request:
            trigger = request
        if not (self.exclusive_keys or self.collect):
            raise trigger
        with failing_without_retry():
            self._hand_over(trigger, context["ti"])
        if not self.collect:
            raise trigger
        trigger.wait_for_completion = True
        if trigger.deferrable:
            raise trigger
        waiting.trigger_and_wait(trigger, context["ti"], self.log)
        return self._collected(context["ti"])

    def execute_complete(self, context: Any, event: Any) -> Any:
        """Continue when the triggered run has ended."""
        super().execute_complete(context, event)
        return self._collected(context["ti"]) if self.collect else None

    def _hand_over(self, trigger: DagRunTriggerException, ti: Any) -> None:
        me = TaskIdentity(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)
        _check_conf(trigger.conf, is_needed=True)
        if not isinstance(trigger.conf, Mapping | None):
            raise InvalidScopeError(
                f"conf is of type {type(trigger.conf).__name__}; expected a mapping, to which "
                f"ExclusiveTriggerDagRunOperator adds the key {CONF_KEY!r}."
            )
        if trigger.reset_dag_run:
            _check_existing_run(trigger, me)
        sources = {name: outputs.locate(output, self, ti) for name, output in self.exclusive_keys.items()}
        record = HandOver(me, trigger.trigger_dag_id, trigger.dag_run_id, sources)
        # Pushed before the run exists, so that each of its tasks finds the record.
        ti.xcom_push(key=RECORD_KEY, value=record)
        trigger.conf = {**(trigger.conf or {}), CONF_KEY: to_pointer(me)}

    def _collected(self, ti: Any) -> dict[str, Any]:
        with failing_without_retry():
            return {
                name: outputs.collect_one(
                    name, where, dag_id=self.trigger_dag_id, run_id=str(self.trigger_run_id), ti=ti
                )
                for name, where in self.collect.items()
            }

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Any, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        # A template field makes the outputs upstream tasks, also in .partial(); rendering it would pull their values.
        others = [name for name in template_fields if name != _KEYS]
        super()._do_render_template_fields(parent, others, context, jinja_env, seen_oids)


def _defaults(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``default_args`` of Dag, task groups and task, as Airflow merges them."""
    dag = kwargs.get("dag") or DagContext.get_current()
    group = kwargs.get("task_group") or (TaskGroupContext.get_current(dag) if dag is not None else None)
    merged, _ = get_merged_defaults(dag, group, None, kwargs.get("default_args"))
    return merged


def _scoped(hook: Any, collect: Any) -> Any:
    """Return the hook; one without a consumer scope gets one, if results are collected."""
    return create_hook(None, then=hook) if collect and not isinstance(hook, ConsumersHook) else hook


def _check_conf(conf: Any, *, is_needed: bool) -> None:
    if is_needed and isinstance(conf, Mapping) and CONF_KEY in conf:
        raise InvalidScopeError(
            f"conf contains the key {CONF_KEY!r}, which is reserved: ExclusiveTriggerDagRunOperator stores there where "
            "the run finds its inputs. Use another key in conf."
        )


def _check_existing_run(trigger: DagRunTriggerException, me: TaskIdentity) -> None:
    """Refuse to reset a run that looks for its inputs elsewhere: Airflow never changes the conf of a run."""
    conf = find_conf(trigger.trigger_dag_id, trigger.dag_run_id)
    if conf is None:
        return
    owner = read_pointer(conf)
    if owner is None or not owner.is_same_task_instance(me):
        triggered_by = f"triggered by {owner}" if owner else "not triggered by an ExclusiveTriggerDagRunOperator"
        raise HandOverError(
            f"Run {trigger.dag_run_id} of {trigger.trigger_dag_id} exists already and was {triggered_by}, so it does "
            f"not look for its inputs at {me}. Resetting a run never changes its conf. Use another trigger_run_id, "
            "or delete that run."
        )
