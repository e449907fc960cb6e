"""The plane in which runs have moved most, beside what a random walk would show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import ModelError, SpecError
from thalweg.landscape.directions import Directions

States = Tensor | Sequence[Tensor]
"""States of one run: (T, P), or T of (P,) or (1, P)."""

BLOCK = 2**16
"""Parameters that are brought to float64 at a time."""


def principal_components(
    runs: States | Sequence[States],
    count: int = 2,
    *,
    n_states: int | None = None,
    start_from: int = 0,
    reference: int | Tensor = -1,
) -> Directions:
    """Return the directions in which the states of one or several runs lie farthest apart.

    They are orthonormal and pass through the reference, so that the reference's own loss is in the
    picture: the states' differences to it are taken as they are, not to their mean. ``explained``
    is each direction's share of Σ‖θᵢ − θ_ref‖². Much of it means little: a random walk of as many
    points would have shares of ``null``, about 81 % and 9 % about its end, and its coordinates are
    cosines, which look like a purposeful curve.

    Sources: Lorch, "Visualizing deep network training trajectories with PCA", 2016; Li et al. 2018,
    arXiv:1712.09913, section 7; Antognini and Sohl-Dickstein, "PCA of high dimensional random walks
    with comparison to neural network training", 2018, arXiv:1806.08805.

    Args:
        runs: The states of one run, (T, P) or T of (P,) or (1, P), such as ``run.states.theta``; or
            of several runs, which share the directions, a sequence of these.
        count: D.
        n_states: How many states of each run to take, evenly spread, the first and the last among
            them; None takes all.
        start_from: The first state that is taken.
        reference: The origin: the number of a state of the last run, or a point (P,) of its own.

    Raises:
        SpecError: There are not so many states.
        ModelError: The states do not lie in so many dimensions.

    Example:
        >>> states = torch.tensor([[4.0, 0.0, 1.0], [2.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
        >>> plane = principal_components([states])
        >>> plane.origin.tolist(), plane.chosen
        ([0.0, 0.0, 1.0], ((0, 1, 2),))
        >>> plane.project(states).residuals.abs().max().item() < 1e-6
        True
    """
    series = _series(runs)
    chosen = tuple(_choose(len(states), n_states, start_from) for states in series)
    last = series[-1]
    if isinstance(reference, Tensor):
        origin, at = reference.reshape(-1).to(last), None
    else:
        if not -len(last) <= reference < len(last):
            raise SpecError(f"the state {reference} as reference", f"one of {len(last)} states")
        origin, at = last[reference], (len(series) - 1, reference % len(last))
    taken = [states[list(numbers)] for states, numbers in zip(series, chosen, strict=True)]
    A = torch.cat(taken)  # (T, P)
    eigenvalues, U = torch.linalg.eigh(_gram(A, origin))
    eigenvalues, U = eigenvalues.flip(0).clamp(min=0), U.flip(1)
    largest = eigenvalues[0].item()
    if count > len(eigenvalues) or eigenvalues[count - 1].item() <= 1e-12 * largest:
        raise ModelError(
            f"{len(A)} states that lie in fewer than {count} dimensions about the reference",
            "states that have moved in as many",
            "record more states, or ask for a line",
        )
    U = U[:, :count] * torch.where(U[0, :count] < 0, -1.0, 1.0)  # the first one lies on the right
    vectors = _combine(A, origin, U / eigenvalues[:count].sqrt())
    made = Directions(
        origin.clone(),
        vectors,
        "principal components",
        explained=tuple((eigenvalues[:count] / eigenvalues.sum()).tolist()),
        null=_null(taken, chosen, at, count) if at is not None else (),
        chosen=chosen,
    )
    return replace(made, extent=made.project(A).window())


def walk_null(
    times: Sequence[Tensor],
    reference: tuple[int, float] | None = None,
    count: int = 2,
    apart: float = 0.0,
) -> tuple[float, ...]:
    """Return the shares that the components of random walks explain, in many dimensions.

    In many dimensions the inner products of a walk's points are as expected, so that the shares
    follow from the covariances alone: ``(|s| + |t| − |s − t|)/2`` within a walk, which is 0 at
    step 0, and none between two.

    Args:
        times: The steps after which each walk was looked at, (T,) each.
        reference: Walk and step of the point about which the variance is taken; None for the mean.
        count: Components.
        apart: Half the squared distance between the walks' starts, in squared steps.

    Example:
        >>> t = torch.arange(1000.0).double()
        >>> [round(share, 3) for share in walk_null([t])]  # 6 / π²k²
        [0.608, 0.152]
        >>> [round(share, 2) for share in walk_null([t], (0, 999))]  # 8 / π²(2k − 1)²
        [0.81, 0.09]
    """
    walk = torch.cat([torch.full((len(t),), float(k)) for k, t in enumerate(times)])
    t = torch.cat(list(times)).double()
    own = apart if len(times) > 1 else 0.0

    def covariance(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> Tensor:
        s, t = a[1][:, None], b[1]
        same = (a[0][:, None] == b[0]).double()
        return same * ((s.abs() + t.abs() - (s - t).abs()) / 2 + own)

    all_points = walk, t
    K = covariance(all_points, all_points)
    if reference is None:
        K = K - K.mean(0) - K.mean(1, keepdim=True) + K.mean()
    else:
        point = torch.tensor([float(reference[0])]), torch.tensor([float(reference[1])]).double()
        to_point = covariance(all_points, point)
        K = K - to_point - to_point.T + covariance(point, point)
    eigenvalues = torch.linalg.eigvalsh(K).flip(0).clamp(min=0)
    shares: list[float] = (eigenvalues[:count] / eigenvalues.sum()).tolist()
    return tuple(shares)


def _series(runs: States | Sequence[States]) -> list[Tensor]:
    """Return the states of each run, (T, P)."""
    if not len(runs):
        raise SpecError("no states", "those of one run at least")
    first = runs[0]
    alone = isinstance(first, Tensor) and (first.dim() < 2 or len(first) == 1 < len(runs))
    return [_states(runs)] if alone else [_states(states) for states in runs]


def _states(states: Any) -> Tensor:
    """Return the states of one run, (T, P)."""
    if isinstance(states, Tensor) and states.dim() == 2:
        return states
    return torch.stack([state.reshape(-1) for state in states])


def _choose(states: int, wanted: int | None, start: int) -> tuple[int, ...]:
    """Return the numbers of the states to take."""
    if not 0 <= start < states:
        raise SpecError(f"start_from={start}", f"the number of one of {states} states")
    there = states - start
    if wanted is None:
        return tuple(range(start, states))
    if not 2 <= wanted <= there:
        raise SpecError(f"n_states={wanted}", f"2 to {there}, as many as there are from {start} on")
    return tuple(start + round(k * (there - 1) / (wanted - 1)) for k in range(wanted))


def _gram(A: Tensor, origin: Tensor) -> Tensor:
    """Return the inner products of A − origin, (T, T), float64: T²P operations."""
    G = torch.zeros(len(A), len(A), dtype=torch.float64, device=A.device)
    for block in range(0, A.shape[1], BLOCK):
        part = slice(block, block + BLOCK)
        away = A[:, part].double() - origin[part].double()
        G.addmm_(away, away.T)
    return G


def _combine(A: Tensor, origin: Tensor, weights: Tensor) -> Tensor:
    """Return weightsᵀ (A − origin), (D, P), summed in float64; weights (T, D)."""
    found = A.new_empty(weights.shape[1], A.shape[1])
    for block in range(0, A.shape[1], BLOCK):
        part = slice(block, block + BLOCK)
        found[:, part] = weights.T @ (A[:, part].double() - origin[part].double())
    return found


def _null(
    taken: Sequence[Tensor],
    chosen: Sequence[Sequence[int]],
    reference: tuple[int, int],
    count: int,
) -> tuple[float, ...]:
    """Return the shares for walks that begin where these runs do, with steps as long as theirs."""
    run, number = reference
    times = [torch.tensor(numbers, dtype=torch.float64) - numbers[0] for numbers in chosen]
    at = run, float(number - chosen[run][0])
    if len(taken) == 1:
        return walk_null(times, at, count)
    firsts = torch.stack([states[0].double() for states in taken])
    moved = sum(states.double().diff(dim=0).square().sum().item() for states in taken)
    step = moved / sum(t[-1].item() for t in times)
    apart = torch.pdist(firsts).square().mean().item() / 2
    return walk_null(times, at, count, apart / step if step else 0.0)
