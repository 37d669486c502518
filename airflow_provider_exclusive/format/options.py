"""
What pydantic checks in options and connection fields, which arrive as text.

Left alone, pydantic takes ``+1``, ``1_000`` and ``yes``, which are most often typing mistakes, and its messages repeat
what it refuses. Here it takes what is written plainly, and the caller says which field is wrong and what is expected.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError


class Checked(BaseModel):
    """Fields that are checked once and never change; the description of each says what is expected of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def read_truth(content: object) -> bool | None:
    """Return what ``content`` says, or None if that is neither yes nor no."""
    return {"true": True, "1": True, "false": False, "0": False}.get(str(content).lower())


def wrong_field(invalid: ValidationError) -> str:
    """Return the name of the first field that is wrong, or that there is not."""
    (error, *_) = invalid.errors(include_url=False, include_context=False, include_input=False)
    return str(error["loc"][0])


def _digits(content: Any) -> str:
    text = str(content)
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("not a whole number")
    return text


Digits = BeforeValidator(_digits)
WholeNumber = Annotated[int, Digits]
Truth = Annotated[bool, BeforeValidator(read_truth)]
Seconds = Annotated[float, BeforeValidator(str), Field(gt=0, allow_inf_nan=False)]
