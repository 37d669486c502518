"""``ExclusiveTriggerDagRunOperator``: triggers a Dag run, hands it outputs, and collects results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.bases.operator import get_merged_defaults
from airflow.sdk.definitions._internal.contextmanager import DagContext, TaskGroupContext
from airflow.sdk.exceptions import DagRunTriggerException

from airflow_provider_exclusive.access.hand_over import CONF_KEY, RECORD_KEY, HandOver, has_pointer, to_pointer
from airflow_provider_exclusive.compat.task_runner import trigger_run
from airflow_provider_exclusive.definitions.hook import ConsumersHook, create_hook
from airflow_provider_exclusive.exceptions import InvalidScopeError
from airflow_provider_exclusive.execution_time import dag_runs
from airflow_provider_exclusive.execution_time.failures import failing_without_retry, server_refusals
from airflow_provider_exclusive.operators import outputs, triggered_run, waiting
from airflow_provider_exclusive.operators.triggered_run import Found
from airflow_provider_exclusive.scopes.identity import TaskIdentity

_KEYS: Final = "exclusive_keys"
_RUN_ID_KEY: Final = "trigger_run_id"  # XCOM_RUN_ID of TriggerDagRunOperator, which its extra link reads


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
        if (exclusive_keys or collect) and isinstance(self.conf, Mapping):
            _check_conf(self.conf)

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

        A retry takes over the run that an earlier try of this task made.

        :raises DagRunTriggerException: which makes Airflow trigger the run, if nothing is handed over or collected.
        :raises HandOverError: if the run exists already with inputs from another task, or a result is missing.
        """
        is_plain = not (self.exclusive_keys or self.collect)
        if is_plain and not (self.wait_for_completion and waiting.is_run_here()):
            return super().execute(context)
        ti = context["ti"]
        me = TaskIdentity(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)
        if not is_plain:
            self._choose_run_id(me, ti)
        try:
            return super().execute(context)
        except DagRunTriggerException as raised:
            request = raised
        request.wait_for_completion = request.wait_for_completion or bool(self.collect)
        self._trigger(request, None if is_plain else me, ti)
        self.log.info("Triggered %s.", triggered_run.name_of(request))
        ti.xcom_push(key=_RUN_ID_KEY, value=request.dag_run_id)
        if request.wait_for_completion:
            waiting.wait(request, ti, self.log)
        return self._collected(ti) if self.collect else None

    def execute_complete(self, context: Any, event: Any) -> Any:
        """Continue when the triggered run has ended."""
        super().execute_complete(context, event)
        return self._collected(context["ti"]) if self.collect else None

    def _choose_run_id(self, me: TaskIdentity, ti: Any) -> None:
        with failing_without_retry():
            self.trigger_run_id = self.trigger_run_id or triggered_run.propose_id(
                self.trigger_dag_id, me, generation=ti.max_tries
            )

    def _trigger(self, request: DagRunTriggerException, me: TaskIdentity | None, ti: Any) -> None:
        """Trigger the run, and hand it what it gets from ``me``; None hands over nothing."""
        if request.wait_for_completion and waiting.is_run_here():
            with failing_without_retry():
                waiting.require_dag(request)
        if me is not None:
            self._hand_over(request, me, ti)
        elif not trigger_run(request):
            triggered_run.refuse(request)

    def _hand_over(self, request: DagRunTriggerException, me: TaskIdentity, ti: Any) -> None:
        with failing_without_retry():
            _check_conf(request.conf)
            found = triggered_run.find(request, me)
            sources = {name: outputs.locate(output, self, ti) for name, output in self.exclusive_keys.items()}
            record = HandOver(me, request.trigger_dag_id, request.dag_run_id, sources)
            # Before the run exists, so that no task of it can look in vain.
            ti.xcom_push(key=RECORD_KEY, value=record)
        if found is Found.TO_USE:
            return
        # A run that somebody makes from now on is not reset, but an error: its conf is not this one.
        request.reset_dag_run = found is Found.TO_RESET
        request.conf = {**(request.conf or {}), CONF_KEY: to_pointer(me)}
        is_triggered = False
        try:
            with server_refusals():
                is_triggered = trigger_run(request)
        finally:
            if not is_triggered:
                dag_runs.withdraw_record(me)
        if not is_triggered:
            triggered_run.refuse(request)

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


def _check_conf(conf: Any) -> None:
    if has_pointer(conf):
        raise InvalidScopeError(
            f"conf contains the key {CONF_KEY!r}, which is reserved: ExclusiveTriggerDagRunOperator stores there where "
            "the run finds its inputs. Use another key in conf."
        )
    if not isinstance(conf, Mapping | None):
        raise InvalidScopeError(
            f"conf is of type {type(conf).__name__}; expected a mapping, to which ExclusiveTriggerDagRunOperator adds "
            f"the key {CONF_KEY!r}."
        )
