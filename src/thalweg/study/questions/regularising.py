"""How much regularisation, and of which kind: the rule of thumb, and what each buys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from thalweg.data import Data
from thalweg.engine import Group, short_keys
from thalweg.errors import SpecError
from thalweg.plots.against import Line, metric_against
from thalweg.plots.bands import band_curves
from thalweg.plots.gains import gains
from thalweg.plots.report.chapters import Chapter, Sheet
from thalweg.plots.report.words import listed
from thalweg.spec import Spec
from thalweg.study.intervals import LEVEL, Interval
from thalweg.study.questions.arms import Arm, arms, difference, points, share, sign
from thalweg.study.questions.question import Answer, Plan, Question, takes, titled
from thalweg.study.sweeps.sweeping import Sweep

AFTER = 3
"""Epochs after which the loss has a bound."""

PARTS = (0.01, 0.1, 1.0, 10.0)
"""What penalties are tried, as multiples of the rule's bound."""

DECAYS, DROPOUTS, DROPBLOCK, SMOOTHING = (0.1, 1.0), (0.2, 0.5), 0.2, 0.1
NONE, STOPPED = "none", "early stopping"
FAR = 0.2
"""Of the accuracy: what is so much worse than none is left out of the picture."""

VAL = 0.25
"""Validation samples, for early stopping, as a share of those that are trained on."""


def _plan(base: Spec, data: Data, seeds: Sequence[int]) -> Plan:
    """Train a few epochs without any, and return what is tried in place of none."""
    if data.task != "classification":
        raise SpecError(f"{data.name}, a regression", "classes")
    settled: dict[str, Any] = {}
    if data.val is None:
        settled["data.val"] = max(1, round(VAL * len(data.train)))
    pilot = base.override({**settled, "epochs": AFTER, "evaluate": ["train"], "until": None})
    k, half, absolute = _bound(pilot, seeds)
    facts = {"after": AFTER, "bound": k, "half": half, "absolute": absolute,
             "l2": k / half, "l1": k / absolute}  # fmt: skip
    keys = {"L2": ("l2", facts["l2"]), "L1": ("l1", facts["l1"])}
    settings: list[dict[str, Any]] = [{"name": NONE}]
    for title, (key, bound) in keys.items():
        settings += [{"name": _part(title, m), key: float(f"{m * bound:.3g}")} for m in PARTS]
    around = [*base.optimizer.wrap, "decay"]
    settings += [
        {"name": f"decoupled decay {each:g}", "wrap": around, "decoupled_decay": each}
        for each in DECAYS
    ]
    settings += [{"name": f"dropout {each:g}", "dropout": each} for each in DROPOUTS]
    if takes(base, "dropblock"):
        settings.append({"name": f"DropBlock {DROPBLOCK:g}", "dropblock": DROPBLOCK})
    smooth = {"loss": {"name": "label-smoothing", "smoothing": SMOOTHING}}
    settings.append({"name": f"label smoothing {SMOOTHING:g}", **smooth})
    if "norm" not in base.model.options:
        settings.append({"name": "batch norm", "norm": "batch"})
    return Plan([{**settled, **setting} for setting in settings], facts)


def _part(title: str, multiple: float) -> str:
    return f"{title}, {multiple:g} of the bound"


def _bound(pilot: Spec, seeds: Sequence[int]) -> tuple[float, float, float]:
    """Return k, and means of ½‖w‖² and of Σ|w| over the weights of two axes or more."""
    drawn = [
        {"seed": seed, "split_seed": pilot.data.split_seed + seed - seeds[0]} for seed in seeds
    ]
    group = Group([pilot.override(each, short_keys()) for each in drawn])
    for _ in group.events():
        pass
    members = group.progress.everyone
    if any(member.reason == "diverged" for member in members):
        raise SpecError("a network that diverges within its first epochs", "a smaller lr")
    weights = [[w for w in group.remains(member).values() if _is_weight(w)] for member in members]
    half = [sum(w.double().square().sum().item() for w in own) / 2 for own in weights]
    absolute = [sum(w.double().abs().sum().item() for w in own) for own in weights]
    k = max(member.last["train_loss"] for member in members)
    return k, sum(half) / len(half), sum(absolute) / len(absolute)


def _is_weight(tensor: Tensor) -> bool:
    return tensor.dim() >= 2


