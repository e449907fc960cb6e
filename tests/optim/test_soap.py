from __future__ import annotations

import torch
from torch import Tensor

from thalweg import optim
from thalweg.optim.soap import eigenvectors

LAYOUT = [(0, (4, 5))]


def moved(theta: Tensor, gs: list[Tensor]) -> Tensor:
    rule, theta = optim.build("soap", frequency=2), theta.clone()
    state = optim.initial_state(rule, theta, LAYOUT)
    for t, g in enumerate(gs):
        optim.apply(rule, theta, g, state, t, layout=LAYOUT)
    return theta


def test_a_member_that_diverged_does_not_stop_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(2, 20, generator=generator)
    gs = [torch.randn(2, 20, generator=generator) for _ in range(6)]
    gs[0][0, 3] = torch.nan
    both = moved(theta, gs)
    assert both[0].isnan().any()
    assert torch.equal(both[1:], moved(theta[1:], [g[1:] for g in gs]))


def test_eigenvectors_are_sorted_by_eigenvalue() -> None:
    X = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    A = X @ X.T
    Q = eigenvectors(A)
    values = (Q * (A @ Q)).sum(0)
    torch.testing.assert_close(values, torch.linalg.eigvalsh(A).flip(0))
    assert eigenvectors(torch.full((2, 2), torch.inf)).isnan().all()
