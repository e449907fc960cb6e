"""The types of settings: how a value is shown in the help, and how it is read."""

from __future__ import annotations

from contextlib import suppress
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from thalweg.errors import SpecError


def members(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type itself, without constraints.

    Example:
        >>> members(int | None), members(int)
        ((<class 'int'>, <class 'NoneType'>), (<class 'int'>,))
    """
    parts = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
    return tuple(get_args(one)[0] if get_origin(one) is Annotated else one for one in parts)


def is_list(kind: Any) -> bool:
    """Tell whether a type has more than one value, as tuples have."""
    return any(get_origin(one) is tuple for one in members(kind))


def placeholder(kind: Any) -> str:
    """Return what the help shows in place of a value.

    Example:
        >>> placeholder(float | None), placeholder(tuple[int, ...])
        ('NUMBER', 'INT,…')
        >>> placeholder(int | Literal["full"]), placeholder(str | tuple[float, float])
        ('INT|full', 'TEXT|NUMBER,NUMBER')
    """
    return "|".join(
        dict.fromkeys(_placeholder(one) for one in members(kind) if one is not NoneType)
    )


def _placeholder(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    if get_origin(kind) is tuple:
        return ",".join("…" if one is Ellipsis else placeholder(one) for one in get_args(kind))
    return {int: "INT", float: "NUMBER"}.get(kind, "TEXT")


def convert(kind: Any, text: str) -> Any:
    """Return a word of the command line as a type; a list has commas, and may be ``none``.

    What does not fit is returned as it is, or as the number that it looks like: the spec refuses
    it in its own words.

    Example:
        >>> convert(float, ".5"), convert(int, "many"), convert(tuple[int, ...], "200,100")
        (0.5, 'many', (200, 100))
        >>> convert(int | None, "none"), convert(tuple[int, ...], "none")
        (None, ())
    """
    bare: Any = Union[members(kind)]  # noqa: UP007  # as many as there are
    if is_list(kind):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        with suppress(ValidationError):
            return TypeAdapter(bare).validate_python([] if parts == ["none"] else parts)
    elif NoneType in members(kind) and text == "none":
        return None
    for candidate in (bare, float):
        with suppress(ValidationError):
            return TypeAdapter(candidate).validate_python(text)
    return text


def whole(option: str, text: str, what: str, least: int = 0) -> int:
    """Return the whole number that an option was given.

    Args:
        option: The option.
        text: What it was given.
        what: What it should have been given.
        least: The least that it may be.

    Raises:
        SpecError: It is no whole number, or less than that.

    Example:
        >>> whole("--top", "3", "a number of classes", 1)
        3
    """
    if not text.isdecimal() or int(text) < least:
        raise SpecError(f"{option} {text}", what)
    return int(text)
