"""
Keeps exclusive values out of what Airflow stores, shows and logs about a task.

Inputs that were opened would appear in rendered template fields, map index labels and the arguments of tasks that wait,
results in the log lines of some operators. For the former Airflow offers no supported hook, so private
functions of its task runner are wrapped, before any exclusive value is opened. If those functions are not as expected,
no exclusive value is opened at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

from airflow_provider_exclusive.compat.dag import field_of, set_log
from airflow_provider_exclusive.compat.replace import Function, UnsupportedAirflowError
from airflow_provider_exclusive.compat.task_runner import wrap_recorders
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.execution_time import printed_results, running_task
from airflow_provider_exclusive.execution_time.deferral import refuse_opened_values
from airflow_provider_exclusive.execution_time.failures import failing_without_retry

_SHOWN_INPUTS: Final = 10
_LINES_WITH_RESULTS: Final = {"Condition result is %s": "Condition result not shown"}
_MISSING: Final = object()


def prepare() -> None:
    """
    Put the wrappers in place, once per process.

    :raises ConfigurationError: if this Airflow's task runner is not as expected.
    """
    try:
        wrap_recorders(rendered_fields=_wrap_rendered_fields, map_index=_wrap_map_index, wait=_wrap_wait)
    except UnsupportedAirflowError as unsupported:
        raise ConfigurationError(
            f"Unsupported Airflow version: expected {unsupported.expected}, not found. Refusing to decrypt exclusive "
            "values, because Airflow would store them in plain text. Use a version of airflow-provider-exclusive that "
            "supports this Airflow."
        ) from unsupported


def redact_results(task: Any) -> None:
    """Let an exclusive task log that it has a result, but not which, as far as it can be told what to log."""
    if hasattr(task, "show_return_value_in_logs"):
        task.show_return_value_in_logs = False
    if any(kind.__name__ == "ShortCircuitOperator" for kind in type(task).__mro__):
        # It logs its condition whatever that setting says.
        set_log(task, _RedactingLog(task.log))
    printed_results.redact(task)


class _RedactingLog:
    """An operator's logger that leaves results out of the lines that carry them."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def info(self, event: Any, *args: Any, **kwargs: Any) -> Any:
        """Log at level info."""
        if event in _LINES_WITH_RESULTS:
            return self._log.info(_LINES_WITH_RESULTS[event])
        return self._log.info(event, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_log":  # a copy under construction has none yet
            raise AttributeError(name)
        return getattr(self._log, name)


def _wrap_rendered_fields(original: Function) -> Function:
    def serialize_rendered_fields(task: Any) -> Any:
        # Airflow calls this for every task while the context is there; callbacks later on have none.
        running = running_task.current()
        if running is None or not running.inputs:
            return original(task)
        return original(_redact(task, marker=describe_inputs(running)))

    return serialize_rendered_fields


def _wrap_map_index(original: Function) -> Function:
    def render_map_index(context: Any, ti: Any, log: Any) -> Any:
        label = original(context, ti=ti, log=log)
        running = running_task.current()
        # Once a value was opened, a label may contain it: keep the one rendered before, if there was one.
        return ti.rendered_map_index if running is not None and running.inputs else label

    return render_map_index


def _wrap_wait(original: Function) -> Function:
    def wait(wish: Any, ti: Any, log: Any) -> Any:
        running = running_task.last_seen(ti)
        if running is not None:
            with failing_without_retry():
                refuse_opened_values(wish.kwargs, running.opened)
        return original(wish, ti, log)

    return wait


def describe_inputs(running: running_task.RunningTask) -> str:
    """Return what the UI shows in place of a value: which exclusive inputs arrived."""
    names = [f"{task_id}[{key!r}]" for task_id, key in running.inputs]
    more = f" and {len(names) - _SHOWN_INPUTS} more" if len(names) > _SHOWN_INPUTS else ""
    return f"<withheld: this task read the exclusive {', '.join(names[:_SHOWN_INPUTS])}{more}>"


def _redact(task: Any, *, marker: str) -> SimpleNamespace:
    """Return a stand-in for ``task`` whose template fields show what the Dag's author wrote, and nothing rendered."""
    fields = {
        name: _only_authored(getattr(task, name), _authored(task, name), marker=marker) for name in task.template_fields
    }
    return SimpleNamespace(
        template_fields=task.template_fields,
        template_fields_renderers=getattr(task, "template_fields_renderers", {}),
        **fields,
    )


def _authored(task: Any, field: str) -> Any:
    """Return a template field as the Dag file has it, before rendering."""
    return field_of(task.dag.task_dict.get(task.task_id), field, default=_MISSING)


def _only_authored(rendered: Any, authored: Any, *, marker: str) -> Any:
    """Return ``rendered``, with every part replaced that the Dag file does not have exactly so."""
    if isinstance(rendered, Mapping) and isinstance(authored, Mapping):
        shown = {
            name: _only_authored(rendered[name], authored[name], marker=marker) for name in authored if name in rendered
        }
        return shown if rendered.keys() <= authored.keys() else {**shown, "…": marker}
    if isinstance(rendered, (list, tuple)) and isinstance(authored, (list, tuple)):
        if len(rendered) != len(authored):
            return marker
        return [_only_authored(part, source, marker=marker) for part, source in zip(rendered, authored, strict=True)]
    is_constant = rendered is None or isinstance(rendered, (str, int, float, bool))
    if callable(rendered) and rendered is authored:
        return rendered
    return rendered if is_constant and type(rendered) is type(authored) and rendered == authored else marker
