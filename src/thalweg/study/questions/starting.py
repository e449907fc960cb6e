"""Which initial weights let a network learn, and whether one can tell at the start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, log10
from typing import Any

import torch
from torch import Generator, Tensor, nn

from thalweg import nn as networks
from thalweg.data import Data
from thalweg.engine import short_keys
from thalweg.errors import SpecError
from thalweg.plots.depths import Place, by_layer, start_and_end
from thalweg.plots.heat import Cell, heat_map
from thalweg.plots.report.chapters import Chapter, Sheet
from thalweg.plots.report.words import listed
from thalweg.spec import Spec
from thalweg.study.questions.arms import Arm, arms, difference, share, sign
from thalweg.study.questions.question import Answer, Plan, Question, takes, titled
from thalweg.study.sweeps.sweeping import Sweep

INITS = ("he-normal", "glorot-normal", "orthogonal", "lecun-normal", "constant(0.01)", "normal(1)")
ACTIVATIONS, DEPTHS = ("relu", "tanh", "sigmoid"), (2, 6, 20)
LOOKED, SAMPLES, LEAST = 3, 256, 1e-100
"""Seeds and samples that the start is measured with; less than the least is nothing."""

SOUND, BROKEN = 1.0, 3.0
"""Decades that a signal or a gradient may change on its way: sound, and broken."""


def _plan(base: Spec, data: Data, seeds: Sequence[int]) -> Plan:
    """Return every init, activation and depth; measure what each does to signals and gradients."""
    if not (takes(base, "hidden") and takes(base, "activation")):
        raise SpecError(f"model={base.model.name}", "a multilayer perceptron", "mlp")
    if data.task != "classification":
        raise SpecError(f"{data.name}, a regression", "classes")
    width = [*base.model.options.get("hidden", (64,)), 64][0]
    settings = [
        {"name": f"{activation}, {depth}, {init}", "hidden": [width] * depth,
         "activation": activation, "init": init}
        for activation in ACTIVATIONS for depth in DEPTHS for init in INITS
    ]  # fmt: skip
    start, homes = dict[str, Any](), short_keys()
    for setting in settings:
        changes = {key: value for key, value in setting.items() if key != "name"}
        spec = base.override(changes, homes)
        start[str(setting["name"])] = _start(spec, data, seeds[:LOOKED])
    test = data.test or data.train
    counts = test.true_y.bincount()
    chance = int(counts.max()) / int(counts.sum())
    return Plan(settings, {"start": start, "chance": chance, "width": width})


def _start(spec: Spec, data: Data, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Return sizes, differences between samples and gradients, layer by layer.

    Of what enters the activations, as geometric means over the seeds.
    """
    found: dict[str, list[Tensor]] = {"size": [], "difference": [], "gradient": []}
    loss = networks.build_loss(networks.DEFAULT_LOSS[data.task])
    x, y = data.train.x[:SAMPLES].double(), data.train.y[:SAMPLES]
    for seed in seeds:
        network = networks.build(
            spec.model.name, input_shape=data.input_shape, out_features=data.out_features,
            generator=Generator().manual_seed(seed), init=spec.model.init, **spec.model.options,
        ).double()  # fmt: skip
        seen = list[Tensor]()

        def keep(module: nn.Module, inputs: Any, output: Tensor, seen: list[Tensor] = seen) -> None:
            output.retain_grad()
            seen.append(output)

        hooks = [
            module.register_forward_hook(keep)
            for module in network.modules()
            if isinstance(module, nn.Linear)
        ]
        with torch.enable_grad():
            loss(network(x), y).backward()
        for hook in hooks:
            hook.remove()
        hidden = seen[:-1]
        grads = [z.grad if z.grad is not None else torch.zeros_like(z) for z in hidden]
        found["size"].append(torch.stack([z.detach().square().mean().sqrt() for z in hidden]))
        found["difference"].append(torch.stack([z.detach().var(0).mean().sqrt() for z in hidden]))
        found["gradient"].append(torch.stack([len(x) * g.square().mean().sqrt() for g in grads]))
    most = 1 / LEAST
    return {
        name: means.exp().tolist()
        for name, own in found.items()
        for means in [torch.stack(own).nan_to_num(most, most).clamp(LEAST, most).log().mean(0)]
    }


def decades(own: Sequence[float]) -> float:
    """Return by how many powers of ten the last layer differs from the first.

    Example:
        >>> decades([1.0, 0.1, 0.01])
        -2.0
    """
    return log10(own[-1]) - log10(own[0])


