"""Does it memorise? What a network can fit, how long it takes, and what is left on new samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from thalweg.data import Data, load_data
from thalweg.errors import DataError, SpecError
from thalweg.plots.against import Line, metric_against
from thalweg.plots.bands import band_curves
from thalweg.plots.capacity import Drawn, capacity
from thalweg.plots.report.chapters import Chapter, Sheet
from thalweg.plots.report.words import listed
from thalweg.spec import Spec
from thalweg.study.intervals import Interval, mean_interval
from thalweg.study.questions.arms import (
    Arm,
    arms,
    difference,
    number,
    points,
    share,
    sign,
)
from thalweg.study.questions.cover import Tried, cover_share, rank, shorten, try_labels
from thalweg.study.questions.question import Answer, Plan, Question, titled
from thalweg.study.sweeps.sweeping import Sweep

TRUE, RANDOM, PERMUTED = "true labels", "random labels", "permuted labels"
ONE_ORDER, OWN_ORDER, GAUSSIAN = "pixels in one other order", "each shuffled", "Gaussian pixels"
FRACTIONS = (0.25, 0.5, 0.75)

CORRUPTIONS: dict[str, dict[str, Any]] = {
    TRUE: {},
    **{
        f"{round(100 * f)} % random labels": {"label_noise": f, "label_noise_kind": "random"}
        for f in FRACTIONS
    },
    RANDOM: {"label_noise": 1.0, "label_noise_kind": "random"},
    PERMUTED: {"label_noise": 1.0, "label_noise_kind": "permute"},
    ONE_ORDER: {"pixels": "permute"},
    OWN_ORDER: {"pixels": "permute-each"},
    GAUSSIAN: {"pixels": "gaussian"},
}
"""What is done to the training samples, by name."""

L2, DROPOUT = 1e-3, 0.5
MOST = 0.5
"""Share of random labels above which a network memorises although it has not fitted them all."""

REGULARISED = (TRUE, RANDOM)
LINEAR = (TRUE, RANDOM, GAUSSIAN)
FEATURES = 20
"""Directions in which Cover's count is tried: a linear program of few unknowns is quick."""


def _plan(base: Spec, data: Data, seeds: Sequence[int]) -> Plan:
    """Return the corruptions, some of them regularised, and the linear control."""
    if data.task != "classification":
        raise SpecError(f"{data.name}, a regression", "classes, whose labels can be random")
    settings = [{"name": name, **own} for name, own in CORRUPTIONS.items()]
    for title, own in REGULARISERS.items():
        settings += [
            {"name": f"{name}, {title}", **CORRUPTIONS[name], **own} for name in REGULARISED
        ]
    if base.model.name != "one-fc":
        settings += [
            {"name": f"{name}, linear", **CORRUPTIONS[name], "model": {"name": "one-fc"}}
            for name in LINEAR
        ]
    test = data.test or data.train
    counts = test.true_y.bincount(minlength=len(data.classes))
    facts: dict[str, Any] = {
        "samples": len(data.train),
        "classes": len(data.classes),
        "chance": int(counts.max()) / int(counts.sum()),
        "numbers": {TRUE: rank(data.train.x)},
        "tried": {},
    }
    gaussian = load_data(**_loading(base.override(CORRUPTIONS[GAUSSIAN])))
    facts["numbers"][GAUSSIAN] = rank(gaussian.train.x)
    for name, each in (("images", data), ("Gaussian noise", gaussian)):
        try:
            x = shorten(each.train.x, FEATURES)
        except DataError:  # points in the plane have no so many directions
            continue
        facts["tried"][name] = [[t.n, t.features, t.separable, t.draws] for t in try_labels(x)]
    return Plan(settings, facts)


def _loading(spec: Spec) -> dict[str, Any]:
    return {key: getattr(spec.data, key) for key in type(spec.data).model_fields}


REGULARISERS: dict[str, dict[str, Any]] = {
    "weight decay": {"l2": L2},
    "dropout": {"dropout": DROPOUT},
    "weight decay and dropout": {"l2": L2, "dropout": DROPOUT},
}
"""What might keep a network from memorising, by name."""


def _read(sweep: Sweep, facts: Mapping[str, Any]) -> Answer:
    """Read the answer: what was fitted, when, and what it is worth on the test samples."""
    found = arms(sweep.series)
    parts = [
        _course(found), _fractions(found, facts), _regularised(found), _pixels(found),
        _linear(found, facts),
    ]  # fmt: skip
    sheet = Chapter("All of it in numbers", tables=[_sheet(found)])
    return Answer(list(_words(found, facts)), [*(part for part in parts if part), sheet])


