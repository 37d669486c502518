"""
The functions of Airflow's execution API through which every access to an XCom goes, given another body.

Airflow's routes hold these functions themselves, so a new function in their place would not be called. FastAPI's own
way for dependencies, ``dependency_overrides``, would analyse every dependency of every request of the execution API
anew and double the time of plain reads.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

_PREFIX: Final = "_airflow_provider_exclusive_"

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Replacement:
    """
    What runs in the place of a function of Airflow.

    :param create: makes it from Airflow's own; it is called with keyword arguments.
    :param parameters: which of these it relies on.
    """

    create: Callable[[Function], Function]
    parameters: tuple[str, ...]


def replace_functions(replacements: Mapping[str, Replacement]) -> None:
    """
    Let other functions run where Airflow calls its own; a second call replaces those of the first.

    :param replacements: by name of a function of Airflow's module of XCom routes.
    :raises LookupError: if one of Airflow's functions is not as expected; then none is replaced.
    """
    from airflow.api_fastapi.execution_api.routes import xcoms

    originals = {name: _original(xcoms, name, other.parameters) for name, other in replacements.items()}
    for name, other in replacements.items():
        setattr(xcoms, f"{_PREFIX}original_{name}", originals[name])
        setattr(xcoms, f"{_PREFIX}{name}", other.create(originals[name]))
        getattr(xcoms, name).__code__ = _forwarding(f"{_PREFIX}{name}", inspect.signature(originals[name]).parameters)


def _original(module: ModuleType, name: str, expected: tuple[str, ...]) -> Function:
    kept: Function | None = getattr(module, f"{_PREFIX}original_{name}", None)
    if kept is not None:
        return kept
    found: Any = getattr(module, name, None)
    parameters = set(inspect.signature(found).parameters) if isinstance(found, FunctionType) else set()
    if not parameters.issuperset(expected) or inspect.iscoroutinefunction(found) or found.__code__.co_freevars:
        raise LookupError(f"Airflow's {name} takes {sorted(parameters)}, expected a plain function of {expected}")
    original = FunctionType(found.__code__, found.__globals__, found.__name__, found.__defaults__)
    original.__annotations__ = found.__annotations__
    return original


def _forwarding(target: str, parameters: Iterable[str]) -> CodeType:
    """Return the code of a function of ``parameters`` that calls the global ``target``: FastAPI reads their names."""
    names = list(parameters)
    source = f"def forward({', '.join(names)}): return {target}({', '.join(f'{name}={name}' for name in names)})"
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # noqa: S102  # of Airflow's own parameter names and nothing else
    code: CodeType = namespace["forward"].__code__
    return code
