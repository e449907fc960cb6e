"""Curvature drawn, and told on one page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from thalweg.plots.report.chapters import Chapter, Sheet, chapters_page
from thalweg.plots.report.words import listed
from thalweg.plots.spectrum import spectrum
from thalweg.plots.stability import Readings, stability
from thalweg.study.ground.curvature import Bend, Curvature

POINTS = 2000
"""Values at which a density is drawn."""

SPECTRA = 6
"""Networks whose spectra are drawn, at most: the last ones."""


def curvature_figures(found: Curvature) -> dict[str, Any]:
    """Return the pictures of what was measured so far, by name.

    Returns:
        ``spectrum``, with a number behind it if there are several, and ``stability``, the sharpness
        by step, of several networks.
    """
    figures: dict[str, Any] = {}
    drawn = [bend for bend in found.bends if bend.density is not None][-SPECTRA:]
    for number, bend in enumerate(drawn):
        figure = _spectrum(bend)
        if figure is not None:
            figures["spectrum" if len(drawn) == 1 else f"spectrum-{number}"] = figure
    read = [bend for bend in found.bends if bend.eigenvalues is not None]
    if len({bend.step for bend in read}) > 1:
        figures["stability"] = stability(list(_readings(read)))
    return figures


def curvature_page(found: Curvature, commands: Sequence[tuple[str, str]] = ()) -> str:
    """Return a page with the pictures of curvature and what they show, which needs no network.

    Args:
        found: What was measured so far.
        commands: What can be done again or further, each with its command.
    """
    last = found.bends[-1]
    facts = [("networks", f"{len(found.bends):,}"), ("samples", f"{found.samples:,}")]
    if last.eigenvalues is not None:
        facts.append(("largest eigenvalue", f"{last.sharpness:.4g}"))
    if last.trace is not None:
        facts.append(("trace", told(*last.trace)))
    done, whole = found.parts[1], found.parts[0]
    state = (
        "Whole: all was measured."
        if found.whole
        else f"Unfinished: {done} of {whole} measurements."
    )
    figures = curvature_figures(found)
    spectra = [each for each in figures if each.startswith("spectrum")]
    named = [bend.name for bend in found.bends if bend.density is not None][-SPECTRA:]
    titles = dict(zip(spectra, named, strict=False))
    chapters = [
        Chapter("What it shows", curvature_words(found)),
        Chapter(
            "Along training",
            figures=[("sharpness by step", figures["stability"])] if "stability" in figures else [],
        ),
        Chapter(
            "The spectrum", figures=[(titles[name], figures[name]) for name in spectra],
            height="26rem",
        ),
        Chapter("In numbers", tables=list(curvature_sheets(found))),
    ]  # fmt: skip
    title = f"Curvature of {listed([bend.name for bend in found.bends][-3:])}"
    return chapters_page(title, state, facts, chapters, commands)


def curvature_sheets(found: Curvature) -> tuple[Sheet, Sheet]:
    """Return the tables of curvature: the largest eigenvalues, and what sums them up."""
    rows = [
        (bend.name, str(place + 1), f"{value:.6g}", f"{residual:.1g}")
        for bend in found.bends
        if bend.eigenvalues is not None and bend.residuals is not None
        for place, (value, residual) in enumerate(
            zip(bend.eigenvalues.tolist(), bend.residuals.tolist(), strict=True)
        )
    ]
    head = ("network", "number", "eigenvalue", "residual")
    sums = tuple(_row(bend) for bend in found.bends)
    names = ("network", "step", "loss", "smallest", "trace", "box", "ball", "noise", "2 / lr")
    return (
        Sheet("The largest eigenvalues of the Hessian", head, tuple(rows)),
        Sheet("What else is known of it", names, sums),
    )


def curvature_words(found: Curvature) -> list[str]:
    """Return what was measured, and how it is to be read, in sentences."""
    how, last = found.options, found.bends[-1]
    words = [
        f"The Hessian of the loss on {found.samples:,} samples of {how.split}, in evaluation mode "
        "and without penalties. An eigenvalue is no farther from a true one than its residual."
    ]
    if last.converged is False:
        words.append("The search for eigenvalues gave up before all residuals were small.")
    if last.eigenvalues is not None and math.isfinite(last.limit):
        above = last.sharpness > last.limit
        words.append(
            f"At {last.name} the largest eigenvalue is {last.sharpness:.4g}, and 2 / lr is "
            f"{last.limit:.4g}: plain gradient descent of that rate would be "
            f"{'unstable' if above else 'stable'} there."
        )
    if last.smallest is not None and last.smallest[0] < -last.smallest[1]:
        words.append(
            f"The smallest eigenvalue, {last.smallest[0]:.4g}, is negative: the ground falls away "
            "in some direction, and this is no minimum."
        )
    if last.box is not None and last.ball is not None:
        words.append(
            f"Sharpness is the highest loss that was found nearby, a lower bound: in a box of "
            f"ε = {how.box:g} the loss is {last.box:.3g} % higher, of 1 + loss (Keskar et al. "
            f"2017), in a ball of ρ = {how.ball:g} by {last.ball:.3g}."
        )
    if last.noise is not None:
        words.append(
            f"The gradient noise scale is {told(*last.noise)} samples: "
            "batches much larger than that make few steps better (McCandlish et al. 2018)."
        )
    return words


def told(value: float, error: float) -> str:
    """Return a value with its error, if it has one.

    Example:
        >>> told(3.36303, 0.0004), told(251.5, 123.0), told(18.371, 0.0)
        ('3.363 ± 0.0004', '251.5 ± 123', '18.37')
    """
    if not error:
        return f"{value:.4g}"
    return f"{value:.4g} ± {error:.3g}" if error >= 10 else f"{value:.4g} ± {error:.1g}"


def _row(bend: Bend) -> tuple[str, ...]:
    def pair(value: tuple[float, float] | None) -> str:
        return "" if value is None else told(*value)

    def one(value: float | None, unit: str = "") -> str:
        return "" if value is None or math.isnan(value) else f"{value:.4g}{unit}"

    return (
        bend.name, f"{bend.step:,}", one(bend.loss), pair(bend.smallest), pair(bend.trace),
        one(bend.box, " %"), one(bend.ball), pair(bend.noise), one(bend.limit),
    )  # fmt: skip


def _spectrum(bend: Bend) -> Any:
    """Return the picture of a density; None if all eigenvalues are equal."""
    assert bend.density is not None
    nodes = bend.density.nodes
    low, high = nodes.min().item(), nodes.max().item()
    if bend.eigenvalues is not None:
        high = max(high, bend.sharpness)
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        return None
    room = 0.05 * (high - low)
    x = torch.linspace(low - room, high + room, POINTS, dtype=torch.float64)
    top = [] if bend.eigenvalues is None else bend.eigenvalues.tolist()
    trace = None if bend.trace is None else bend.trace[0]
    return spectrum(x.numpy(), bend.density.smooth(x).numpy(), eigenvalues=tuple(top), trace=trace)


def _readings(bends: Sequence[Bend]) -> list[Readings]:
    """Return the sharpness by step of each run."""
    runs: dict[str, list[Bend]] = {}
    for bend in bends:
        runs.setdefault(bend.name.removesuffix(f"@{bend.step}"), []).append(bend)
    found = []
    for name, own in runs.items():
        own = sorted(own, key=lambda bend: bend.step)
        columns = [
            (bend.step, bend.sharpness, bend.limit, bend.residuals[0].item())
            for bend in own
            if bend.residuals is not None
        ]
        steps, sharpness, limit, residuals = np.array(columns, dtype=np.float64).T
        found.append(Readings(name, steps, sharpness, limit, residuals))
    return found
