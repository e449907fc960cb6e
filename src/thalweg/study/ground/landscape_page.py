"""A landscape drawn, and told on one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from thalweg.errors import SpecError, nearest
from thalweg.landscape import Surface, Trail
from thalweg.plots.contour import contour
from thalweg.plots.descent import descent
from thalweg.plots.plane import Mark, Plane, Way
from thalweg.plots.report.chapters import Chapter, Sheet, chapters_page
from thalweg.plots.report.words import listed
from thalweg.plots.sentences import off
from thalweg.plots.slices import Profile, slices
from thalweg.plots.surface import surface
from thalweg.plots.text import amount
from thalweg.study.ground.landscape import Landscape

NAMES = {
    "principal": "plane of most movement",
    "random": "random plane",
    "between": "between networks",
    "hessian": "plane of most curvature",
    "step": "step and gradient",
    "gradient": "line down the gradient",
    "own": "own directions",
}
"""What the kinds of directions are called."""


def landscape_figures(land: Landscape, metric: str = "loss") -> dict[str, Any]:
    """Return the pictures of what was measured so far, by name.

    Args:
        land: The landscape; of an unfinished one the finest picture that there is.
        metric: Which of the values.

    Returns:
        ``contour``, ``surface`` and, where there are ways, ``descent``; ``slice`` of a line.

    Raises:
        SpecError: There is no such metric, or no picture of so many directions.
        ModelError: Nothing was measured yet.
    """
    if metric not in land.surface.values:
        raise SpecError(
            f"metric={metric!r}", "one that was measured", nearest(metric, land.surface.values)
        )
    D = land.surface.directions.count
    if D > 2:
        raise SpecError(f"a picture of {D} directions", "one or two")
    seen = land.surface.picture()
    x, *more = (axis.numpy() for axis in seen.axes)
    if not more:
        profile = Profile(land.split, x, seen.values[metric].numpy(), seen.errors[metric].numpy())
        along = land.surface.directions.kind
        if not seen.whole:
            along += f" (measured at {seen.done.sum()} of {len(x)} nodes, elsewhere interpolated)"
        return {"slice": slices([profile], metric=metric, along=along, marks=_marks(land))}
    plane, ways, marks = plane_of(land, metric), ways_of(land, metric), _marks(land)
    found = {
        "contour": contour(plane, ways, marks=marks),
        "surface": surface(plane, ways, marks=marks),
    }
    return found | ({"descent": descent(plane, ways)} if ways else {})


def plane_of(land: Landscape, metric: str = "loss") -> Plane:
    """Return the plane of a landscape as pictures take it: the finest that can be drawn."""
    seen, own = land.surface.picture(), land.surface.directions
    x, y = (axis.numpy() for axis in seen.axes)
    return Plane(
        x, y, seen.values[metric].numpy(), metric, land.kind, own.explained, own.null,
        land.surface.statistics, land.surface.samples, seen.done.numpy(),
        land.surface.off(metric).numpy(),
    )  # fmt: skip


def landscape_page(
    land: Landscape, metric: str = "loss", commands: Sequence[tuple[str, str]] = ()
) -> str:
    """Return a page with all pictures of a landscape and what they show, which needs no network.

    Args:
        land: The landscape, finished or not.
        metric: What is drawn.
        commands: What can be done again or further, each with its command.

    Raises:
        SpecError: There is no such metric.
        ModelError: Nothing was measured yet.
    """
    figures = landscape_figures(land, metric)
    surface = land.surface
    facts = [
        ("nodes", " × ".join(map(str, surface.shape))),
        ("samples", f"{surface.samples:,} of {land.split}"),
        (f"{metric} at the reference", amount(metric, surface.reference[metric])),
    ]
    ranges = [
        (f"{'lowest' if at == 0 else 'highest'} {metric}", amount(metric, value))
        for at, value in enumerate(extremes(land, metric))
    ]
    titles = {
        "contour": f"{metric} from above",
        "surface": f"{metric} as a surface",
        "slice": f"{metric} along the line",
        "descent": "the ways as they went",
    }
    still = [(titles[name], figure) for name, figure in figures.items() if name != "descent"]
    moving = [(titles["descent"], figures["descent"])] if "descent" in figures else []
    chapters = [
        Chapter("What it shows", landscape_words(land, metric)),
        Chapter("The ground", figures=still),
        Chapter("The way down", figures=moving),
        Chapter("In numbers", tables=[sheet for sheet in landscape_sheets(land) if sheet.rows]),
    ]
    title = f"{listed(land.names)}: {NAMES[land.kind]}"
    return chapters_page(title, _state(surface), [*facts, *ranges], chapters, commands)


def _state(surface: Surface) -> str:
    """Return how far a surface has come."""
    done, of = int(surface.done.sum()), surface.done.numel()
    if surface.whole:
        return "Whole: every node was measured."
    if surface.complete:
        return f"Whole: {done:,} of {of:,} nodes were measured, which is what the picture needs."
    return (
        f"Unfinished: {done:,} of {of:,} nodes were measured; "
        "the picture is of the finest grid that is complete."
    )


def extremes(land: Landscape, metric: str = "loss") -> tuple[float, float]:
    """Return the least and the greatest finite value measured; not a number if there is none."""
    values = land.surface.values[metric][land.surface.done]
    finite = values[values.isfinite()]
    return (finite.min().item(), finite.max().item()) if len(finite) else (np.nan, np.nan)


def landscape_words(land: Landscape, metric: str = "loss") -> list[str]:
    """Return what a landscape shows, and what it does not, in sentences."""
    own, surface = land.surface.directions, land.surface
    words = list(_of_directions(land))
    words.append(
        f"The crossing of the axes is the reference, with a {metric} of "
        f"{amount(metric, surface.reference[metric])} on {surface.samples:,} samples of "
        f"{land.split}; every node sees the same samples."
    )
    away = surface.errors[metric][surface.done]
    if len(away[away.isfinite()]):
        most = away[away.isfinite()].max().item()
        words.append(
            "What their choice leaves unknown of a node's difference to the reference has a "
            f"standard error of at most {amount(metric, most)}."
        )
    if surface.complete and not surface.whole:
        checked = surface.off(metric).numpy()
        words.append(
            "Where the surface bends little, nodes were interpolated from those about them, with "
            f"cubic polynomials along each axis: {int((~surface.done).sum()):,} of "
            f"{surface.done.numel():,}, none of them meant to move a contour of the loss by more "
            f"than {100 * surface.tolerance:.3g} % of the step to the next{off(checked)}."
        )
    lost = int((surface.done & ~surface.values[metric].isfinite()).sum())
    if lost:
        words.append(f"At {lost:,} nodes the {metric} is not finite; they are left blank.")
    walked = [each for each in land.trails if len(each.steps) > 1]
    if walked:
        far = max(each.residuals.max().item() for each in walked)
        words.append(
            "Ways are drawn at their own heights, which are not those of the surface below: up to "
            f"{100 * far:.0f} % of a state's distance from the reference is not in the picture."
        )
    elif own.count:
        words.append(
            "No way is drawn, for no states were recorded: train with record_states=10, on the "
            "command line --record-states 10."
        )
    if surface.statistics != "frozen" or any(t.statistics != "frozen" for t in land.trails):
        how = {each.statistics for each in land.trails}
        words.append(
            f"BatchNorm's statistics are {surface.statistics} on the surface, and "
            f"{listed(sorted(how))} on the ways."
        )
    return words


def landscape_sheets(land: Landscape) -> tuple[Sheet, Sheet]:
    """Return the tables of a landscape: its directions, and its ways."""
    own = land.surface.directions
    columns: dict[str, list[str]] = {"direction": [str(d + 1) for d in range(own.count)]}
    if own.explained:
        columns["explained"] = [f"{100 * share:.1f} %" for share in own.explained]
    if own.null:
        columns["a random walk"] = [f"{100 * share:.1f} %" for share in own.null]
    if own.curvatures:
        columns["eigenvalue"] = [f"{value:.5g}" for value, _ in own.curvatures]
        columns["residual"] = [f"{residual:.1g}" for _, residual in own.curvatures]
    columns["from"], columns["to"] = (
        [f"{axis[end].item():.4g}" for axis in land.surface.axes] for end in (0, -1)
    )
    if land.kind not in {"principal", "hessian"}:  # those are orthonormal
        columns["length"] = [f"{length:.4g}" for length in own.lengths.tolist()]
        columns["cosine to the first"] = [f"{each:.3f}" for each in own.cosines[0].tolist()]
    cells = tuple(zip(*columns.values(), strict=True))
    directions = Sheet(f"Directions: {own.kind}", tuple(columns), cells)
    rows = tuple(_row(name, each) for name, each in zip(land.names, land.trails, strict=True))
    head = ("run", "states", "steps", "not seen", "loss at the end", "lowest loss")
    return directions, Sheet("Ways", head, rows)


def _row(name: str, way: Trail) -> tuple[str, ...]:
    loss = way.values["loss"]
    return (
        name,
        f"{len(way.steps):,}",
        f"{way.steps[0]:,} to {way.steps[-1]:,}" if len(way.steps) > 1 else f"{way.steps[0]:,}",
        f"{100 * way.residuals.max().item():.0f} % at most",
        amount("loss", loss[-1].item()),
        amount("loss", loss.min().item()),
    )


def _of_directions(land: Landscape) -> Iterator[str]:
    """Yield what the directions are, and what they can show."""
    own = land.surface.directions
    if land.kind == "principal":
        states = sum(map(len, own.chosen))
        said = f"The plane in which {states:,} recorded states lie farthest apart"
        if own.explained:
            said += f"; it holds {_percent(own.explained)} of their squared distances"
        if own.null:
            said += (
                f". Of a random walk of as many states it would hold {_percent(own.null)}: "
                "what is above that is what the way has of its own"
            )
        yield said + "."
    elif land.kind == "random":
        yield (
            "Two random directions from the network, each part as long as the weights that it "
            "moves, so that networks of other scales can be compared. Nothing here was chosen "
            "because it is steep or flat."
        )
    elif land.kind == "hessian":
        bends = listed([f"{value:.4g} ± {error:.1g}" for value, error in own.curvatures])
        yield (
            "The directions in which the loss bends most at the reference: eigenvectors of its "
            f"Hessian, with the eigenvalues {bends}. Coordinates are distances."
        )
    elif land.kind == "between":
        yield (
            f"The {own.kind}: {listed(land.names)}. All between them are mixtures of their weights."
        )
    elif land.kind == "step":
        cosine = own.cosines[0, 1].item()
        yield (
            "From the reference, the update that was made leads to (1, 0), and a step as long "
            "down the gradient to (0, 1). The cosine of the angle between them is "
            f"{cosine:.3f}."
        )
    elif land.kind == "gradient":
        yield (
            "The line down the gradient from the reference: a coordinate is the learning rate of "
            "one step of gradient descent."
        )


def _percent(shares: Sequence[float]) -> str:
    return " + ".join(f"{100 * share:.1f}" for share in shares) + " %"


def ways_of(land: Landscape, metric: str = "loss") -> list[Way]:
    """Return the ways of the runs whose states were recorded."""
    return [
        Way(
            name,
            each.coordinates[:, 0].numpy(),
            each.coordinates[:, 1].numpy(),
            each.values[metric].numpy(),
            np.array(each.steps, dtype=np.float64),
            each.residuals.numpy(),
        )
        for name, each in zip(land.names, land.trails, strict=True)
        if len(each.steps) > 1
    ]


def _marks(land: Landscape) -> list[Mark]:
    """Return the networks of which nothing but the end is known, and the ends on a line."""
    line = land.surface.directions.count == 1
    return [
        Mark(name, each.coordinates[-1, 0].item(), 0.0 if line else each.coordinates[-1, 1].item())
        for name, each in zip(land.names, land.trails, strict=True)
        if line or len(each.steps) == 1
    ]