def _words(found: Mapping[str, Arm], facts: Mapping[str, Any]) -> Iterator[str]:
    """Say whether it memorises, how long that takes, and what comes of it."""
    true, noise, n = found[TRUE], found[RANDOM], facts["samples"]
    met, seeds = noise.reached(), len(noise.results)
    if len(met) == seeds:
        yield (
            f"Yes: with labels drawn at random it learns all {n:,} training samples by heart, for "
            f"each of {seeds} seeds, after {noise.when()} epochs."
        )
    elif met:
        yield (
            f"Yes, but not each time: {len(met)} of {seeds} seeds learn all {n:,} random labels by "
            f"heart within {noise.spec.epochs:g} epochs."
        )
    else:
        yield (
            f"Not within {noise.spec.epochs:g} epochs: of {n:,} random labels it gets "
            f"{share(noise.mean('train_accuracy'))} right."
        )
    test, guess = noise.mean("test_accuracy"), 1 / facts["classes"]
    if test is not None:
        at = "what guessing is worth" if test.low <= guess <= test.high else "not what guessing is"
        yield (
            f"What it has learned is worth {share(test)} on the test set, {at} "
            f"({100 * guess:.1f} %). With the true labels it is "
            f"{share(true.mean('test_accuracy'))}: the same network, rule and number of "
            "parameters, so these alone cannot say whether a network will generalise."
        )
    yield _longer(noise, true, "random labels", "true ones")


def _longer(a: Arm, b: Arm, mine: str, theirs: str) -> str:
    """Say which of two takes longer to be fitted, in pairs."""
    both = sorted(a.reached().keys() & b.reached().keys())
    if len(both) < len(a.results):
        return f"How much longer {mine} take than {theirs} is not known: not all seeds fit both."
    ratios = mean_interval([a.reached()[s] / b.reached()[s] for s in both])
    gap = difference(a, b, "epochs")
    if sign(gap) == 0:
        return f"Whether {mine} take longer to fit than {theirs}: cannot tell."
    return f"To fit {mine} takes {number(ratios)} times as many epochs as {theirs}."


def _course(found: Mapping[str, Arm]) -> Chapter:
    names = [TRUE, RANDOM, ONE_ORDER, OWN_ORDER, GAUSSIAN]
    bands = [found[name].band("running_loss") for name in names]
    figure = band_curves(bands, "running_loss", "What takes long to fit?")
    caption = (
        "Training loss on batches as they come; means over the seeds with 95 % bands, up to where "
        "the first seed has every training sample right."
    )
    rows = [(name, found[name].when(), found[name].when("steps")) for name in names]
    return Chapter(
        "What takes long to fit?",
        figures=[("", titled("course", figure, caption))],
        tables=[Sheet("Until no training error is left", ("", "epochs", "steps"), tuple(rows))],
        height="28rem",
    )


def _fractions(found: Mapping[str, Arm], facts: Mapping[str, Any]) -> Chapter:
    """Return what becomes of more and more random labels."""
    steps = [(0.0, TRUE), *zip(FRACTIONS, list(CORRUPTIONS)[1:], strict=False), (1.0, RANDOM)]
    x = [f for f, _ in steps]
    own = [found[name] for _, name in steps]
    fit: list[Interval | None] = [
        mean_interval(list(met.values())) if len(met) == len(each.results) else None
        for each in own
        for met in [each.reached()]
    ]
    axis = "share of random labels"
    time = metric_against(
        [Line("epochs", x, fit)], axis, "epochs", "How long do wrong labels take?"
    )
    high = max((each.mean for each in fit if each is not None), default=1.0)
    time.update_yaxes(title_text="epochs to no training error", range=[0, 1.2 * high])
    test = [e.mean("test_accuracy") for e in own]
    train = [e.mean("train_accuracy") for e in own]
    left = metric_against(
        [Line("test", x, test), Line("train", x, train)],
        axis,
        "accuracy",
        "What is left on the test set?",
    )
    chance = facts["chance"]
    left.add_hline(y=chance, line={"dash": "dot", "width": 1})
    left.update_yaxes(range=[0, 1.04])
    words = [
        "A drawn label may be right by chance: with all labels random a share of "
        f"{1 / facts['classes']:.0%} is."
    ]
    caption = "Means with 95 % intervals."
    figures = [("what is left", titled("worth", left, f"{caption} Dotted: the largest class."))]
    if sum(each is not None for each in fit) > 1:
        caption += " Left out: where not all seeds fit."
        figures.insert(0, ("how long it takes", titled("time", time, caption)))
    return Chapter("What do a few wrong labels do?", words, figures, height="24rem")