def distortion(start: Mapping[str, Sequence[float]]) -> float:
    """Return by how many decades signal or gradient change on their way, whichever is more.

    Example:
        >>> distortion({"difference": [1.0, 0.1], "gradient": [0.001, 1.0]})
        3.0
    """
    return max(abs(decades(start["difference"])), abs(decades(start["gradient"])))


def _read(sweep: Sweep, facts: Mapping[str, Any]) -> Answer:
    """Read the answer: which init for which network, and what the start says of it."""
    found = arms(sweep.series)
    chapters = [_map(found), _which(found), _scatter(found, facts), _layers(facts), _growth(facts)]
    return Answer(list(_words(found, facts)), chapters)


def _arm(found: Mapping[str, Arm], activation: str, depth: int, init: str) -> Arm:
    return found[f"{activation}, {depth}, {init}"]


def _learns(arm: Arm, chance: float) -> bool:
    """Tell whether a network is better than the largest class, beyond doubt."""
    mean = arm.mean("test_accuracy")
    return mean is not None and isfinite(mean.low) and mean.low > chance


def _best(found: Mapping[str, Arm], activation: str, depth: int) -> tuple[str, list[str]]:
    """Return the init with the best mean, and those that cannot be told from it."""
    own = {init: _arm(found, activation, depth, init) for init in INITS}
    means = {init: mean.mean for init, a in own.items() if (mean := a.mean("test_accuracy"))}
    best = max(means, key=lambda init: means[init])
    near = [
        init
        for init in means
        if init != best and not sign(difference(own[best], own[init], "test_accuracy"))
    ]
    return best, near


def _words(found: Mapping[str, Arm], facts: Mapping[str, Any]) -> Iterator[str]:
    """Say what each activation needs, and how far the start tells it."""
    deep, chance = DEPTHS[-1], facts["chance"]
    for activation in ACTIVATIONS:
        learns = [i for i in INITS if _learns(_arm(found, activation, deep, i), chance)]
        best, near = _best(found, activation, deep)
        mean = share(_arm(found, activation, deep, best).mean("test_accuracy"))
        if not learns:
            depths = [
                d for d in DEPTHS
                if any(_learns(_arm(found, activation, d, i), chance) for i in INITS)
            ]  # fmt: skip
            upto = f"; the deepest that does has {depths[-1]}" if depths else ""
            yield f"With {activation} and {deep} hidden layers none is better than chance{upto}."
        else:
            tie = f"; cannot be told from it: {listed(near)}" if near else ", beyond doubt"
            yield f"With {activation} and {deep} hidden layers the best is {best}, {mean}{tie}."
    bend = {name: distortion(own) for name, own in facts["start"].items()}
    learns_of = {name: _learns(arm, chance) for name, arm in found.items()}
    equal = [name for name in bend if "constant" in name]
    sound = [name for name, d in bend.items() if d <= SOUND and name not in equal]
    broken = [name for name, d in bend.items() if d >= BROKEN and name not in equal]
    yield (
        f"It can be told at the start: where signals and gradients change by less than a factor of "
        f"{10**SOUND:g} from the first hidden layer to the last, {_of(sound, learns_of)} networks "
        f"learn; where one changes by {10**BROKEN:,.0f} and more, {_of(broken, learns_of)}. "
        f"Equal weights are the exception, {_of(equal, learns_of)}: they pass signals on, but each "
        "layer is one unit."
    )
    accuracy = [_level(found[name]) for name in bend if name not in equal]
    from scipy.stats import spearmanr

    rho, p = spearmanr([bend[name] for name in bend if name not in equal], accuracy)
    if isfinite(rho):
        yield (
            f"Rank correlation of that change with the test accuracy: {rho:.2f} (p "
            f"{'< 0.001' if p < 1e-3 else f'= {p:.2g}'}, {len(accuracy)} networks without equal "
            "weights)."
        )


def _level(arm: Arm) -> float:
    mean = arm.mean("test_accuracy")
    return 0.0 if mean is None else mean.mean


def _of(names: Sequence[str], learns: Mapping[str, bool]) -> str:
    return f"{sum(learns[name] for name in names)} of {len(names)}"


def _map(found: Mapping[str, Arm]) -> Chapter:
    cells = [
        Cell(f"{a}, {d}", i, arm.mean("test_accuracy"), arm.diverged)
        for a in ACTIVATIONS for d in DEPTHS for i in INITS
        for arm in [_arm(found, a, d, i)]
    ]  # fmt: skip
    title = "Which of them begin to learn?"
    figure = heat_map(cells, ("activation, depth", "init"), "test_accuracy", title)
    caption = "Test accuracy in percent, means over the seeds; orange with ×: all diverged."
    height = f"{figure.layout.height / 16:.0f}rem"
    return Chapter(title, figures=[("", titled("learn", figure, caption))], height=height)


