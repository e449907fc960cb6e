"""From hyperparameters to the numbers that an update is made with, member by member."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor

from thalweg.errors import SpecError


class Coefficients:
    """The numbers of one update, in the precision and on the device of the parameters.

    They are computed in float64 by plain Python, one member at a time, and rounded once. Scalars
    become tensors too, so that one network and a thousand go through the same kernels: a
    multiplication by a Python number may be rounded otherwise than one by a tensor.

    Args:
        scalars: The scalar lines of a rule: the hyperparameters of one member to numbers by name.
        h: Hyperparameters by name: floats, or float64 tensors with one value for each member.
            These are best kept on the CPU, as they are read at every update.
        like: The parameters, (K, P) or any shape.

    Raises:
        SpecError: The hyperparameters are for another number of members than ``like`` has.

    Example:
        >>> c = Coefficients(lambda h: {"step": -h["lr"]}, {"lr": 0.5}, torch.zeros(3))
        >>> c["step"], c.any("step")
        (tensor(-0.5000), True)
    """

    def __init__(
        self,
        scalars: Callable[[Mapping[str, float]], dict[str, float]],
        h: Mapping[str, float | Tensor],
        like: Tensor,
    ) -> None:
        if any(isinstance(value, Tensor) for value in h.values()):
            members = _members(h, like)
            rows = [scalars(member) for member in members]
            self._table = {name: tuple(row[name] for row in rows) for name in rows[0]}
            shape: tuple[int, ...] = (len(rows), 1)
        else:
            row = scalars(cast(Mapping[str, float], h))
            self._table = {name: (value,) for name, value in row.items()}
            shape = ()
        numbers = _rounded(tuple(self._table.values()), shape, like.dtype, like.device)
        self._tensors = dict(zip(self._table, numbers, strict=True))

    def __getitem__(self, name: str) -> Tensor:
        """Return a coefficient, of shape () or (K, 1)."""
        return self._tensors[name]

    def any(self, name: str) -> bool:
        """Say whether the coefficient is non-zero for some member: whether its term is needed."""
        return any(self._table[name])

    def all(self, name: str) -> bool:
        """Say whether the coefficient is non-zero for every member, and not lost in rounding."""
        tiny = torch.finfo(self._tensors[name].dtype).tiny
        return all(abs(value) >= tiny for value in self._table[name])

    def of(self, members: slice) -> Coefficients:
        """Return the coefficients of some of the members."""
        if all(value.dim() == 0 for value in self._tensors.values()):
            return self
        part = copy(self)
        part._tensors = {name: value[members] for name, value in self._tensors.items()}
        part._table = {name: values[members] for name, values in self._table.items()}
        return part

    def of_member(self, member: int) -> Coefficients:
        """Return the coefficients of one member, of shape ()."""
        if all(value.dim() == 0 for value in self._tensors.values()):
            return self
        part = copy(self)
        part._tensors = {name: value[member, 0] for name, value in self._tensors.items()}
        part._table = {name: values[member : member + 1] for name, values in self._table.items()}
        return part


def each_member(h: Mapping[str, float | Tensor], like: Tensor) -> list[dict[str, float]]:
    """Return the hyperparameters of each of the K members of ``like``, (K, P)."""
    found = _members(h, like)
    return found * (len(like) if len(found) == 1 else 1)


def _members(h: Mapping[str, float | Tensor], like: Tensor) -> list[dict[str, float]]:
    """Return the hyperparameters of each member, once where all have the same."""
    columns = {
        name: value.flatten().tolist() if isinstance(value, Tensor) else [value]
        for name, value in h.items()
    }
    K = max(map(len, columns.values()))
    if any(len(column) not in (1, K) for column in columns.values()):
        sizes = {name: len(column) for name, column in columns.items() if len(column) > 1}
        raise SpecError(f"hyperparameters for {sizes} members", "the same number in all")
    if K > 1 and (like.dim() != 2 or like.shape[0] != K):
        raise SpecError(
            f"hyperparameters for {K} members, parameters of shape {tuple(like.shape)}",
            f"parameters of shape ({K}, P)",
        )
    return [{name: column[k % len(column)] for name, column in columns.items()} for k in range(K)]


@lru_cache(maxsize=64)  # most coefficients of most rules do not change from step to step
def _rounded(
    table: tuple[tuple[float, ...], ...],
    shape: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, ...]:
    """Round numbers to the precision of the parameters: a tensor for each row of the table."""
    return torch.tensor(table, dtype=dtype).to(device).view(-1, *shape).unbind()
