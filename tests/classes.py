"""Classes as authors of Dags write them, for tests that push their objects in one process and pull them in another."""

from __future__ import annotations

import dataclasses
import enum
import functools
from datetime import datetime, time
from typing import Any, Generic, TypeVar

import attrs
from pydantic import (
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

MODULE = __name__
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796  # an alias
    NONE = None


class Level(enum.IntEnum):
    LOW = 1


class Rights(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


@dataclasses.dataclass
class Record:
    at: datetime | None = None
    part: Any = None
    made: int = dataclasses.field(default=0, init=False)

    def __post_init__(self):
        self.made = 1
        self.cache = ["not a field"]

    @functools.cached_property
    def length(self):
        return 5


@dataclasses.dataclass(frozen=True, slots=True)
class Slim:
    at: datetime | None = None
    part: Any = None


@dataclasses.dataclass(slots=True)
class SlimOpen:
    at: datetime | None = None
    part: Any = None


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: Any


@attrs.define
class Track:
    _hidden: Any
    part: Any = None
    made: int = attrs.field(default=0, init=False)


@attrs.frozen
class Stone:
    at: Any
    part: Any = None


@attrs.define(slots=False)
class Loose:
    part: Any = None


class Model(BaseModel):
    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)

    at: datetime | None = None
    hour: time | None = None
    part: Any = None
    _token: Any = PrivateAttr(default="default")

    def model_post_init(self, context: Any) -> None:
        self._token = "made"


class Patch(BaseModel):
    name: str | None = None
    email: str | None = None


class Aliased(BaseModel):
    number: int = Field(alias="Number")


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.width**2


class Choosy(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def refuse(cls, number):
        raise AssertionError("a validator ran")


class Rich(BaseModel):
    url: AnyUrl
    secret: SecretStr
    address: IPvAnyAddress
    colour: Colour
    level: Level = Level.LOW
    rights: Rights = Rights.READ | Rights.WRITE
    inner: Patch | None = None


class Numbers(RootModel[list[int]]):
    pass


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


@attrs.frozen(cache_hash=True)
class Hashed:
    number: int


@dataclasses.dataclass(frozen=True)
class BadHash:
    number: int

    def __hash__(self):
        return hash(self.number.missing) if self.number < 0 else 1


class BadState:
    def __getstate__(self):
        raise RuntimeError("hunter2")


class BadClass:
    @property
    def __class__(self):
        raise RuntimeError("hunter2")


class Page(BaseModel, Generic[T]):
    items: list[T]


class IntPage(Page[int]):
    pass


@pydantic_dataclass
class Checked:
    number: int
    at: datetime | None = None


class Plain:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Slotted:
    __slots__ = ("__dict__", "left", "right")

    def __init__(self, left: Any) -> None:
        self.left = left

    def __setattr__(self, name, value):
        if name == "right":
            raise AssertionError("__setattr__ ran")
        super().__setattr__(name, value)


class Counted:
    """A class that says what its state is."""

    built = 0

    def __init__(self, number: int) -> None:
        type(self).built += 1
        self.number = number
        self.lock = object()

    def __getstate__(self):
        return (self.number,)

    def __setstate__(self, state):
        (self.number,) = state
        self.lock = object()


class Empty:
    pass


class Outer:
    @dataclasses.dataclass
    class Inner:
        number: int


class WithNew:
    def __new__(cls, number):
        return super().__new__(cls)


class Reduced:
    def __reduce__(self):
        return (print, ("code ran",))


class OwnSerialization:
    """Airflow's own protocol."""

    def __init__(self, at: Any) -> None:
        self.at = at

    def serialize(self):
        return {"at": self.at}

    @staticmethod
    def deserialize(data, version):
        return OwnSerialization(data["at"])


class Serialized:
    """A method of this name alone is not Airflow's protocol."""

    def __init__(self, number: int) -> None:
        self.number = number

    def serialize(self):
        return "something for a file"


Renamed = type("Other", (), {"__module__": __name__})