def _read(sweep: Sweep, facts: Mapping[str, Any]) -> Answer:
    """Read the answer: what each buys, whether the rule holds, and when overfitting begins."""
    found = arms(sweep.series)
    found[STOPPED] = _stopped(found[NONE])
    bought = _bought(found)
    chapters = [
        _gains(found, bought), _rule(found, bought, facts), _courses(found, bought),
        Chapter("All of it in numbers", tables=[_sheet(found, bought)]),
    ]  # fmt: skip
    return Answer(list(_words(found, bought, facts)), chapters)


def _stopped(arm: Arm) -> Arm:
    """Return what a network would be had it been kept where its validation loss was least."""
    results = {}
    for seed, result in arm.results.items():
        own = arm.courses[seed]
        rows = [k for k, loss in enumerate(own.get("val_loss", ())) if loss is not None]
        if result.diverged or not rows:
            results[seed] = result
            continue
        best = min(rows, key=lambda row: own["val_loss"][row])
        at = {name: own[name][best] for name in result.metrics}
        results[seed] = replace(
            result, metrics=at, steps=own["step"][best], epochs=own["epoch"][best]
        )
    return replace(arm, name=STOPPED, results=results)


def _bought(found: Mapping[str, Arm]) -> dict[str, Interval]:
    """Return what each buys in test accuracy against none, with intervals that hold all at once."""
    others = [name for name in found if name != NONE]
    level = 1 - (1 - LEVEL) / len(others)
    pairs = {n: difference(found[n], found[NONE], "test_accuracy", level) for n in others}
    return {name: each for name, each in pairs.items() if each is not None}


def _lost(found: Mapping[str, Arm], name: str, comparisons: int) -> Interval | None:
    """Return the difference of the test loss from none; None if another loss was trained on."""
    if name.startswith("label smoothing"):
        return None
    level = 1 - (1 - LEVEL) / comparisons
    return difference(found[name], found[NONE], "test_loss", level)


def _words(
    found: Mapping[str, Arm], bought: Mapping[str, Interval], facts: Mapping[str, Any]
) -> Iterator[str]:
    """Say what helps, what the rule says, and whether it holds."""
    none = found[NONE]
    helps = [name for name in bought if sign(bought[name]) > 0]
    hurts = [name for name in bought if sign(bought[name]) < 0]
    unsure = [name for name in bought if not sign(bought[name])]
    plain = f"Without any, test accuracy is {share(none.mean('test_accuracy'))}, with a gap of "
    plain += f"{points(none.mean('gap'))} points to the training samples."
    if helps:
        best = max(helps, key=lambda name: bought[name].mean)
        yield (
            f"The most is bought by {best}: {points(bought[best])} points of test accuracy. "
            + (f"Others help, too: {listed([n for n in helps if n != best])}." if helps[1:] else "")
        ).strip()
    else:
        yield "Nothing that was tried is better on the test set beyond doubt."
    yield plain
    if surer := [name for name in bought if sign(_lost(found, name, len(bought))) < 0]:
        yield f"The test loss is lower than without, beyond doubt, with {listed(surer)}."
    if hurts:
        yield f"In accuracy worse than none, beyond doubt: {listed(hurts)}."
    if unsure:
        yield f"In accuracy cannot tell from none: {listed(unsure)}."
    yield (
        f"The rule: after {facts['after']} epochs without penalties the training loss of all seeds "
        f"is below k = {facts['bound']:.3g}, and ½‖w‖² is {facts['half']:,.4g}, so that λ must be "
        f"less than k / ½‖w‖² = {facts['l2']:.2g}; for L1 less than k / Σ|w| = {facts['l1']:.2g}."
    )


def _gains(found: Mapping[str, Arm], bought: Mapping[str, Interval]) -> Chapter:
    ranked = sorted(bought, key=lambda name: -bought[name].mean)
    lost = [name for name in ranked if bought[name].mean < -FAR]
    ranked = [name for name in ranked if name not in lost]
    in_points = {
        name: Interval(100 * own.mean, 100 * own.half, own.n)
        for name in ranked
        for own in [bought[name]]
    }
    figure = gains(in_points, "points of test accuracy against none", "What does each buy?")
    caption = (
        f"Paired with none over the seeds. The intervals hold all at once with {LEVEL:.0%} "
        f"(Bonferroni, {len(bought)} comparisons): one that leaves out zero is beyond doubt."
    )
    if lost:
        caption += f" Left out, as it is worse by more than {100 * FAR:g} points: {listed(lost)}."
    height = f"{figure.layout.height / 16:.0f}rem"
    name = titled("bought", figure, caption)
    return Chapter("What does each buy?", figures=[("", name)], height=height)


