"""One call for all members, wherever it gives each of them the bits of a call of its own.

The order in which a product is summed follows from shapes, strides, threads and the library, never
from the numbers. So each kind of call is tried once, on random numbers, against the calls one by
one, and used from then on if no bit differs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

Form = Callable[..., None]
"""A way to compute: it writes to its first tensor what follows from the others."""

Kind = tuple[torch.Size, tuple[int, ...], torch.dtype, torch.device]
"""What decides how a tensor is worked on: shape, strides, type and device."""


def together(
    forms: tuple[Form, ...], alone: Form, out: Tensor, *operands: Tensor, exact: bool = True
) -> None:
    """Compute for all members, by the first form that gives each the bits it has alone.

    Args:
        forms: Ways to compute it for all at once, the best one first.
        alone: The way of a member alone, which defines its bits; all have leading axes of 1 then.
            It is called once a member where no form has the same bits.
        out: Where the result goes, (K, …).
        *operands: What ``alone`` and the forms take, (K, …) each, or (1, …) if all share it.
        exact: Whether bits matter; the first form is used if not.

    Example:
        >>> from thalweg.nn.kernels import batched
        >>> x, y = torch.ones(1, 2, 3), torch.empty(5, 4, 2)
        >>> together((batched,), batched, y, torch.ones(5, 4, 3), x.mT)
        >>> print(y.sum())
        tensor(120.)
    """
    if out.shape[0] == 1:
        alone(out, *operands)
        return
    if not exact:
        forms[0](out, *operands)
        return
    kinds = tuple((each.shape, each.stride(), each.dtype, each.device) for each in (out, *operands))
    form = _choice(forms, alone, kinds, torch.get_num_threads())
    if form is not None:
        form(out, *operands)
    else:
        one_by_one(alone, out, *operands)


def one_by_one(alone: Form, out: Tensor, *operands: Tensor) -> None:
    """Compute member after member, as each would alone."""
    for k in range(len(out)):
        alone(out[k : k + 1], *(each[k : k + 1] if len(each) > 1 else each for each in operands))


@cache
def _choice(
    forms: tuple[Form, ...], alone: Form, kinds: tuple[Kind, ...], threads: int
) -> Form | None:
    """Return the first form whose bits are those of the members one by one, if there is one."""
    generator = torch.Generator(kinds[0][3]).manual_seed(0)
    out, *operands = (
        torch.empty_strided(shape, stride, dtype=dtype, device=device).normal_(generator=generator)
        for shape, stride, dtype, device in kinds
    )
    one_by_one(alone, out, *operands)
    for form in forms:
        found = torch.empty_like(out)
        form(found, *operands)
        if torch.equal(found, out):
            return form
    return None
