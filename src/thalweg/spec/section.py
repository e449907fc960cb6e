"""What the sections of a spec are made of: frozen groups of plain, checked values."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def plain(value: Any) -> Any:
    """Return a value as TOML has it: numbers of NumPy become Python's, and lists tuples."""
    match value:
        case bool() | str():
            return value
        case Integral():
            return int(value)
        case Real():
            return float(value)
        case list() | tuple():
            return tuple(map(plain, value))
    raise ValueError("a number, text, true or false, or a list of these")


# Strict: neither true nor "1" is a number.
Integer = Annotated[int, Field(strict=True), BeforeValidator(plain)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False), BeforeValidator(plain)]
Count = Annotated[Integer, Field(ge=1)]
Natural = Annotated[Integer, Field(ge=0)]
Seed = Annotated[Natural, Field(lt=2**63)]  # what torch's generators take
NonNegative = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]


class Section(BaseModel):
    """A frozen group of settings; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class OpenSection(Section):
    """A section whose ``name`` selects from a registry, which validates the other keys."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_default=True)
    __pydantic_extra__: dict[str, Annotated[Any, BeforeValidator(plain)]] = Field(init=False)

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the selected thing rather than to every one of its kind."""
        return dict(self.__pydantic_extra__)
