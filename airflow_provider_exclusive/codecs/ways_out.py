"""What to return instead of a value that cannot be encoded, by its kind."""

from __future__ import annotations

import enum
import io
from collections import abc
from collections.abc import Callable
from types import AsyncGeneratorType, BuiltinFunctionType, CoroutineType, FunctionType, MethodType, ModuleType
from typing import Any, Final

_BUILTINS: Final = (dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, complex)
_CALLABLES: Final = (FunctionType, BuiltinFunctionType, MethodType)
_ANYTHING: Final = (
    "Return plain data, a dataclass, attrs or pydantic class at module level, a DataFrame or an array; or, if "
    "[exclusive] allow_cloudpickle is on, request codec='cloudpickle'."
)
_OF_ENUMS: Final = (
    "Return its .value (or .name) and build the enum member in the consumer; inside a dataclass, attrs or pydantic "
    "object it is encoded as it is."
)
_OF_NAMED_TUPLES: Final = (
    "Return tuple(value) or value._asdict(), or use a dataclass at module level. If an operator returns it as a row of "
    "a database, give that operator handler=: a function at module level that returns "
    "[tuple(row) for row in cursor.fetchall()]."
)
_OF_LOCKS: Final = "Locks and open connections exist in one process only: leave it out, and return the data."


def way_out_for(value: Any) -> str:
    """
    Return what the author of a task, or the user of an operator, can do about ``value``.

    Only its type is looked at, because proxies raise when they are asked for their class.
    """
    for applies, advice in _ADVICE:
        if applies(value):
            return advice
    for builtin in _BUILTINS:
        if issubclass(type(value), builtin):
            return f"Return {builtin.__name__}(value), or a dataclass at module level."
    package = type(value).__module__.partition(".")[0]
    by_package = next((advice for mark, advice in _OF_PACKAGES.get(package, ()) if hasattr(type(value), mark)), None)
    return by_package or next((advice for kinds, advice in _INTERFACES if issubclass(type(value), kinds)), _ANYTHING)


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: issubclass(type(value), kinds)


def _is_named_tuple(value: Any) -> bool:
    return issubclass(type(value), tuple) and hasattr(type(value), "_asdict")


_ADVICE: Final[tuple[tuple[Callable[[Any], bool], str], ...]] = (
    (_is(enum.Enum), _OF_ENUMS),
    (_is_named_tuple, _OF_NAMED_TUPLES),
    (lambda value: hasattr(type(value), "__struct_fields__"), "Return msgspec.to_builtins(value)."),
    (_is(memoryview), "Return bytes(value)."),
    (_is(type), "Return its name, and look the class up in the consumer."),
    (_is(*_CALLABLES), "Return what it returns, or its name; the consumer can import it."),
    (_is(ModuleType), "Return its name; the consumer can import it."),
    (_is(BaseException), "Return str(value), or raise it."),
    (_is(CoroutineType, AsyncGeneratorType), "Await it, and return what it results in."),
    (_is(io.IOBase), "Return what is in it, as in value.read(), or its path."),
    (_is(abc.KeysView, abc.ValuesView), "Return list(value)."),
)
_OF_PACKAGES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "numpy": (
        ("filled", "Return value.filled(...), and value.mask beside it."),
        ("ravel", "Return numpy.asarray(value)."),
    ),
    "pyarrow": (("as_py", "Return value.as_py()."),),
    "sqlalchemy": (
        ("_mapping", "Return tuple(value) or dict(value._mapping)."),
        ("fetchall", "Return [tuple(row) for row in value]."),
    ),
    "torch": (("numpy", "Return value.numpy()."),),
    "_thread": (("acquire", _OF_LOCKS),),
    "socket": (("close", _OF_LOCKS),),
}
_INTERFACES: Final[tuple[tuple[type, str], ...]] = (
    (abc.Iterator, "Return list(value)."),
    (abc.Sequence, "Return list(value)."),
    (abc.Mapping, "Return dict(value)."),
    (abc.Set, "Return set(value), or list(value)."),
)
