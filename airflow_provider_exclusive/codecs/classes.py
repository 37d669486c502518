"""
Objects as the name of their class and their state.

The state is what Python itself takes for a copy, and each part of it is encoded exactly. The object is rebuilt from it
without ``__init__`` and without validators, so nothing is read in another way than it was written: not a moment in
another time zone, not a private attribute, not a field that was never set.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Final, Protocol

from airflow_provider_exclusive.buffers import Chunk
from airflow_provider_exclusive.codecs import class_states
from airflow_provider_exclusive.codecs.base import Codec
from airflow_provider_exclusive.codecs.errors import origin, qualified_name, refusal
from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec
from airflow_provider_exclusive.exceptions import CodecError

_SAME_VERSION: Final = (
    "Use the same version of the class in producer and consumer, or clear and re-run the producer task."
)
_MALFORMED: Final = "An encoded object is invalid. Clear and re-run the producer task."
_OBJECT: Final = 3  # class, state, declared fields if the state does not show them
_MEMBER: Final = 2  # class, name of the enum member or value of the flag


class ClassRules(Protocol):
    """What a deployment says about classes."""

    def allows(self, name: str) -> bool:
        """Return whether objects of the class with this dotted name may be rebuilt."""

    def serializes(self, kind: type) -> bool:
        """Return whether objects of ``kind`` have a serialization of their own, for another codec."""


class ClassesCodec(Codec):
    """
    Encodes objects of dataclasses, of attrs and pydantic classes, and of plain classes with state.

    :param others: the codecs for parts of a state that are neither plain data nor objects, in order.
    """

    name: ClassVar[str] = "classes"

    def __init__(self, rules: ClassRules, *, before: Iterable[Codec] = (), after: Iterable[Codec] = ()) -> None:
        self._rules = rules
        self._outermost = MsgpackCodec(nested=[*before, self, *after])

    def accepts(self, value: Any) -> bool:
        """Return whether ``value`` is an object with a state, and has no serialization of its own."""
        kind: type = type(value)
        return class_states.is_stateful(kind) and not self._rules.serializes(kind)

    def accepts_part(self, value: Any) -> bool:
        """Return the same, and True for enum members: within an object a bare value would be of another type."""
        return issubclass(type(value), enum.Enum) or self.accepts(value)

    def encode(self, value: Any) -> bytes:
        """
        Return the encoded value.

        :raises CodecError: naming the part that cannot be encoded and its type.
        """
        return self._outermost.encode(value)

    def decode(self, encoded: Chunk) -> Any:
        """
        Return the object.

        :raises CodecError: if its class is not allowed here, or is not as it was.
        """
        return self._outermost.decode(encoded)

    def encode_within(self, value: Any, pack: Callable[[Any], bytes]) -> bytes:
        """
        Return class and state.

        :raises CodecError: if the class cannot be found by its name, or is not allowed.
        """
        kind: type = type(value)
        name = self._name_of(value)
        if issubclass(type(value), enum.Enum):
            return pack([name, _member(value)])
        state = _state_of(value)
        declared = class_states.declared_fields(kind)
        shown = {part for part, _ in class_states.parts_of_state(state, declared)}
        is_shown = isinstance(state, dict) and shown == set(declared)
        return pack([name, state, None if is_shown else list(declared)])

    def decode_within(self, encoded: bytes, unpack: Callable[[bytes], Any]) -> Any:
        """
        Return the object.

        :raises CodecError: if its class is not allowed here, or is not as it was.
        """
        parts = unpack(encoded)
        if not isinstance(parts, list) or len(parts) not in (_OBJECT, _MEMBER) or not isinstance(parts[0], str):
            raise CodecError(_MALFORMED)
        kind = self._class_named(parts[0])
        if issubclass(kind, enum.Enum) is not (len(parts) == _MEMBER):
            raise CodecError(_MALFORMED)
        if len(parts) == _MEMBER:
            return _find_member(kind, parts[1])
        _check_fields(kind, *parts[1:])
        return _rebuild(kind, parts[1])

    def parts_of(self, state: Any) -> Iterator[tuple[str, Any]]:
        """Return the attributes of an object, each with its name."""
        _, content, *fields = state
        yield ("", content)  # searched last
        for name, part in class_states.parts_of_state(content, tuple((fields or [None])[0] or ())):
            yield f".{name}", part

    def _name_of(self, value: Any) -> str:
        kind: type = type(value)
        reason = class_states.why_not(kind)
        is_allowed = self._is_allowed(kind.__module__, kind.__qualname__)
        if (reason is not None or not is_allowed) and not issubclass(type(value), enum.Enum):
            _state_of(value)  # which fails for what has no state at all, and says so
        if reason is not None:
            raise CodecError(f"A value of type {qualified_name(value)} cannot be encoded: {reason}.")
        if not is_allowed:
            raise CodecError(
                f"A value of type {qualified_name(value)} cannot be encoded: a consumer may not rebuild its class. "
                f"List it in [core] allowed_deserialization_classes, in every component, or return plain data"
                f"{_plain_form(value)}."
            )
        return f"{kind.__module__}:{kind.__qualname__}"

    def _class_named(self, name: str) -> type:
        module, _, qualname = name.partition(":")
        if not module or not qualname:
            raise CodecError(_MALFORMED)
        if not self._is_allowed(module, qualname):
            raise CodecError(
                f"A value needs the class '{module}.{qualname}', which this process may not import. List it in "
                "[core] allowed_deserialization_classes, in every component."
            )
        kind = class_states.find(module, qualname)
        reason = class_states.why_not(kind)
        if reason is not None:
            raise CodecError(f"A value of the class {module}.{qualname} cannot be rebuilt here: {reason}.")
        return kind

    def _is_allowed(self, module: str, qualname: str) -> bool:
        return class_states.is_harmless(module, qualname) or self._rules.allows(f"{module}.{qualname}")


def _plain_form(value: Any) -> str:
    if issubclass(type(value), enum.Enum):
        return ", such as value.value"
    forms = {
        "__pydantic_fields__": ", such as value.model_dump()",
        "__attrs_attrs__": ", such as attrs.asdict(value)",
        "__dataclass_fields__": ", such as dataclasses.asdict(value)",
    }
    return next((form for mark, form in forms.items() if hasattr(type(value), mark)), "")


def _state_of(value: Any) -> Any:
    try:
        _, arguments, state, *items = value.__reduce_ex__(2)
    except Exception as failure:  # noqa: BLE001  # __getstate__ of any class may raise anything
        raise refusal(value, f"Python cannot take its state ({origin(failure)})") from None
    if arguments != (type(value),) or any(part is not None for part in items):
        raise refusal(value, "its class derives from a built-in type or defines __getnewargs__")
    if isinstance(state, dict) and "__orig_class__" in state:
        # Python notes there with which parameters a generic class was called; this is for type checkers only.
        state = {name: part for name, part in state.items() if name != "__orig_class__"}
    return state


def _member(value: Any) -> Any:
    if issubclass(type(value), enum.Flag):
        return value.value
    if type(value).__members__.get(value.name) is not value:
        raise refusal(value, "it is not a named member of its enum")
    return value.name


def _find_member(kind: type[enum.Enum], member: Any) -> Any:
    found = kind.__members__.get(member) if isinstance(member, str) else None
    if issubclass(kind, enum.Flag) and type(member) is int:
        try:
            found = kind(member)
        except ValueError:
            found = None
    if found is None:
        raise CodecError(
            f"An encoded member of the enum {kind.__module__}.{kind.__qualname__} does not exist here. {_SAME_VERSION}"
        )
    return found


def _check_fields(kind: type, state: Any, recorded: Any) -> None:
    declared = class_states.declared_fields(kind)
    if recorded is None:
        recorded = [part for part, _ in class_states.parts_of_state(state, declared)] if declared else []
    unknown = [name for name in recorded if name not in declared]
    missing = [name for name in declared if name not in recorded]
    if unknown or missing:
        raise CodecError(
            f"A value of the class {kind.__module__}.{kind.__qualname__} does not fit the class here: unexpected "
            f"fields: {', '.join(map(repr, unknown)) or 'none'}; missing fields: "
            f"{', '.join(map(repr, missing)) or 'none'}. {_SAME_VERSION}"
        )
    if isinstance(state, list) and tuple(recorded) != declared:
        raise CodecError(
            f"A value of the class {kind.__module__}.{kind.__qualname__} does not fit the class here: its fields are "
            f"declared in another order. {_SAME_VERSION}"
        )


def _rebuild(kind: type, state: Any) -> Any:
    try:
        rebuilt: Any = object.__new__(kind)
        if state is not None:
            _set_state(rebuilt, state)
    except Exception as failure:  # noqa: BLE001  # __setstate__ of any class may raise anything
        raise CodecError(
            f"A value of the class {kind.__module__}.{kind.__qualname__} cannot be rebuilt here: {origin(failure)}. "
            f"{_SAME_VERSION}"
        ) from None
    return rebuilt


def _set_state(rebuilt: Any, state: Any) -> None:
    if hasattr(type(rebuilt), "__setstate__"):
        rebuilt.__setstate__(state)
        return
    attributes, slots = state if class_states.is_with_slots(state) else (state, None)
    if attributes:
        rebuilt.__dict__.update(attributes)
    for name, part in (slots or {}).items():
        object.__setattr__(rebuilt, name, part)  # a frozen class refuses to set its own