def _regularised(found: Mapping[str, Arm]) -> Chapter:
    """Return the table of Zhang et al.: what regularisers change, for true and random labels."""
    rows, words = [], list[str]()
    kept = list[str]()
    for labels in REGULARISED:
        for name, arm in found.items():
            if name == labels or (name.startswith(f"{labels}, ") and not name.endswith("linear")):
                title = name.removeprefix(labels).removeprefix(", ") or "none"
                gain = None if name == labels else difference(arm, found[labels], "test_accuracy")
                rows.append(
                    (labels, title, share(arm.mean("train_accuracy")),
                     share(arm.mean("test_accuracy")), points(gain), arm.when())
                )  # fmt: skip
                if labels == RANDOM and title != "none" and not arm.reached():
                    kept.append(title)
    others = [row[1] for row in rows if row[0] == RANDOM and row[1] not in {"none", *kept}]
    by_some = [name for name in others if not _by_all(found[f"{RANDOM}, {name}"])]
    if by_all := [name for name in others if name not in by_some]:
        words.append(f"Random labels are fitted in spite of {listed(by_all)}.")
    if by_some:
        words.append(f"With {listed(by_some)} not all seeds have them all right in time.")
    if not found[RANDOM].reached():
        words = ["Without any, random labels are not fitted in time either: cannot tell."]
    else:
        words += _held(kept, found)
    gains = {
        row[1]: sign(difference(found[f"{TRUE}, {row[1]}"], found[TRUE], "test_accuracy"))
        for row in rows
        if row[0] == TRUE and row[1] != "none"
    }
    for verdict, text in (
        (1, "are better with {}"), (-1, "are worse with {}"),
        (0, "with {} cannot be told from those without"),
    ):  # fmt: skip
        if own := [name for name, each in gains.items() if each == verdict]:
            words.append(f"On true labels, test results {text.format(listed(own))}.")
    head = ("labels", "regulariser", "train accuracy", "test accuracy", "bought", "epochs to fit")
    caption = "As Zhang et al. (2017), table 1. Bought: points of test accuracy, in pairs"
    return Chapter("Do regularisers prevent it?", words, tables=[Sheet(caption, head, tuple(rows))])


def _held(kept: Sequence[str], found: Mapping[str, Arm]) -> Iterator[str]:
    """Say of regularisers with which no seed fits random labels whether most are learned yet."""
    right = {name: found[f"{RANDOM}, {name}"].mean("train_accuracy") for name in kept}
    most = [name for name, own in right.items() if own is not None and own.mean > MOST]
    if most:
        each = listed([f"{name} ({share(right[name])})" for name in most])
        yield (
            f"With {each} no seed has them all right in time, but most: that is slower, or not to "
            "the end, but it is memorising."
        )
    if rest := [name for name in kept if name not in most]:
        yield (
            f"With {listed(rest)} no seed has them all right in time, nor most of them: this much "
            "of it keeps the network from memorising for so long."
        )


def _by_all(arm: Arm) -> bool:
    return len(arm.reached()) == len(arm.results)


def _pixels(found: Mapping[str, Arm]) -> Chapter:
    """Return what becomes of pixels that are elsewhere, or noise."""
    lost = difference(found[ONE_ORDER], found[TRUE], "test_accuracy")
    verdict = {
        0: "whether it is worse than with the images as they are: cannot tell",
        1: "it is better than with the images as they are",
        -1: "it is worse than with the images as they are: it makes use of where pixels are",
    }[sign(lost)]
    words = [
        f"With the pixels of all images in one other order {verdict} ({points(lost)} points).",
        "Pixels shuffled in each image by itself, and Gaussian noise, have nothing that a test "
        "image could have in common with them: both are fitted, if at all, one by one.",
    ]
    rows = tuple(
        (name, found[name].when(), share(found[name].mean("train_accuracy")),
         share(found[name].mean("test_accuracy")))
        for name in (TRUE, ONE_ORDER, OWN_ORDER, GAUSSIAN)
    )  # fmt: skip
    head = ("images", "epochs to fit", "train accuracy", "test accuracy")
    return Chapter("Are the images needed?", words, tables=[Sheet("True labels", head, rows)])


