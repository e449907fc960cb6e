"""Every recipe that there is, and those that come later."""

from __future__ import annotations

import re

import pytest
import torch

from thalweg import nn, optim
from thalweg.data import load_data
from thalweg.engine import Condition, Run
from thalweg.errors import SpecError
from thalweg.recipes import (
    load_recipe,
    load_sweep_recipe,
    recipe_text,
    recipes,
    sweep_recipes,
)
from thalweg.spec import Spec
from thalweg.study import plan_sweep, sweep, train

ALL = sorted(recipes())


def test_the_published_results_are_there():
    assert {"lab", "perfect-fit", "perfect-fit-permuted", "deep-bn", "quadratic", "ccql"} <= set(
        ALL
    )


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_says_first_what_it_is(name):
    text = recipe_text(name)
    assert re.match(r"# \S.*\.\n# ", text)
    assert recipes()[name] == text.splitlines()[0][2:]


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_survives_toml(name):
    spec = load_recipe(name)
    assert Spec.from_toml(spec.to_toml()) == spec
    assert spec.data.source == "mnist"


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_names_what_exists(name):
    spec = load_recipe(name)
    assert spec.model.name in nn.MODELS
    assert spec.optimizer.name in optim.rules()
    assert spec.schedule.name in optim.schedules()
    assert spec.loss.name in {"auto", *nn.LOSSES}
    assert spec.optimizer.lr is not None
    assert "train" in spec.evaluate  # the last evaluation covers the test set in any case
    if spec.until is not None:
        assert Condition.parse(spec.until).metric == "train_accuracy"


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_gives_the_same_bits_twice(name):
    """On few digits in place of MNIST; the networks are as wide as they are."""
    changes = {"data": "digits", "subset": 96, "batch_size": 32, "steps": 3, "until": None}
    spec = load_recipe(name).override(changes)
    runs = []
    for _ in range(2):
        run = Run(spec)
        for _ in run.events():
            pass
        runs.append(run)
    one, other = runs
    assert not one.diverged
    assert len(one.history.steps["loss"]) == 3
    state = one.model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in other.model.state_dict().items())
    for table in ("steps", "epochs"):
        columns, again = getattr(one.history, table), getattr(other.history, table)
        assert {**columns, "seconds": None} == {**again, "seconds": None}


@pytest.mark.parametrize("name", sorted(sweep_recipes()))
def test_the_recipe_of_a_sweep_can_be_planned(name):
    """On digits in place of MNIST; the networks are as wide as they are."""
    recipe = load_sweep_recipe(name)
    assert re.match(r"# \S.*\.\n# ", recipe_text(name))
    assert sweep_recipes()[name] == recipe_text(name).splitlines()[0][2:]
    changes = {"data": "digits"} if recipe.spec.data.source == "mnist" else {}
    if recipe.spec.model.name == "garment":  # digits are too small for it
        changes["model"] = "one-fc"
    spec = recipe.spec.override({**changes, "subset": None})
    series = plan_sweep(spec, recipe.over, recipe.seeds)
    sizes = {"lr-extremes": (25, 1), "weight-decay": (15, 1), "init": (162, 9)}
    sizes |= {"ways-down": (10, 2), "ways-down-garment": (10, 2)}
    sizes |= {"edge-of-stability": (3, 1), "sharp-minima": (10, 2)}
    assert (len(series.points), len(series.groups)) == sizes.get(name, (33, 6))
    assert name not in recipes()


def test_the_ways_down_differ_in_their_network_alone():
    one, other = load_sweep_recipe("ways-down"), load_sweep_recipe("ways-down-garment")
    assert one.over == other.over
    assert one.spec.override({"model": "garment"}) == other.spec
    (averaged,) = [each for each in one.over if each["name"] == "Adam, averaged"]
    assert averaged["swa_start"] + 1 == 17 * averaged["swa_every"] == 17 * 3200 // 64


