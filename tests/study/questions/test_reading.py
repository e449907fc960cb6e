"""What the answers say of results that are made up, so that it is known what they must say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import pytest

from thalweg.data import load_data
from thalweg.spec import Spec
from thalweg.study.questions.arms import Arm, difference, sign
from thalweg.study.questions.batching import _noise as noise_chapter
from thalweg.study.questions.batching import _quality as quality_chapter
from thalweg.study.questions.batching import _words as batch_words
from thalweg.study.questions.batching import best_by_size
from thalweg.study.questions.critical import critical_sizes, fit_critical, geometric
from thalweg.study.questions.memorising import CORRUPTIONS, MEMORISE, RANDOM, TRUE
from thalweg.study.questions.memorising import _can as can
from thalweg.study.questions.memorising import _fractions as fractions
from thalweg.study.questions.memorising import _linear as linear
from thalweg.study.questions.memorising import _regularised as regularised
from thalweg.study.questions.memorising import _words as memorise_words
from thalweg.study.questions.regularising import NONE, REGULARISE, _bought, _gains, _stopped
from thalweg.study.questions.regularising import _words as regularise_words
from thalweg.study.questions.starting import _learns as learns
from thalweg.study.sweeps.series import Result

FACTS: dict[str, Any] = {
    "samples": 100, "classes": 10, "chance": 0.12,
    "numbers": {TRUE: 30, "Gaussian pixels": 65}, "tried": {},
}  # fmt: skip


def arm(
    name: str, test: Sequence[float], *, epochs: Sequence[float] = (), reason: Any = "until",
    train: Sequence[float] = (), spec: Spec | None = None, courses: Any = None,
    loss: Sequence[float] = (),
) -> Arm:  # fmt: skip
    """An arm with such accuracies, seed by seed."""
    reasons = [reason] * len(test) if isinstance(reason, str) else reason
    results = {
        seed: Result(
            seed, reasons[seed],
            {"test_accuracy": value, "train_accuracy": train[seed] if train else 1.0}
            | ({"test_loss": loss[seed]} if loss else {}),
            round(10 * (epochs[seed] if epochs else 5)), epochs[seed] if epochs else 5.0, 50, 2.0,
        )
        for seed, value in enumerate(test)
    }  # fmt: skip
    return Arm(name, spec or Spec(epochs=50), results, courses or {})


def memorised(**changed: Arm) -> dict[str, Arm]:
    found = {name: arm(name, [0.9, 0.91, 0.92], epochs=[5, 6, 7]) for name in CORRUPTIONS}
    found[RANDOM] = arm(RANDOM, [0.09, 0.1, 0.11], epochs=[20, 24, 28])
    return found | {name.replace("_", " "): each for name, each in changed.items()}


def test_it_memorises_when_every_seed_does() -> None:
    first, second, third = memorise_words(memorised(), FACTS)
    assert first.startswith("Yes: with labels drawn at random it learns all 100 training samples")
    assert "worth 10.00 ± 2.48 % on the test set, what guessing is worth (10.0 %)" in second
    assert third == "To fit random labels takes 4 ± 0 times as many epochs as true ones."


def test_it_memorises_not_each_time_or_not_at_all() -> None:
    some = arm(RANDOM, [0.2, 0.21, 0.22], reason=["until", "complete", "complete"])
    words = list(memorise_words(memorised(random_labels=some), FACTS))
    assert words[0].startswith("Yes, but not each time: 1 of 3 seeds")
    assert "not what guessing is" in words[1]
    assert words[2].startswith("How much longer random labels take than true ones is not known")
    none = arm(RANDOM, [0.1] * 3, reason="complete", train=[0.5] * 3)
    words = list(memorise_words(memorised(random_labels=none), FACTS))
    assert words[0] == (
        "Not within 50 epochs: of 100 random labels it gets 50.00 ± 0.00 % right."
    )  # fmt: skip
    lost = arm(RANDOM, [0.1] * 3, reason="diverged")
    assert len(list(memorise_words(memorised(random_labels=lost), FACTS))) == 2


def test_equal_times_cannot_be_told_apart() -> None:
    same = arm(RANDOM, [0.1] * 3, epochs=[5, 6, 7])
    *_, last = memorise_words(memorised(random_labels=same), FACTS)
    assert last.endswith("cannot tell.")


def test_what_prevents_memorising_is_said_only_where_it_would_happen() -> None:
    held = arm("", [0.1] * 3, reason="complete", train=[0.6] * 3)
    found = memorised()
    found |= {f"{TRUE}, dropout": found[TRUE], f"{RANDOM}, dropout": held}
    most = "With dropout (60.00 ± 0.00 %) no seed has them all right in time, but most"
    assert regularised(found).words[0].startswith(most)
    less = arm("", [0.1] * 3, reason="complete", train=[0.3] * 3)
    few = regularised(found | {f"{RANDOM}, dropout": less}).words[0]
    assert few.startswith("With dropout no seed has them all right in time, nor most of them")
    found |= {
        f"{TRUE}, weight decay": arm("", [0.8, 0.81, 0.82]),
        f"{RANDOM}, weight decay": found[RANDOM],
    }
    words = regularised(found).words
    assert words[0] == "Random labels are fitted in spite of weight decay."
    assert "On true labels, test results are worse with weight decay." in words
    some = arm("", [0.1] * 3, reason=["until", "complete", "until"])
    found |= {f"{TRUE}, both": found[TRUE], f"{RANDOM}, both": some}
    assert "With both not all seeds have them all right in time." in regularised(found).words
    found[RANDOM] = held
    assert regularised(found).words[0].endswith("not fitted in time either: cannot tell.")


def test_what_is_compared_depends_on_data_and_model() -> None:
    flat = MEMORISE.plan(Spec(data={"source": "circle"}), load_data("circle"), [0])
    assert flat.facts["tried"] == {}  # the plane has no twenty directions
    own = Spec(model={"name": "one-fc"})
    names = [each["name"] for each in MEMORISE.plan(own, load_data("digits"), [0]).settings]
    assert not any(name.endswith("linear") for name in names)
    small = {"val": 100, "subset": 60}
    base = Spec(model={"name": "mlp", "hidden": (4,), "norm": "batch"}, data=small)
    settings = REGULARISE.plan(base, load_data("digits", **small), [0]).settings
    assert "batch norm" not in [each["name"] for each in settings]
    assert not any("data.val" in each for each in settings)


def test_a_single_time_makes_no_picture() -> None:
    found = {name: arm(name, [0.5] * 3, reason="complete") for name in CORRUPTIONS}
    found[TRUE] = memorised()[TRUE]
    assert [figure.layout.meta["name"] for _, figure in fractions(found, FACTS).figures] == [
        "worth"
    ]
    assert len(fractions(memorised(), FACTS).figures) == 2


def test_without_a_control_there_is_no_chapter_of_it() -> None:
    assert linear(memorised(), FACTS) is None
    tried = {"images": [[10, 4, 5, 40], [40, 4, 0, 40]]}
    chapter = linear(memorised(), FACTS | {"tried": tried})
    assert chapter is not None
    assert not chapter.tables
    assert chapter.words[0].startswith("A hyperplane has 30 numbers")
    many = linear(memorised(), FACTS | {"tried": tried, "samples": 30})
    assert many is not None
    assert many.words[0].startswith("The 30 samples are linearly independent")
    assert "at 1 of 2 points" in chapter.words[1]


def test_counting_for_true_labels_forbids_nothing() -> None:
    assert can(2000, 100, 10, drawn=False) == "not known"


def by_size(steps: Mapping[int, Sequence[float]], **options: Any) -> dict[str, Arm]:
    return {
        f"batch {size}": arm(
            "", [0.9] * len(own), epochs=[each / 10 for each in own],
            spec=Spec(batch_size=size, optimizer={"lr": 0.1}), **options,
        )
        for size, own in steps.items()
    }  # fmt: skip


def test_the_critical_size_comes_from_the_law() -> None:
    sizes = [8, 32, 128, 512]
    steps = {size: [50 * (1 + 200 / size), 40 * (1 + 300 / size)] for size in sizes}
    found = critical_sizes(best_by_size(by_size(steps)))
    assert found[0] == pytest.approx((50, 200), rel=0.05)
    assert found[1] == pytest.approx((40, 300), rel=0.05)
    assert critical_sizes(best_by_size(by_size({8: [9.0], 32: [8.0]}))) == {}
    least, most = fit_critical(sizes, [100.0] * 4)  # larger batches save nothing
    assert least == pytest.approx(100, rel=0.1)
    assert most < 1


def test_of_two_rates_the_quicker_counts_and_of_lost_ones_none() -> None:
    found = by_size({8: [90.0, 90.0]})
    found["slow"] = by_size({8: [95.0, 95.0]})["batch 8"]
    found["half"] = by_size({32: [5.0, 5.0]}, reason=["until", "complete"])["batch 32"]
    best = best_by_size(found)
    assert list(best) == [8]
    assert best[8] is found["batch 8"]


def test_batches_in_words() -> None:
    facts = {"target": "train_accuracy>=0.9"}
    (only,) = batch_words({}, {}, {}, facts)
    assert only.startswith("No batch size meets train_accuracy>=0.9 with all seeds")
    steps = {size: [50 * (1 + 200 / size), 52 * (1 + 220 / size)] for size in (8, 32, 128)}
    best = best_by_size(by_size(steps))
    fits = critical_sizes(best)
    for end, verdict in ((210.0, "within that interval"), (9e9, "size lies between")):
        noise = {0: [(0, 10.0, 1.0), (9, end, 1.0)]}
        *_, scale, quality = batch_words(best, fits, noise, facts)
        assert verdict in scale
        assert "cannot tell" in quality
    *_, scale, _ = batch_words(best, fits, {0: [(0, 1e9, 1.0), (9, 9e9, 1.0)]}, facts)
    assert "not in that interval, but off by a factor of" in scale
    assert len(list(batch_words(best, fits, {0: [(0, inf, inf)]}, facts))) == 3
    alone = best_by_size(by_size({8: [9.0, 8.0]}))
    assert len(list(batch_words(alone, {}, {}, facts))) == 1


def test_small_batches_may_be_better_beyond_doubt() -> None:
    found = by_size({8: [90.0, 91.0], 32: [50.0, 51.0]})
    good = by_size({8: [90.0, 91.0]})["batch 8"]
    results = {
        seed: Result(0, "until", {"test_accuracy": 0.95}, each.steps, each.epochs, 1, 3.0)
        for seed, each in good.results.items()
    }
    found["batch 8"] = Arm("", good.spec, results, {})
    first, quality = batch_words(best_by_size(found), {}, {}, {"target": "x"})
    assert "batches of 32; 8 takes 1.5 times (1.5 to 1.5) as long." in first
    assert "with batches of 8 is better than with 32 (+5.00 ± 0.00 points)" in quality


def test_without_accuracy_there_is_no_picture_of_it() -> None:
    bare = {"a": Arm("a", Spec(), {0: Result(0, "until", {}, 1, 1.0, 1, 1.0)}, {})}
    assert quality_chapter(bare, {}, {}) is None


def test_noise_that_is_not_told_from_nothing_makes_no_picture() -> None:
    assert noise_chapter({0: [(0, inf, inf)]}, {}) is None
    assert noise_chapter({0: [(0, 5.0, 1.0)]}, {}) is not None


def test_one_value_has_no_interval() -> None:
    assert geometric([4.0]) == pytest.approx((4.0, 0.0, inf))


def test_early_stopping_keeps_the_best_evaluation() -> None:
    course = {
        "epoch": [1.0, 2.0, 3.0], "step": [10, 20, 30], "val_loss": [0.9, 0.5, 0.7],
        "test_accuracy": [0.5, 0.8, 0.7], "train_accuracy": [0.6, 0.9, 1.0],
    }  # fmt: skip
    whole = arm(NONE, [0.7, 0.7], courses={0: course, 1: {"epoch": [3.0], "step": [30]}})
    stopped = _stopped(whole)
    assert stopped.values("test_accuracy") == {0: 0.8, 1: 0.7}
    assert stopped.results[0].steps == 20


def test_gains_are_held_to_all_comparisons_at_once() -> None:
    found = {NONE: arm(NONE, [0.70, 0.71, 0.69, 0.70])}
    found["good"] = arm("", [0.80, 0.81, 0.79, 0.80])
    found["lucky"] = arm("", [0.71, 0.73, 0.69, 0.72])
    found["awful"] = arm("", [0.10, 0.11, 0.12, 0.10])
    bought = _bought(found)
    assert {name: sign(each) for name, each in bought.items()} == {
        "good": 1, "lucky": 0, "awful": -1,
    }  # fmt: skip
    assert bought["lucky"].half > difference(found["lucky"], found[NONE], "test_accuracy").half  # type: ignore[union-attr]
    facts = {"after": 3, "bound": 0.5, "half": 10.0, "absolute": 100.0, "l2": 0.05, "l1": 0.005}
    words = list(regularise_words(found, bought, facts))
    assert words[0] == "The most is bought by good: +10.00 ± 0.00 points of test accuracy."
    assert "In accuracy worse than none, beyond doubt: awful." in words
    assert "In accuracy cannot tell from none: lucky." in words
    (_, figure), *_ = _gains(found, bought).figures
    assert figure.layout.meta["caption"].endswith("worse by more than 20 points: awful.")
    found["better"] = arm("", [0.9, 0.91, 0.89, 0.9])
    first, *_ = regularise_words(found, _bought(found), facts)
    assert first.endswith("Others help, too: good.")


def test_a_lower_test_loss_is_told_of_unless_it_is_another_loss() -> None:
    same = [0.70, 0.71, 0.69, 0.70]
    found = {NONE: arm(NONE, same, loss=[1.5, 1.6, 1.4, 1.5])}
    found["dropout 0.2"] = arm("", same, loss=[0.8, 0.9, 0.71, 0.8])
    found["L2, 1 of the bound"] = arm("", same, loss=[1.0, 2.0, 1.2, 1.7])
    found["label smoothing 0.1"] = arm("", same, loss=[0.1, 0.2, 0.01, 0.1])
    facts = {"after": 3, "bound": 0.5, "half": 10.0, "absolute": 100.0, "l2": 0.05, "l1": 0.005}
    words = list(regularise_words(found, _bought(found), facts))
    assert words[0] == "Nothing that was tried is better on the test set beyond doubt."
    assert "The test loss is lower than without, beyond doubt, with dropout 0.2." in words


def test_arms_that_diverged_have_no_means() -> None:
    lost = arm("", [0.1, 0.1], reason="diverged")
    assert lost.mean("test_accuracy") is None
    assert lost.mean("nothing") is None
    assert lost.diverged == 2
    assert difference(lost, arm("", [0.5, 0.5]), "test_accuracy") is None
    assert not learns(lost, 0.1)
    assert arm("", [0.5, 0.5]).mean("gap") is not None
    assert lost.band("test_loss").note == "2 of 2 diverged"