def _linear(found: Mapping[str, Arm], facts: Mapping[str, Any]) -> Chapter | None:
    """Return the control: a linear classifier, what counting says of it, and what was found."""
    tried = {name: [Tried(*each) for each in own] for name, own in facts["tried"].items()}
    n, classes = facts["samples"], facts["classes"]
    rows, words = [], list[str]()
    for name in LINEAR:
        arm = found.get(f"{name}, linear")
        if arm is not None:
            numbers = facts["numbers"][GAUSSIAN if name == GAUSSIAN else TRUE]
            rows.append(
                (name, f"{n:,}", f"{numbers:,}", _can(n, numbers, classes, drawn=name != TRUE),
                 share(arm.mean("train_accuracy")), f"{len(arm.reached())} of {len(arm.results)}",
                 share(arm.mean("test_accuracy")))
            )  # fmt: skip
    if not rows and not tried:
        return None
    numbers = facts["numbers"][TRUE]
    words.append(
        f"The {n:,} samples are linearly independent, with the threshold: whatever their labels, a "
        "linear classifier can fit them, though training may take long."
        if numbers >= n
        else f"A hyperplane has {numbers:,} numbers that count for these images. It tells any two "
        f"classes apart up to {numbers:,} samples; of labels in two classes drawn at random, half "
        f"can be told apart at {2 * numbers:,}, and nearly none soon after (Cover 1965). With "
        f"{classes} classes every two of them must be told apart: that fails for sure from about "
        f"{classes * numbers:,} samples on."
    )
    figures = []
    if tried:
        features = next(iter(tried.values()))[0].features
        loads = [k / 20 for k in range(8, 63)]
        line = [cover_share(round(load * (features + 1)), features) for load in loads]
        drawn = [
            Drawn(name, [t.n / (t.features + 1) for t in own], [t.share for t in own],
                  [t.ends for t in own])
            for name, own in tried.items()
        ]  # fmt: skip
        figure = capacity(loads, line, drawn, "When can a linear classifier fit?")
        caption = (
            f"Random labels in two classes on samples in the {features} directions in which they "
            "vary most; a linear program decides whether a hyperplane tells them apart. Points: "
            "shares with 95 % intervals. Curve: Cover's count, which knows nothing of the images."
        )
        figures.append(("", titled("capacity", figure, caption)))
        missed = sum(
            not low <= cover_share(t.n, t.features) <= high
            for own in tried.values()
            for t in own
            for low, high in [t.ends]
        )
        every = sum(map(len, tried.values()))
        words.append(
            f"The count is met: it lies within the interval at {every - missed} of {every} points, "
            "be they images or noise."
        )
    head = ("data", "samples", "numbers", "by counting", "train accuracy", "seeds that fit",
            "test accuracy")  # fmt: skip
    tables = [Sheet("The linear classifier, trained", head, tuple(rows))] if rows else []
    return Chapter("When can a linear classifier fit?", words, figures, tables, height="26rem")


def _can(n: int, numbers: int, classes: int, *, drawn: bool) -> str:
    """Say what counting says: whether a linear classifier fits n samples with random labels.

    Example:
        >>> [_can(n, 100, 10, drawn=True) for n in (80, 500, 2000)]
        ['it can', 'not known', 'it cannot']
    """
    if n <= numbers:
        return "it can"
    pair = cover_share(max(1, round(2 * n / classes)), numbers - 1)
    return "it cannot" if drawn and pair < 1e-3 else "not known"


def _sheet(found: Mapping[str, Arm]) -> Sheet:
    rows = tuple(
        (name, share(arm.mean("train_accuracy")), share(arm.mean("test_accuracy")),
         points(arm.mean("gap")), arm.when(), f"{len(arm.reached())} of {len(arm.results)}")
        for name, arm in found.items()
    )  # fmt: skip
    head = ("", "train accuracy", "test accuracy", "gap, points", "epochs to fit", "seeds that fit")
    return Sheet("Means over the seeds with 95 % intervals", head, rows)


MEMORISE = Question(
    "memorise",
    "Does it memorise?",
    {
        "model": "mlp",
        "hidden": (512,),
        "optimizer": "adam",
        "lr": 1e-3,
        "batch_size": 64,
        "epochs": 100,
        "until": "train_accuracy>=1.0",
        "evaluate": ("train",),
        "evaluate_last": "all",
    },
    2000,
    _plan,
    _read,
)
