"""Classes whose objects are a name and a state: which they are, which fields they declare, what a state consists of."""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

from airflow_provider_exclusive.codecs.errors import origin
from airflow_provider_exclusive.exceptions import CodecError

_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement, or by an extension module at run time
_FIELD_MARKS: Final = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__")
_DAG_FILE_PREFIX: Final = "unusual_prefix_"
_NO_VALUES: Final = {
    "airflow.sdk.definitions._internal.node.DAGNode": "it is an operator or a task group; return its task_id",
    "airflow.sdk.definitions.dag.DAG": "it is a Dag; return its dag_id",
    "airflow.sdk.definitions.xcom_arg.XComArg": "it stands for an output that is not there yet; pull the value first",
    "airflow.sdk.execution_time.lazy_sequence.LazyXComSequence": "it pulls its items when they are read; return "
    "list(value)",
}
_HARMLESS: Final = frozenset({("pydantic.types", "SecretStr"), ("pydantic.types", "SecretBytes")})


def has_fields(kind: type) -> bool:
    """Return whether ``kind`` is a dataclass, or a class of attrs or pydantic."""
    return any(hasattr(kind, mark) for mark in _FIELD_MARKS)


@functools.lru_cache(maxsize=512)
def is_stateful(kind: type) -> bool:
    """Return whether objects of ``kind`` look like a class name and a state."""
    if not kind.__flags__ & _HEAP_TYPE or issubclass(kind, (type, BaseException, enum.Enum)):
        return False
    if kind.__module__.partition(".")[0] == "airflow" and not has_fields(kind):
        return False  # Airflow allows all of its own classes; only its records are values
    return has_fields(kind) or (_is_reduced_by_python(kind) and kind.__new__ is object.__new__)


@functools.lru_cache(maxsize=512)
def why_not(kind: type) -> str | None:
    """Return why objects of ``kind`` cannot be rebuilt from a name and a state, and what to do; None if they can."""
    bases = (_NO_VALUES.get(f"{base.__module__}.{base.__qualname__}") for base in kind.__mro__)
    if hasattr(kind, "_sa_class_manager"):
        return (
            "it belongs to a database session; return its columns, as in {column.key: getattr(value, column.key) for "
            "column in value.__table__.columns}"
        )
    return next(filter(None, bases), None) or _why_not_found(kind) or _why_not_rebuilt(kind)


def _why_not_found(kind: type) -> str | None:
    if "<locals>" in kind.__qualname__:
        return "its class is defined inside a function; move the class to module level"
    if kind.__module__ == "__main__" or kind.__module__.startswith(_DAG_FILE_PREFIX):
        return "its class is defined in a script or a Dag file, which other tasks cannot import; move it to a module"
    if (getattr(kind, "__pydantic_generic_metadata__", None) or {}).get("origin") is not None:
        return (
            "its class is a generic model with its parameters filled in, which has no importable name; subclass it at "
            "module level, as in: class IntPage(Page[int]): pass"
        )
    if look_up(kind.__module__, kind.__qualname__) is not kind:
        return (
            "its module does not hold the class under its own name, so another task cannot find it; define the class "
            "by a class statement at module level and keep its name"
        )
    return None


def _why_not_rebuilt(kind: Any) -> str | None:
    if issubclass(kind, enum.Enum):
        return None
    if not _is_reduced_by_python(kind):
        return "its class defines how it is pickled (__reduce__), which runs code; return its data"
    if kind.__new__ is not object.__new__:
        return "its class defines __new__ or derives from a built-in type; return its data"
    return None if is_stateful(kind) else "its class has no state that Python can take"


def _is_reduced_by_python(kind: Any) -> bool:
    return kind.__reduce_ex__ is object.__reduce_ex__ and kind.__reduce__ is object.__reduce__


def is_harmless(module: str, qualname: str) -> bool:
    """Return whether a class only holds text: addresses and secrets of pydantic, which models have as fields."""
    return module == "pydantic.networks" or (module, qualname) in _HARMLESS


def look_up(module: str, qualname: str) -> Any:
    """Return what is under this name in a module that is loaded, or None."""
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found


def find(module: str, qualname: str) -> type:
    """
    Import a module and return the class of exactly this name.

    :raises CodecError: if it cannot be imported, or the module does not define that class.
    """
    try:
        import_module(module)
    except Exception as failure:  # noqa: BLE001  # a module may raise anything while it is imported
        raise CodecError(
            f"A value needs the class {module}.{qualname}, and its module cannot be imported here: {origin(failure)}. "
            "Install the same packages for producer and consumer."
        ) from None
    found = look_up(module, qualname)
    if not isinstance(found, type) or (found.__module__, found.__qualname__) != (module, qualname):
        raise CodecError(
            f"A value needs the class {module}.{qualname}, and its module does not define it here. Use the same "
            "version of the module in producer and consumer, or clear and re-run the producer task."
        )
    return found


@functools.lru_cache(maxsize=512)
def declared_fields(kind: type) -> tuple[str, ...]:
    """Return the names of the fields that ``kind`` declares; none for a plain class."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(attribute.name for attribute in kind.__attrs_attrs__)
    if hasattr(kind, "__pydantic_fields__"):
        return (*kind.__pydantic_fields__, *getattr(kind, "__private_attributes__", ()))
    return ()


def parts_of_state(state: Any, declared: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """
    Yield the names of attributes in ``state``, each with its content.

    :param declared: the fields of the class, whose order some states follow.
    """
    if isinstance(state, list) and len(state) == len(declared):
        yield from zip(declared, state, strict=True)
        return
    groups = [state]
    if isinstance(state, dict) and "__pydantic_fields_set__" in state:
        groups = [state.get(name) for name in ("__dict__", "__pydantic_extra__", "__pydantic_private__")]
    elif is_with_slots(state):
        groups = list(state)
    for attributes in groups:
        if isinstance(attributes, dict):
            yield from attributes.items()


def is_with_slots(state: Any) -> bool:
    """Return whether ``state`` is what Python makes for a class with slots: its attributes, and its slots."""
    return (
        isinstance(state, tuple)
        and len(state) == len(("attributes", "slots"))
        and all(part is None or isinstance(part, dict) for part in state)
    )