def _rule(
    found: Mapping[str, Arm], bought: Mapping[str, Interval], facts: Mapping[str, Any]
) -> Chapter:
    """Return what penalties do below and above the bound of the rule."""
    lines, words = [], list[str]()
    none = found[NONE]
    for title in ("L2", "L1"):
        names = {m: _part(title, m) for m in PARTS}
        for split in ("test", "train"):
            own = [found[name].mean(f"{split}_accuracy") for name in names.values()]
            lost = [found[name].diverged for name in names.values()]
            lines.append(Line(f"{title}, {split}", list(names), own, lost))
        under = [
            f"{m:g}"
            for m, name in names.items()
            if sign(difference(found[name], none, "train_accuracy")) < 0
            and sign(bought.get(name)) < 0
        ]
        best = max(names, key=lambda m: bought[names[m]].mean if names[m] in bought else -1)
        at = f"{title}: the best mean on the test set is at {best:g} of the bound"
        words.append(
            f"{at}; it underfits (worse than none on both splits, beyond doubt) at "
            f"{listed(under)} of it."
            if under
            else f"{at}; at none of them it underfits beyond doubt."
        )
    words.append(
        "The bound keeps the penalty from outweighing the loss at one moment. It is a place to "
        "begin from, and no optimum."
    )
    figure = metric_against(
        lines, "λ, in multiples of the bound", "accuracy", "How large may it be?"
    )
    figure.add_vline(x=1, line={"dash": "dot", "width": 1})
    for split, dash in (("test", "dash"), ("train", "dot")):
        mean = none.mean(f"{split}_accuracy")
        if mean is not None:
            figure.add_hline(y=mean.mean, line={"dash": dash, "width": 1})
    caption = (
        "Means with 95 % intervals. Upright: the bound of the rule. Level: without penalties, on "
        "the test set (dashed) and on the training samples (dotted)."
    )
    return Chapter(
        "How large may a penalty be?",
        words,
        [("", titled("rule", figure, caption))],
        height="28rem",
    )


def _courses(found: Mapping[str, Arm], bought: Mapping[str, Interval]) -> Chapter:
    """Return curves of none and of the best of each kind."""
    kinds = ("L2", "L1", "decoupled", "dropout", "DropBlock", "batch")
    names = [NONE]
    for kind in kinds:
        if own := [name for name in bought if name.startswith(kind)]:
            names.append(max(own, key=lambda name: bought[name].mean))
    figures = []
    for split, title in (("test", "When does it begin to overfit?"), ("train", "What is fitted?")):
        metric = f"{split}_loss"
        figure = band_curves([found[name].band(metric) for name in names], metric, title)
        caption = "None, and the best of each kind; means with 95 % bands. Losses without penalties"
        figures.append((f"{split} loss", titled(metric, figure, f"{caption}.")))
    stopped = found[STOPPED].mean("epochs")
    words = []
    if stopped is not None:
        words.append(
            "Without any, the validation loss is least after "
            f"{stopped.mean:.3g} epochs on average"
            + (
                "; from there on it rises: early stopping."
                if stopped.mean < 0.9 * (found[NONE].mean("epochs") or stopped).mean
                else ", at the end or nearly: it has not begun to overfit, and to stop early "
                "has nothing to gain."
            )
        )
    return Chapter("When does it begin to overfit?", words, figures, height="28rem")


def _sheet(found: Mapping[str, Arm], bought: Mapping[str, Interval]) -> Sheet:
    verdicts = {1: "better", -1: "worse", 0: "cannot tell"}
    rows = []
    for name, arm in found.items():
        gain = bought.get(name)
        verdict = verdicts[sign(gain)] if gain is not None else ""
        loss = arm.mean("test_loss")
        rows.append(
            (name, share(arm.mean("train_accuracy")), share(arm.mean("test_accuracy")),
             points(arm.mean("gap")), "–" if loss is None else str(loss), points(gain), verdict)
        )  # fmt: skip
    head = ("", "train accuracy", "test accuracy", "gap, points", "test loss", "bought, points", "")
    caption = "Means with 95 % intervals; what is bought has intervals that hold all at once"
    return Sheet(caption, head, tuple(rows))


REGULARISE = Question(
    "regularise",
    "How much regularisation, and of which kind?",
    {
        "model": "mlp",
        "hidden": (256, 256),
        "optimizer": "adam",
        "lr": 1e-3,
        "batch_size": 50,
        "epochs": 50,
        "evaluate": ("train", "val", "test"),
        "evaluate_every": "2epochs",
    },
    1000,
    _plan,
    _read,
)
