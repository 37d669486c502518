"""Where in a value an encoder is, so that a refusal can name the place, such as ``the value[0].customer.born``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_provider_exclusive.codecs.errors import place_of, qualified_name
from airflow_provider_exclusive.exceptions import CodecError


class Places:
    """
    The objects that an encoder is in, from the outermost value inwards.

    The state of an object is made while it is encoded, so it cannot be found by a search through the outermost value.
    """

    def __init__(self) -> None:
        self._entered: list[tuple[Any, Iterable[tuple[str, Any]]]] = []
        self._named: CodecError | None = None

    @property
    def are_in_object(self) -> bool:
        """Whether the encoder is in the state of an object."""
        return len(self._entered) > 1

    def enter(self, owner: Any, parts: Iterable[tuple[str, Any]]) -> None:
        """
        Note that the encoder goes on to what ``owner`` consists of.

        :param parts: these, each with its place in ``owner``.
        :raises CodecError: if ``owner`` is within itself.
        """
        if any(owner is other for other, _ in self._entered[1:]):
            raise CodecError(
                f"An object of {qualified_name(owner)} contains itself. Remove the "
                "reference from the inner object back to the outer one, for example an attribute like 'parent'."
            )
        self._entered.append((owner, parts))

    def leave(self) -> None:
        """Note that the encoder has left the innermost object."""
        self._entered.pop()

    def named(self, refused: CodecError, value: Any) -> CodecError:
        """
        Return the error with the place of ``value`` before it, unless it has one already or is about the whole.

        :param value: the part of the innermost object that was refused.
        """
        if refused is self._named:
            return refused
        owners = [owner for owner, _ in self._entered[1:]]
        places = [place_of(inner, parts) for (_, parts), inner in zip(self._entered, [*owners, value], strict=True)]
        place = "".join(places)
        self._named = refused if place == "the value" else CodecError(f"In {place}: {refused}")
        return self._named