def _which(found: Mapping[str, Arm]) -> Chapter:
    rows = []
    for activation in ACTIVATIONS:
        for depth in DEPTHS:
            best, near = _best(found, activation, depth)
            mean = share(_arm(found, activation, depth, best).mean("test_accuracy"))
            rows.append((f"{activation}, {depth}", best, mean, ", ".join(near) or "none"))
    head = ("activation, hidden layers", "best mean", "test accuracy", "cannot be told from it")
    caption = "Compared in pairs, seed by seed"
    return Chapter("Which init for which network?", tables=[Sheet(caption, head, tuple(rows))])


def _scatter(found: Mapping[str, Arm], facts: Mapping[str, Any]) -> Chapter:
    """Return what each network learns against how it distorts at the start."""
    places = [
        Place(
            f"{a}, {d}, {i}", a if "constant" not in i else "equal weights",
            distortion(facts["start"][f"{a}, {d}, {i}"]), arm.mean("test_accuracy"),
        )
        for a in ACTIVATIONS for d in DEPTHS for i in INITS
        for arm in [_arm(found, a, d, i)]
        if arm.mean("test_accuracy") is not None
    ]  # fmt: skip
    title = "Can one tell at the start?"
    figure = start_and_end(places, facts["chance"], title)
    caption = (
        "A point is a network. To the right: how many decades the difference between samples, or "
        "the gradient, changes from the first hidden layer to the last before anything is trained. "
        "Dotted: the largest class."
    )
    return Chapter(title, figures=[("", titled("tell", figure, caption))], height="28rem")


def _layers(facts: Mapping[str, Any]) -> Chapter:
    """Return signals and gradients by layer, in the deepest networks."""
    deep, figures = DEPTHS[-1], []
    for what, title in (("difference", "what tells samples apart"), ("gradient", "the gradient")):
        for activation in ACTIVATIONS:
            lines = {i: facts["start"][f"{activation}, {deep}, {i}"][what] for i in INITS}
            heading = f"{activation}: {title}"
            figure = by_layer(lines, title, heading)
            caption = (
                "Standard deviation between samples of what enters the activation, before training."
                if what == "difference"
                else "Root mean square of the gradient there, before training."
            )
            figures.append((heading, titled(f"{what}-{activation}", figure, caption)))
    return Chapter("What happens on the way?", figures=figures, height="22rem")


def _growth(facts: Mapping[str, Any]) -> Chapter:
    """Return growth by layer, and for ReLU what He et al. say it should be."""
    width, deep, rows = facts["width"], DEPTHS[-1], []
    expected = {"he-normal": 1.0, "glorot-normal": 0.5, "orthogonal": 0.5, "lecun-normal": 0.5,
                "normal(1)": width / 2}  # fmt: skip
    for activation in ACTIVATIONS:
        for init in INITS:
            own = facts["start"][f"{activation}, {deep}, {init}"]
            per = {key: 10 ** (2 * decades(own[key]) / (deep - 1)) for key in own}
            known = expected.get(init) if activation == "relu" else None
            rows.append(
                (f"{activation}, {init}", f"{per['size']:.3g}",
                 "" if known is None else f"{known:g}",
                 f"{per['difference']:.3g}", f"{1 / per['gradient']:.3g}")
            )  # fmt: skip
    head = ("", "square", "by theory", "variance between samples", "gradient's square, going back")
    words = [
        "He et al. (2015): a layer of n ReLU units multiplies the mean square of what enters it by "
        "½ n Var w, which He's init makes 1. Between samples the variance falls all the same: ReLU "
        "makes them alike."
    ]
    caption = f"Growth a layer, {deep} hidden layers of {width}, before training"
    return Chapter("Does theory say so?", words, tables=[Sheet(caption, head, tuple(rows))])


INIT = Question(
    "init",
    "Which initial weights let a network learn?",
    {
        "model": "mlp",
        "hidden": (64,),
        "optimizer": "sgd",
        "lr": 0.05,
        "batch_size": 100,
        "steps": 200,
        "evaluate": ("test",),
        "evaluate_last": "chosen",
        "evaluate_every": "1000steps",
    },
    5000,
    _plan,
    _read,
)
