"""
Operators whose result is what they print.

They log every line, so a scope alone does not keep their result out of the log. Of a BashOperator, the result is the
last line, and that line is not logged. The others log by themselves, and their log says so once.
"""

from __future__ import annotations

from typing import Any, Final

from airflow_provider_exclusive.compat.dag import set_hook_log

_LOGS_BY_ITSELF: Final = frozenset(
    {"DockerOperator", "EcsRunTaskOperator", "KubernetesPodOperator", "SSHOperator", "WinRMOperator"}
)
_BASH: Final = "BashOperator"
_LINE: Final = "%s"
_COMMAND: Final = "Running command: %s"
_END: Final = "Command exited with return code %s"


def redact(task: Any) -> None:
    """Keep what an exclusive task prints as its result out of its log, or let the log say that it is there."""
    kinds = {kind.__name__ for kind in type(task).__mro__}
    if _BASH in kinds:
        hook = task.subprocess_hook
        set_hook_log(hook, _LogWithoutResult(hook.log))
        task.log.info(
            "This task is exclusive, and the last line that its command prints is its output: that line and the "
            "command are not shown. All lines before it are."
        )
    elif names := sorted(kinds & _LOGS_BY_ITSELF):
        task.log.warning(
            "This task is exclusive, but its output is what its command prints, and %s logs every line of that: the "
            "output is in this log, in plain text.",
            names[0],
        )


class _LogWithoutResult:
    """The logger of a SubprocessHook, one line late, so that the last one can be left out."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._held: list[Any] = []

    def info(self, event: Any, *args: Any, **kwargs: Any) -> None:
        """Log at level info."""
        if event == _LINE:
            self._release()
            self._held = [*args]
        elif event == _COMMAND:
            self._log.info("Running command: not shown")
        else:
            if event == _END and args != (0,):
                self._release()  # a command that fails has no output, and its last line may say why
            self._held = []
            self._log.info(event, *args, **kwargs)

    def _release(self) -> None:
        if self._held:
            self._log.info(_LINE, *self._held)
        self._held = []

    def __getattr__(self, name: str) -> Any:
        if name == "_log":  # a copy under construction has none yet
            raise AttributeError(name)
        return getattr(self._log, name)
