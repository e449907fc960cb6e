"""How the ground bends under networks: eigenvalues, trace, density, sharpness, gradient noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Generator, Tensor

from thalweg.errors import FileError, SpecError, nearest
from thalweg.files import make_folder, write_atomically
from thalweg.landscape import (
    Density,
    Ground,
    Hessian,
    Objective,
    ball_sharpness,
    box_sharpness,
    density,
    eigenpairs,
    gradient_noise,
    trace,
)
from thalweg.landscape.bending import hessian
from thalweg.store import read_checkpoint, write_checkpoint
from thalweg.study.ground.walkers import Loss, One, Walker, ground_of, walkers

FILE = "curvature.safetensors"
"""What a folder holds of it."""

NOISE_BATCHES = 16
"""Batches that the gradient noise is told from."""


@dataclass(frozen=True)
class CurvatureOptions:
    """How curvature is measured.

    Args:
        k: How many of the largest eigenvalues.
        split: ``"train"``, ``"val"`` or ``"test"``.
        subset: How many of its samples; None takes all.
        tolerance: Residuals of the eigenvalues, relative to the largest one.
        products: Products with the Hessian that the trace may take; 0 leaves it out.
        probes: Random vectors of the density; 0 leaves it out.
        lanczos: Steps from each of them.
        box: ε of the box that sharpness is looked for in.
        ball: ρ of the ball.
        seed: Of the subset and of all that is drawn.
        what: What is measured, of `MEASURES`.
    """

    k: int = 5
    split: str = "train"
    subset: int | None = 1000
    tolerance: float = 1e-3
    products: int = 60
    probes: int = 4
    lanczos: int = 40
    box: float = 1e-3
    ball: float = 0.05
    seed: int = 0
    what: tuple[str, ...] = ("largest", "smallest", "trace", "density", "sharpness", "noise")


@dataclass(frozen=True, eq=False)
class Bend:
    """What was measured at one network; None for what was not, or not yet.

    Args:
        name: What it is called.
        step: Updates behind it.
        loss: Its loss.
        limit: 2 / lr of the last update: gradient descent on a quadratic that bends more is
            unstable. Not a number if there is none.
        eigenvalues: The largest ones, (k,), float64, the largest first.
        residuals: How far each may be from one, (k,).
        converged: Whether all residuals are within the tolerance.
        smallest: The smallest eigenvalue, and its residual.
        trace: The sum of all eigenvalues, and the standard error of that.
        density: All of them, roughly.
        box: The highest loss in a box about the parameters, in percent: see `box_sharpness`.
        ball: The rise of the loss in a ball about them: see `ball_sharpness`.
        noise: The gradient noise scale in samples, and its standard error.
    """

    name: str
    step: int
    loss: float
    limit: float = math.nan
    eigenvalues: Tensor | None = None
    residuals: Tensor | None = None
    converged: bool | None = None
    smallest: tuple[float, float] | None = None
    trace: tuple[float, float] | None = None
    density: Density | None = None
    box: float | None = None
    ball: float | None = None
    noise: tuple[float, float] | None = None

    @property
    def sharpness(self) -> float:
        """The largest eigenvalue; not a number before it was measured."""
        return math.nan if self.eigenvalues is None else self.eigenvalues[0].item()


@dataclass(frozen=True, eq=False)
class Curvature:
    """How the ground bends under networks, such as those along a run.

    Args:
        options: How it was measured.
        samples: On how many samples.
        bends: At each network, in the order given.
        parts: How many measurements there are to be, and how many there are.
    """

    options: CurvatureOptions
    samples: int
    bends: tuple[Bend, ...]
    parts: tuple[int, int]

    @property
    def whole(self) -> bool:
        """Whether all was measured."""
        return self.parts[1] == self.parts[0]

    def save(self, folder: str | Path) -> None:
        """Write ``curvature.safetensors``, whole or not at all.

        Raises:
            FileError: It cannot be written.
        """
        path = Path(folder)
        make_folder(path)
        arrays, told = dict[str, Tensor](), list[dict[str, Any]]()
        for number, bend in enumerate(self.bends):
            facts = {key: value for key, value in vars(bend).items() if _is_plain(value)}
            for key in ("eigenvalues", "residuals"):
                if (values := getattr(bend, key)) is not None:
                    arrays[f"{number}/{key}"] = values.clone()
            if bend.density is not None:
                arrays[f"{number}/nodes"] = bend.density.nodes.clone()
                arrays[f"{number}/weights"] = bend.density.weights.clone()
                facts["density"] = [bend.density.size, bend.density.products]
            told.append(facts)
        facts = {
            "what": "curvature",
            "options": asdict(self.options),
            "samples": self.samples,
            "parts": self.parts,
            "bends": told,
        }
        write_checkpoint(path / FILE, arrays, facts)

    def write_page(self, file: str | Path) -> None:
        """Write a page with the pictures and what they show, which needs no network.

        Args:
            file: Where to; its folder must exist.

        Raises:
            FileError: It cannot be written.
        """
        from thalweg.study.ground.curvature_page import curvature_page

        write_atomically(Path(file), curvature_page(self))


def load_curvature(folder: str | Path) -> Curvature:
    """Read what `Curvature.save` wrote.

    Raises:
        FileError: The file is missing, damaged, or holds something else.
    """
    file = Path(folder) / FILE
    found = read_checkpoint(file)
    if found.facts.get("what") != "curvature":
        raise FileError(f"{file}, which holds no curvature", "what save() wrote")
    bends = []
    for number, facts in enumerate(found.facts["bends"]):
        own: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()
        }
        for key in ("eigenvalues", "residuals"):
            own[key] = found.arrays.get(f"{number}/{key}")
        if "density" in own:
            nodes, weights = (found.arrays[f"{number}/{key}"] for key in ("nodes", "weights"))
            own["density"] = Density(nodes, weights, *own["density"])
        bends.append(Bend(**own))
    options = CurvatureOptions(**found.facts["options"])
    options = replace(options, what=tuple(options.what))
    whole, done = found.facts["parts"]
    return Curvature(options, found.facts["samples"], tuple(bends), (whole, done))


def measure_curvature(runs: One | Sequence[One], **options: Any) -> Curvature:
    """Measure how the ground bends under networks.

    Args:
        runs: One or several, such as the checkpoints of a run: see `draw_curvature`.
        **options: As of `draw_curvature`.

    Raises:
        ThalwegError: A run cannot be read, or the options do not fit.

    Example:
        >>> from thalweg.study import train
        >>> run = train("mlp", "digits", hidden=(8,), steps=20, out=False)
        >>> found = measure_curvature(run, k=2, subset=200, probes=2, products=12)
        >>> bend = found.bends[0]
        >>> len(bend.eigenvalues), bend.converged, bend.trace[0] > bend.sharpness > 0
        (2, True, True)
    """
    *_, found = draw_curvature(runs, **options)
    return found


def draw_curvature(
    runs: One | Sequence[One],
    *,
    data: Any = None,
    loss: Loss | None = None,
    out: str | Path | None = None,
    again: bool = False,
    **options: Any,
) -> Iterator[Curvature]:
    """Measure how the ground bends under networks, and yield what there is.

    The loss is the last run's own, without penalties, in evaluation mode; every network is measured
    on the same samples. Sources: see `thalweg.landscape.eigenpairs`, `trace`, `density`,
    `box_sharpness`, `ball_sharpness` and `gradient_noise`.

    Args:
        runs: One or several networks: a `Run`; a folder or name; that with a checkpoint,
            ``"first@120"`` or ``(folder, 120)``; all checkpoints or recorded states of a run,
            ``"first@all"`` or ``"first@states"``; any ``nn.Module``, with ``data`` and ``loss``.
            None of them is changed.
        data: What to measure on instead of the last run's own; anything that `load_data` takes.
        loss: What to measure instead of the last run's own.
        out: A folder to write to after every measurement; what an earlier call has left there of
            the same is gone on with.
        again: Begin anew, whatever is in the folder.
        **options: See `CurvatureOptions`.

    Raises:
        ThalwegError: A run cannot be read, or the options do not fit.
    """
    how = _options(options)
    found = walkers(runs)
    measures = _measures(how)

    def under(walker: Walker) -> Ground:  # one at a time: each has samples of its own
        return _ground(found, walker, how, data, loss)

    blank = tuple(_blank(each, under(each)) for each in found)
    whole = len(found) * len(measures)
    curvature = Curvature(how, len(under(found[0]).samples), blank, (whole, 0))
    if out is not None and (Path(out) / FILE).exists() and not again:
        curvature = _gone_on(curvature, load_curvature(out), Path(out) / FILE)
    yield curvature
    for number, walker in enumerate(found):
        left = measures[max(0, curvature.parts[1] - number * len(measures)) :]
        if not left:
            continue
        ground = under(walker)
        H = hessian(ground)
        for measure in left:
            seed = how.seed * len(MEASURES) + list(MEASURES.values()).index(measure)
            generator = Generator().manual_seed(seed)
            bends = list(curvature.bends)
            bends[number] = replace(bends[number], **measure(ground, H, how, generator))
            done = curvature.parts[1] + 1
            curvature = replace(curvature, bends=tuple(bends), parts=(whole, done))
            if out is not None:
                curvature.save(out)
            yield curvature


# ── what is measured ─────────────────────────────────────────────────────────────────────────────


def _largest(ground: Ground, H: Hessian, how: CurvatureOptions, g: Generator) -> dict[str, Any]:
    top = eigenpairs(H, how.k, generator=g, tolerance=how.tolerance)
    return {
        "eigenvalues": top.values.clone(),
        "residuals": top.residuals.clone(),
        "converged": top.converged,
    }


def _smallest(ground: Ground, H: Hessian, how: CurvatureOptions, g: Generator) -> dict[str, Any]:
    found = eigenpairs(H, 1, generator=g, tolerance=how.tolerance, which="smallest")
    return {"smallest": (found.values[0].item(), found.residuals[0].item())}


def _trace(ground: Ground, H: Hessian, how: CurvatureOptions, g: Generator) -> dict[str, Any]:
    found = trace(H, generator=g, products=how.products)
    return {"trace": (found.value, found.error)}


def _density(ground: Ground, H: Hessian, how: CurvatureOptions, g: Generator) -> dict[str, Any]:
    return {"density": density(H, generator=g, probes=how.probes, steps=how.lanczos)}


def _sharpness(ground: Ground, H: Hessian, how: CurvatureOptions, g: Generator) -> dict[str, Any]:
    box = box_sharpness(H.objective, how.box)
    ball = ball_sharpness(H.objective, how.ball, steps=5, generator=g)
    return {"box": box.value, "ball": ball.value}


def _noise(ground: Ground, H: Hessian, how: CurvatureOptions, g: Generator) -> dict[str, Any]:
    samples = ground.samples
    size = len(samples) // NOISE_BATCHES
    if not size:
        return {}
    x, y = (each[: size * NOISE_BATCHES].split(size) for each in (samples.x, samples.y))
    objective = Objective(ground.network, ground.loss, zip(x, y, strict=True))
    found = gradient_noise(objective)
    return {"noise": (found.simple, found.error)}


Measure = Callable[[Ground, Hessian, CurvatureOptions, Generator], dict[str, Any]]

MEASURES: dict[str, Measure] = {
    "largest": _largest,
    "smallest": _smallest,
    "trace": _trace,
    "density": _density,
    "sharpness": _sharpness,
    "noise": _noise,
}
"""What can be measured, in this order: see `Bend`."""


def _measures(how: CurvatureOptions) -> list[Measure]:
    """Return what is to be measured, in order."""
    wanted = set(how.what)
    wanted -= set() if how.products else {"trace"}
    wanted -= set() if how.probes else {"density"}
    return [measure for name, measure in MEASURES.items() if name in wanted]


# ── where ────────────────────────────────────────────────────────────────────────────────────────


def _options(given: Mapping[str, Any]) -> CurvatureOptions:
    """Return the options.

    Raises:
        SpecError: One does not exist, or does not fit.
    """
    known = CurvatureOptions.__dataclass_fields__
    for name in given:
        if name not in known:
            raise SpecError(f"{name}=…", f"one of {', '.join(known)}")
    how = CurvatureOptions(**given)
    how = replace(how, what=tuple(how.what))
    if how.k < 1:
        raise SpecError(f"k={how.k}", "one eigenvalue at least")
    if unknown := [name for name in how.what if name not in MEASURES]:
        expected = f"some of {', '.join(MEASURES)}"
        raise SpecError(f"what={unknown[0]!r}", expected, nearest(unknown[0], MEASURES))
    if not _measures(how):
        raise SpecError("nothing to measure", f"some of {', '.join(MEASURES)}")
    return how


def _ground(
    found: Sequence[Walker], walker: Walker, how: CurvatureOptions, data: Any, loss: Loss | None
) -> Ground:
    """Return the ground under a walker, on the last one's samples."""
    last = found[-1]
    own = replace(
        walker,
        data=walker.data if last.data is None else last.data,
        loss=walker.loss if last.loss is None else last.loss,
    )
    return ground_of([own], how.split, how.subset, seed=how.seed, data=data, loss=loss)


def _blank(walker: Walker, ground: Ground) -> Bend:
    loss = ground.reference().values()["loss"].item()
    return Bend(walker.name, walker.at, loss, 2 / walker.lr if walker.lr else math.inf)


def _gone_on(planned: Curvature, start: Curvature, file: Path) -> Curvature:
    """Return what was begun, if it is the same.

    Raises:
        SpecError: It is of other networks, or was measured otherwise.
    """

    def what(each: Curvature) -> str:
        bends = [(bend.name, bend.step, bend.loss) for bend in each.bends]
        return repr((each.options, each.samples, bends, each.parts[0]))

    if what(planned) != what(start):
        hint = "name another folder (out=, --out), or begin anew (again=True, --again)"
        raise SpecError(f"{file}, of other networks or options", "these to go on with", hint)
    return start


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | tuple)
