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


# Strict: neither true nor "1" is a number. The bounds go before the conversion, so that the JSON
# schema knows them.
_Plain = BeforeValidator(plain)
Count = Annotated[int, Field(strict=True, ge=1), _Plain]
Natural = Annotated[int, Field(strict=True, ge=0), _Plain]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63), _Plain]  # what torch's generators take
NonNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False), _Plain]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False), _Plain]
Share = Annotated[float, Field(strict=True, ge=0, le=1), _Plain]


class Section(BaseModel):
    """A frozen group of settings; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class OpenSection(Section):
    """A section whose ``name`` selects from a registry, which validates the other keys."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_default=True)
    __pydantic_extra__: dict[str, Annotated[Any, _Plain]] = Field(init=False)

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the selected thing rather than to every one of its kind."""
        return dict(self.__pydantic_extra__)
