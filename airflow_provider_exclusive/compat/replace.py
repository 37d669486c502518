"""
The one way in which functions of Airflow are replaced, where Airflow offers no supported hook.

Whether a function is still the one that is expected is checked first: another version of Airflow is refused by name,
and none of its functions is replaced.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

Function = Callable[..., Any]
Create = Callable[[Function], Function]
"""Makes what runs in the place of a function from Airflow's own."""

_MARK: Final = "_airflow_provider_exclusive"


class UnsupportedAirflowError(LookupError):
    """
    A function of Airflow is missing, or other than expected.

    :param expected: the function with its module and parameters, such as ``module.function(a, b)``.
    :param found: its parameters, or None if there is no function.
    """

    def __init__(self, expected: str, *, found: tuple[str, ...] | None) -> None:
        there = "nothing callable" if found is None else f"({', '.join(found)})"
        super().__init__(f"expected the plain function {expected} in Airflow, found {there}")
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Replacement:
    """
    What runs in the place of a function of Airflow.

    :param create: makes it from Airflow's own.
    :param parameters: of Airflow's own, on which it relies.
    :param accepts_others: whether Airflow's own may have other parameters, too, in any order.
    """

    create: Create
    parameters: tuple[str, ...]
    accepts_others: bool = False

    def fits(self, found: tuple[str, ...] | None) -> bool:
        """Return whether Airflow's own has the right parameters; None if there is none."""
        if found is None:
            return False
        return set(self.parameters) <= set(found) if self.accepts_others else self.parameters == found


@dataclass(frozen=True, slots=True)
class _Mark:
    """What a function has that replaced one of Airflow's."""

    original: Function
    replacement: Replacement

    def __deepcopy__(self, memo: Any) -> _Mark:
        """Return the same: Airflow copies its routes deeply, and a replacement may hold keys and locks."""
        return self


def replace_functions(
    owner: ModuleType | type, replacements: Mapping[str, Replacement], *, bodies: bool = False
) -> None:
    """
    Let other functions run where Airflow calls its own; a second call replaces those of the first.

    :param owner: the module or class that has the functions.
    :param replacements: by name of a function.
    :param bodies: whether to give Airflow's functions another body rather than ``owner`` other functions. That is
        needed where Airflow holds the function itself, as its routes do, so that another would not be called.
    :raises UnsupportedAirflowError: if one of the functions is not as expected; then none is replaced.
    """
    due = {name: one for name, one in replacements.items() if not _is_in_place(owner, name, one)}
    for name, one in due.items():
        _check(owner, name, one, bodies=bodies)
    replace = _replace_body if bodies else _replace_attribute
    for name, one in due.items():
        replace(owner, name, one)


def original_of(function: Any) -> Any:
    """Return Airflow's own function, or ``function`` itself if it replaces none."""
    mark: _Mark | None = getattr(function, _MARK, None)
    return function if mark is None else mark.original


def _is_in_place(owner: ModuleType | type, name: str, replacement: Replacement) -> bool:
    # Functions that others wrapped around ours by functools.wraps have its mark, too.
    mark: _Mark | None = getattr(getattr(owner, name, None), _MARK, None)
    return mark is not None and mark.replacement == replacement


def _check(owner: ModuleType | type, name: str, replacement: Replacement, *, bodies: bool) -> None:
    found = original_of(getattr(owner, name, None))
    parameters = tuple(inspect.signature(found).parameters) if callable(found) else None
    is_plain = not inspect.iscoroutinefunction(found) and (not bodies or _has_plain_body(found))
    if not (is_plain and replacement.fits(parameters)):
        module = owner.__name__ if isinstance(owner, ModuleType) else f"{owner.__module__}.{owner.__qualname__}"
        expected = f"{module}.{name}({', '.join(replacement.parameters)})"
        raise UnsupportedAirflowError(expected, found=parameters)


def _has_plain_body(found: Any) -> bool:
    return isinstance(found, FunctionType) and not found.__code__.co_freevars


def _replace_attribute(owner: ModuleType | type, name: str, replacement: Replacement) -> None:
    original = original_of(getattr(owner, name))
    function = functools.update_wrapper(replacement.create(original), original)
    setattr(function, _MARK, _Mark(original, replacement))
    setattr(owner, name, function)


def _replace_body(owner: ModuleType | type, name: str, replacement: Replacement) -> None:
    function: FunctionType = getattr(owner, name)
    original = original_of(function)
    if original is function:
        original = _copy(function)
    target = f"{_MARK}_{name}"
    function.__globals__[target] = replacement.create(original)
    setattr(function, _MARK, _Mark(original, replacement))
    function.__code__ = _forwarding(target, inspect.signature(original).parameters)


def _copy(function: FunctionType) -> FunctionType:
    copy = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__annotations__ = function.__annotations__
    return copy


def _forwarding(target: str, parameters: Iterable[str]) -> CodeType:
    """Return the code of a function of ``parameters`` that calls the global ``target``: FastAPI reads their names."""
    names = list(parameters)
    source = f"def forward({', '.join(names)}): return {target}({', '.join(f'{name}={name}' for name in names)})"
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # noqa: S102  # of Airflow's own parameter names and nothing else
    code: CodeType = namespace["forward"].__code__
    return code