def test_learning_rates_follow_the_batch():
    settings = load_sweep_recipe("batch-size").over
    sizes = [setting["batch_size"] for setting in settings]
    assert (min(sizes), max(sizes)) == (8, 4096)
    for size in set(sizes):
        rates = {s["lr"] for s in settings if s["batch_size"] == size}
        assert rates == {1e-3, float(f"{1e-3 * (size / 512) ** 0.5:.3g}")}


def test_runs_and_sweeps_are_told_apart():
    with pytest.raises(SpecError, match=r"which is a sweep; .* Hint: thalweg sweep --recipe init"):
        load_recipe("init")
    with pytest.raises(SpecError, match=r"which is one run; .* Hint: thalweg train --recipe lab"):
        load_sweep_recipe("lab")
    with pytest.raises(SpecError, match="did you mean init"):
        load_sweep_recipe("inti")


def test_an_unknown_recipe_gets_the_nearest():
    with pytest.raises(
        SpecError, match=r"got the recipe 'perfectfit'; .* did you mean perfect-fit"
    ):
        load_recipe("perfectfit")


def test_the_perfect_fit_is_as_published():
    spec = load_recipe("perfect-fit")
    run = Run(spec.override({"data": "digits", "steps": 1}))
    assert (spec.batch_size, spec.epochs, spec.optimizer.lr) == (512, 12, 1.7e-4)
    assert run.cohort.slices[0].rule == optim.build(
        "lookahead", inner=optim.build("madgrad", lr=1.7e-4), k=4, alpha=0.8
    )
    widths = [m.out_features for m in run.model.modules() if isinstance(m, torch.nn.Linear)]
    assert widths == [1500, 500, 10]


def test_deep_bn_drops_its_learning_rate_in_the_epochs_that_were_published():
    spec = load_recipe("deep-bn").override({"data": "digits", "batch_size": "full"})
    schedule = Run(spec).cohort.slices[0].hyper
    rates = [schedule(epoch)["lr"] for epoch in range(20)]
    # The scheduler stepped from the second epoch on: 1-6, 7-11, 12-16 and 17-20.
    assert rates == pytest.approx([1e-3] * 6 + [1e-4] * 5 + [1e-5] * 5 + [1e-6] * 4)


@pytest.mark.mnist
def test_the_lab_reaches_nine_in_ten(mnist_folder):
    run = train(spec=load_recipe("lab"), folder=str(mnist_folder))
    assert run.reason == "complete"
    assert len(run.history.steps["loss"]) == 3 * 118  # 60,000 in batches of 512
    assert run.metrics["test_accuracy"] > 0.9
    assert run.metrics["train_accuracy"] > 0.9


@pytest.mark.mnist
def test_permuted_labels_are_still_the_published_number_of_each(mnist_folder):
    spec = load_recipe("perfect-fit-permuted").data
    data = load_data("mnist", folder=mnist_folder, label_noise=spec.label_noise)
    assert torch.equal(data.train.y.bincount(), data.train.true_y.bincount())
    agreement = (data.train.y == data.train.true_y).double().mean()
    assert agreement == pytest.approx(0.1, abs=0.01)


@pytest.mark.mnist
@pytest.mark.slow
def test_weight_decay_is_as_published(mnist_folder):
    recipe = load_sweep_recipe("weight-decay")
    found = sweep(**vars(recipe), out=False, folder=str(mnist_folder))
    for epoch, train_accuracy, test_accuracy in ((2, 0.8616, 0.8738), (3, 0.8713, 0.8760)):
        fits = found.table(epoch=epoch)[-1]
        assert fits.means["running_accuracy"].mean == pytest.approx(train_accuracy, abs=0.015)
        assert fits.means["test_accuracy"].mean == pytest.approx(test_accuracy, abs=0.015)
    assert all(row.means["test_accuracy"].mean < 0.15 for row in found.table()[:-1])
    first = found.table(epoch=1)[-1].means["running_accuracy"]  # 76.7 %: it varies with the seed
    assert 0.67 < first.mean < 0.77
