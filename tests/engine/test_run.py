from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import thalweg as tw
from thalweg.engine import Condition, Run, short_keys
from thalweg.errors import DataError, SpecError
from thalweg.spec import Spec
from thalweg.study import train

QUICK = {"hidden": (16,), "lr": 1e-2, "batch_size": 96}


def spec(**settings) -> Spec:
    return Spec().override({**QUICK, **settings}, short_keys())


def own() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))


def weights(run: Run) -> list[torch.Tensor]:
    return list(run.model.state_dict().values())


def equal(a: Run, b: Run) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def timeless(columns: dict[str, list]) -> dict[str, list]:
    return {name: column for name, column in columns.items() if name != "seconds"}


# ── what a run is ────────────────────────────────────────────────────────────────────────────


def test_the_public_face():
    assert tw.train is train
    assert tw.Run is Run
    assert set(tw.__all__) <= set(dir(tw))
    for name in tw.__all__:
        assert getattr(tw, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        tw.trian  # noqa: B018


def test_a_run_learns_and_keeps_its_history(digits):
    run = train("mlp", digits, **QUICK, epochs=8, val=None)
    assert run.metrics["test_accuracy"] > 0.85
    assert run.evaluate("test")["accuracy"] == run.metrics["test_accuracy"]
    assert (run.reason, run.diverged) == ("complete", False)
    frame = run.history.to_pandas()
    assert frame["epoch"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert frame["running_loss"].is_monotonic_decreasing
    assert len(run.history.to_pandas("steps")) == 40


def test_the_model_is_an_ordinary_network_in_evaluation_mode(digits):
    run = train("mlp", digits, **QUICK, steps=3, dropout=0.5)
    model = run.model
    assert type(model) is nn.Sequential
    assert not model.training
    loss = F.cross_entropy(model(digits.test.x), digits.test.y)
    assert run.evaluate("test")["loss"] == pytest.approx(loss.item(), rel=1e-5)
    before = run.cohort.stack.theta.clone()
    for parameter in model.parameters():
        parameter.data.fill_(7.0)
    assert torch.equal(run.cohort.stack.theta, before)  # it is a copy


def test_the_seed_means_what_it_means_in_torch(digits):
    run = Run(spec(seed=3), data=digits)
    torch.manual_seed(3)
    layers = nn.Linear(64, 16), nn.Linear(16, 10)
    expected = [p for layer in layers for p in layer.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(weights(run), expected, strict=True))


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.3, "norm": "batch"}, {"label_noise": 0.5}])
def test_the_same_seed_gives_the_same_bits(settings):
    options = {**QUICK, "steps": 12, "evaluate_every": "5steps", "subset": 480, **settings}
    one, other = (train("mlp", "digits", **options, seed=1) for _ in range(2))
    assert equal(one, other)
    assert timeless(one.history.steps) == timeless(other.history.steps)
    assert timeless(one.history.epochs) == timeless(other.history.epochs)
    different = train("mlp", "digits", **options, seed=2)
    assert not equal(one, different)


@pytest.mark.parametrize("settings", [{}, {"batch_size": "full"}], ids=["order", "masks"])
def test_every_draw_follows_from_the_seed(digits, settings):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout(0.5 if settings else 0.0))
    options = {"batch_size": 96, "steps": 2, **settings}
    runs = [train(net, digits, **options, seed=seed) for seed in (0, 0, 1)]
    assert equal(runs[0], runs[1])
    assert not equal(runs[0], runs[2])  # though the weights start the same


def test_a_run_that_is_over_gives_back_the_memory_of_its_steps(digits):
    run = Run(spec(steps=2), data=digits)
    held = []
    for event in run.events():
        layers = run.cohort.stack._root.layers
        held.append((type(event).__name__, any(layer._buffers for layer in layers)))
    assert held[0] == ("Step", True)
    assert held[-1] == ("Finished", False)
    assert run.evaluate("test")["loss"] > 0  # and can still be asked


def test_dropout_changes_neither_the_start_nor_the_order(digits):
    plain, dropped = (Run(spec(dropout=p, steps=2), data=digits) for p in (0, 0.5))
    assert equal(plain, dropped)
    seen = []
    for run in (plain, dropped):
        labels = []
        run.cohort.gradient = lambda x, y, to=labels: to.append(y) or {"loss": torch.zeros(1)}
        for _ in run.events():
            pass
        seen.append(torch.cat(labels))
    assert torch.equal(*seen)


@pytest.mark.parametrize("model", ["mlp", "own"])
def test_the_global_generator_is_left_alone(digits, model):
    settings = {"hidden": (16,), "dropout": 0.5} if model == "mlp" else {}
    network = "mlp" if model == "mlp" else nn.Sequential(own(), nn.AlphaDropout(0.5))
    state = torch.random.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()
    train(network, digits, steps=2, **settings)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


# ── settings that reach the step ─────────────────────────────────────────────────────────────


def test_slow_weights_are_evaluated_and_exported(digits):
    settings = {"lookahead": {"k": 5, "alpha": 0.5}, "steps": 7}
    slow, fast = (
        train("mlp", digits, **QUICK, **settings, evaluate_weights=which)
        for which in ("auto", "current")
    )
    assert torch.equal(slow.cohort.stack.theta, fast.cohort.stack.theta)
    assert not equal(slow, fast)
    for run in (slow, fast):
        loss = F.cross_entropy(run.model(digits.test.x), digits.test.y).item()
        assert run.metrics["test_loss"] == pytest.approx(loss, rel=1e-5)
        assert run.evaluate("test")["loss"] == run.metrics["test_loss"]
    assert slow.metrics["test_loss"] != fast.metrics["test_loss"]
    again = train("mlp", digits, **QUICK, **settings, evaluate_weights="slow")
    assert equal(again, slow)


