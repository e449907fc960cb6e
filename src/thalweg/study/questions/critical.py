"""The critical batch size: where the law of steps by batch size bends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, inf, isfinite, log
from typing import Any

import numpy as np

from thalweg.study.intervals import mean_interval
from thalweg.study.questions.arms import Arm


def critical_sizes(best: Mapping[int, Arm]) -> dict[int, tuple[float, float]]:
    """Return the least steps and the critical batch size of each seed; none from few sizes.

    Args:
        best: The arm of each batch size.
    """
    if len(best) < 3:
        return {}
    sizes = list(best)
    steps = {size: arm.reached("steps") for size, arm in best.items()}
    seeds = steps[sizes[0]]
    return {seed: fit_critical(sizes, [steps[size][seed] for size in sizes]) for seed in seeds}


def fit_critical(sizes: Sequence[float], steps: Sequence[float]) -> tuple[float, float]:
    """Return least steps S and critical batch size B of the law steps = S (1 + B / size).

    Batches much smaller than B need the fewest samples, much larger ones the fewest steps; at B it
    is twice as many of both. Fitted by least squares of logarithms.

    Source: McCandlish et al. 2018, equation (2.11).

    Args:
        sizes: Batch sizes, three at least.
        steps: Steps to the target with each.

    Example:
        >>> [round(each, 3) for each in fit_critical([8, 64, 512], [1350, 256.25, 119.53125])]
        [100.0, 100.0]
    """
    from scipy.optimize import minimize_scalar

    x, y = np.log(np.array(sizes, dtype=float)), np.log(np.array(steps, dtype=float))

    def rest(c: float) -> Any:
        return y - np.logaddexp(0.0, c - x)

    found = minimize_scalar(
        lambda c: float(np.var(rest(c))), bounds=(x[0] - log(100), x[-1] + log(100)),
        method="bounded", options={"xatol": 1e-9},
    )  # fmt: skip
    return float(np.exp(rest(found.x).mean())), exp(found.x)


def geometric(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the geometric mean of positive values, and the ends of its interval.

    Example:
        >>> [round(each, 2) for each in geometric([10.0, 10.0])]
        [10.0, 10.0, 10.0]
    """
    own = mean_interval([log(value) for value in values])
    return exp(own.mean), exp(own.low) if isfinite(own.low) else 0.0, _exp(own.high)


def _exp(x: float) -> float:
    return exp(x) if x < 700 else inf