def test_slow_weights_that_a_rule_does_not_keep(digits):
    with pytest.raises(SpecError, match=r"evaluate_weights='slow' for adam; .*lookahead"):
        Run(spec(evaluate_weights="slow"), data=digits)


def test_true_labels(digits):
    noisy = digits.corrupt(label_noise=1.0)
    run = train("mlp", noisy, **QUICK, epochs=1)
    assert run.evaluate("train") != run.evaluate("train", true_labels=True)
    assert run.evaluate("test") == run.evaluate("test", true_labels=True)
    assert run.evaluate("train", true_labels=True) == run.evaluate(digits.train)


def test_a_schedule_per_epoch_and_per_step(digits):
    settings = {"schedule": "multistep", "milestones": [1], "gamma": 0.1, "steps": 6}
    by_epoch = train("mlp", digits, **QUICK, **settings).history.steps["lr"]
    assert by_epoch == pytest.approx([1e-2] * 5 + [1e-3])
    by_step = train("mlp", digits, **QUICK, **settings, per="step").history.steps["lr"]
    assert by_step == pytest.approx([1e-2] + [1e-3] * 5)


def test_a_schedule_of_another_hyperparameter(digits):
    settings = {"optimizer": "sgd", "momentum": 0.5, "schedule": "step", "step_size": 1}
    run = Run(spec(**settings, target="momentum", per="step", **{"gamma": 0.5}), data=digits)
    assert [run.cohort.slices[0].hyper(made)["momentum"] for made in range(3)] == [0.5, 0.25, 0.125]


@pytest.mark.parametrize(
    "settings", [{"l2": 0.1}, {"l1": 0.1}, {"clip_norm": 0.01}, {"clip_value": 1e-4}]
)
def test_regularisation_reaches_the_step(digits, settings):
    options = {**QUICK, "optimizer": "sgd", "lr": 0.1, "steps": 5}
    plain, changed = train("mlp", digits, **options), train("mlp", digits, **options, **settings)
    norm = [run.cohort.stack.theta.norm() for run in (plain, changed)]
    start = Run(spec(), data=digits).cohort.stack.theta
    if "l1" in settings or "l2" in settings:
        assert norm[1] < norm[0]
    else:
        moved = [(run.cohort.stack.theta - start).norm() for run in (plain, changed)]
        assert moved[1] < moved[0] / 2


def test_bfloat16_learns_nearly_as_float32_does(digits):
    settings = {**QUICK, "hidden": (64,), "norm": "batch", "epochs": 4}
    whole, half = (
        train("mlp", digits, **settings, precision=precision)
        for precision in ("float32", "bfloat16")
    )
    assert not equal(whole, half)
    assert weights(half)[0].dtype == torch.float32
    assert half.metrics["test_accuracy"] > 0.8
    assert half.metrics["train_loss"] == pytest.approx(whole.metrics["train_loss"], rel=0.2)
    again = train("mlp", digits, **settings, precision="bfloat16")
    assert equal(half, again)


def test_states_are_recorded_within_their_budget(digits):
    run = Run(spec(steps=20, record_states=2), data=digits)
    start = run.cohort.stack.theta.clone()
    for _ in run.events():
        pass
    assert run.states.steps == list(range(0, 21, 2))
    assert torch.equal(run.states.theta[0], start)
    assert torch.equal(run.states.theta[-1], run.cohort.stack.theta)
    size = start.numel() * 4
    little = train(
        "mlp", digits, **QUICK, steps=20, record_states=1, record_budget=5 * size / 2**20
    )
    assert little.states.steps == [0, 8, 16]
    assert sum(theta.numel() * 4 for theta in little.states.theta) <= 5 * size


def test_threads_are_set(digits):
    Run(spec(threads=2), data=digits)
    assert torch.get_num_threads() == 2


def test_the_whole_batch_is_a_batch_size(digits):
    run = train("mlp", digits, hidden=(16,), optimizer="sgd", lr=0.5, batch_size="full", epochs=3)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    for _ in range(3):
        loss = F.cross_entropy(net(digits.train.x), digits.train.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(list(net.state_dict().values()), weights(run), rtol=1e-5, atol=1e-6)


def test_a_spec_is_where_settings_start_from(digits):
    base = tw.load_recipe("perfect-fit")
    run = train("mlp", "digits", spec=base, hidden=(16,), loss="cross-entropy", steps=1)
    assert run.spec.optimizer == base.optimizer
    assert (run.spec.model.name, run.spec.data.source, run.spec.epochs) == ("mlp", "digits", None)


def test_a_split_that_is_not_there():
    run = Run(spec())
    with pytest.raises(DataError, match=r"got the split 'tets'; .* did you mean test\?"):
        run.evaluate("tets")


def test_a_condition_may_watch_the_running_average(digits):
    run = Run(spec(until="running_accuracy>=0.5", epochs=30), data=digits)
    for _ in run.events():
        pass
    assert run.reason == "until"
    assert Condition.parse("running_accuracy>=0.5").holds(run.metrics)
