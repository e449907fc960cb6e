from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.data import Data
from thalweg.engine import Diverged, Evaluated, Finished, Length, Run, Step, short_keys
from thalweg.engine.feed import Feed, Orders
from thalweg.errors import SpecError
from thalweg.spec import Spec


def spec(**settings) -> Spec:
    return Spec().override({"hidden": (16,), "lr": 1e-2, **settings}, short_keys())


@pytest.mark.parametrize(
    ("settings", "length"),
    [  # of 100 samples: batch size, updates an epoch, updates in all, updates an evaluation
        ({}, (64, 2, 2, 2)),
        ({"batch_size": 30}, (30, 4, 4, 4)),
        ({"batch_size": 30, "drop_last": True}, (30, 3, 3, 3)),
        ({"batch_size": 30, "drop_last": True, "accumulate": 2}, (30, 2, 2, 2)),
        ({"batch_size": 25, "accumulate": 3, "epochs": 2}, (25, 2, 4, 2)),
        ({"batch_size": "full", "epochs": 7}, (100, 1, 7, 1)),
        ({"batch_size": 1000, "drop_last": True}, (100, 1, 1, 1)),
        ({"batch_size": 10, "epochs": 0.5}, (10, 10, 5, 10)),
        ({"batch_size": 10, "epochs": 2.26}, (10, 10, 23, 10)),
        ({"batch_size": 10, "steps": 3}, (10, 10, 3, 10)),
        ({"batch_size": 10, "evaluate_every": "2epochs"}, (10, 10, 10, 20)),
        ({"batch_size": 10, "evaluate_every": "7steps"}, (10, 10, 10, 7)),
        ({"batch_size": 10, "evaluate_every": "never"}, (10, 10, 10, 0)),
    ],
)
def test_how_long_a_run_is(settings, length):
    assert Length.of(Spec(**settings), samples=100) == Length(*length)


@pytest.mark.parametrize("epochs", [0, 0.01])
def test_a_run_without_an_update_is_refused(epochs):
    with pytest.raises(SpecError) as caught:
        Length.of(Spec(epochs=epochs, batch_size=10), samples=100)
    assert str(caught.value) == (
        f"got epochs={epochs:g}; expected at least one update. Hint: an epoch has 10"
    )


@given(st.integers(1, 50), st.integers(1, 60), st.integers(1, 5), st.booleans())
@settings(deadline=None)
def test_an_epoch_has_as_many_batches_as_its_length_says(n, size, accumulate, drop_last):
    told = Spec(batch_size=size, accumulate=accumulate, drop_last=drop_last)
    length = Length.of(told, n)
    x = torch.arange(n, dtype=torch.float32)
    data = Data("numbers", "regression", _split(x))
    seen, batches = [], 0
    order = torch.Generator().manual_seed(0)
    feed = Feed([data.train], Orders([order], [0]), length.batch_size, drop_last=drop_last)
    for inputs, y in feed.epoch():
        assert inputs.shape == (1, len(y), 1)
        assert torch.equal(inputs[0], y)  # inputs and labels stay together
        seen += y.flatten().tolist()
        batches += 1
    assert math.ceil(batches / accumulate) == length.per_epoch
    assert len(set(seen)) == len(seen) == (batches * length.batch_size if drop_last else n)


def _split(x):
    from thalweg.data import Split

    column = x.unsqueeze(1)
    return Split(column, column, column)


def test_every_epoch_has_an_order_of_its_own(digits):
    order = torch.Generator().manual_seed(0)
    feed = Feed([digits.train], Orders([order], [0]), 64)
    first, second = (torch.cat([y for _, y in feed.epoch()]) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first.bincount(), second.bincount())


def names(run: Run) -> str:
    return "".join(type(event).__name__[0] for event in run.events())


@pytest.mark.parametrize(
    ("settings", "events"),
    [  # 480 samples, 5 batches of 96 an epoch
        ({}, "SSSSSEF"),
        ({"epochs": 2}, "SSSSSESSSSSEF"),
        ({"epochs": 2, "evaluate_every": "2epochs"}, "SSSSSSSSSSEF"),
        ({"epochs": 2, "evaluate_every": "3steps"}, "SSSESSSESSSESEF"),
        ({"steps": 4}, "SSSSEF"),
        ({"steps": 4, "evaluate_every": "2steps"}, "SSESSEF"),
        ({"evaluate_every": "never"}, "SSSSSF"),
        ({"accumulate": 2, "evaluate_every": "1steps"}, "SESESEF"),
        ({"until": "train_loss<100", "evaluate_every": "2steps"}, "SSEF"),
        ({"max_seconds": 0}, "SEF"),
    ],
)
def test_events_come_in_order(digits, settings, events):
    assert names(Run(spec(batch_size=96, **settings), data=digits)) == events


def test_the_clock_counts_updates_passes_and_gradients(digits):
    run = Run(spec(batch_size=96, accumulate=2, epochs=2), data=digits)
    clocks = [event.clock for event in run.events() if isinstance(event, Step)]
    assert [clock.step for clock in clocks] == [1, 2, 3, 4, 5, 6]
    assert [clock.epoch for clock in clocks] == [1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2]
    assert [clock.gradients for clock in clocks] == [2, 4, 5, 7, 9, 10]
    seconds = [clock.seconds for clock in clocks]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_running_metrics_are_those_of_the_epoch_so_far(digits):
    run = Run(spec(batch_size=100, epochs=2, evaluate_every="3steps"), data=digits)
    since: list[tuple[int, float]] = []
    rows = 0
    for event in run.events():
        if isinstance(event, Step):
            place = event.clock.step % 5
            if place == 1:
                since = []
            n = 100 if place else 80  # the last batch of 480 is short
            since.append((n, float(event.metrics["loss"])))
        elif isinstance(event, Evaluated):
            mean = sum(n * loss for n, loss in since) / sum(n for n, _ in since)
            assert event.metrics["running_loss"] == pytest.approx((mean,), rel=1e-9)
            rows += 1
    assert rows == 4  # after steps 3, 6, 9 and 10


def test_splits_are_evaluated_as_asked_and_all_of_them_at_the_end(digits):
    run = Run(spec(batch_size=96, epochs=2, evaluate="val"), data=digits)
    first, last = (set(e.metrics) for e in run.events() if isinstance(e, Evaluated))
    kinds = {"loss", "accuracy"}
    assert first == {f"{split}_{kind}" for split in ("running", "val") for kind in kinds}
    assert last == {
        f"{split}_{kind}" for split in ("running", "train", "val", "test") for kind in kinds
    }
    assert run.metrics["val_loss"] == run.evaluate("val")["loss"]


def test_a_condition_ends_the_run_and_the_last_word_is_on_every_split(digits):
    run = Run(spec(epochs=50, evaluate="test", until="train_accuracy>=0.8"), data=digits)
    *_, last = run.events()
    assert (run.reason, last.reason) == ("until", "until")
    assert run.metrics["train_accuracy"] >= 0.8
    assert {"val_accuracy", "test_accuracy"} <= set(run.metrics)
    before = run.history.epochs["train_accuracy"][:-1]
    assert before
    assert max(before) < 0.8


def test_a_condition_in_the_last_epoch_is_the_reason(digits):
    run = Run(spec(epochs=1, until="train_loss<100"), data=digits)
    assert names(run).endswith("EF")
    assert run.reason == "until"


def test_patience_ends_the_run(digits):
    run = Run(spec(epochs=50, lr=0.0, patience=3), data=digits)
    assert names(run).count("E") == 4  # the first is the best
    assert run.reason == "patience"


def test_time_ends_the_run_after_an_evaluation(digits):
    run = Run(spec(epochs=50, max_seconds=1e-9), data=digits)
    assert names(run) == "SEF"
    assert run.reason == "time"
    assert "test_accuracy" in run.metrics


def diverging(**settings) -> Run:
    """A regression whose error grows a thousandfold a step until it overflows."""
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    own = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    own[2].weight.data.fill_(1.0)
    changes = {"optimizer": "sgd", "lr": 1e3, "batch_size": "full", "epochs": 50, **settings}
    return Run(Spec().override(changes), model=own, data=(x, x.sum(1, keepdim=True)))


def test_a_loss_that_is_no_number_ends_the_run_with_its_step():
    run = diverging(record_states=1)
    events = list(run.events())
    *steps, diverged, finished = events
    assert isinstance(diverged, Diverged)
    assert isinstance(finished, Finished)
    assert (finished.reason, run.reason, run.diverged) == ("diverged", "diverged", True)
    assert diverged.members == (0,)
    assert not math.isfinite(diverged.loss[0])
    made = [event for event in steps if isinstance(event, Step)]
    assert 0 < diverged.clock.step == len(made) < 50
    assert diverged.clock.gradients == len(made) + 1
    assert all(math.isfinite(event.metrics["loss"]) for event in made)
    # The parameters are those from before the step that was not made.
    theta = run.cohort.stack.theta
    assert run.states.steps[-1] == len(made)
    assert torch.equal(theta, run.states.theta[-1])
    assert theta.isfinite().all()
    assert all(value.isfinite().all() for value in run.model.state_dict().values())


def test_a_run_stopped_at_the_same_step_has_the_same_parameters():
    whole = diverging()
    made = sum(isinstance(event, Step) for event in whole.events())
    part = diverging(epochs=None, steps=made)
    assert names(part).endswith("EF")
    assert part.reason == "complete"
    expected, found = part.model.state_dict(), whole.model.state_dict()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_nothing_is_recorded_by_torch_for_gradients(digits):
    run = Run(spec(steps=2), data=digits)
    for event in run.events():
        assert torch.is_grad_enabled()  # the loop's setting stays inside
        if isinstance(event, Step):
            assert not any(value.requires_grad for value in event.metrics.values())


def test_a_run_that_is_over_says_so_again(digits):
    run = Run(spec(steps=2), data=digits)
    assert names(run) == "SSEF"
    theta = run.cohort.stack.theta.clone()
    assert names(run) == "F"
    assert torch.equal(run.cohort.stack.theta, theta)


def test_data_without_further_splits_are_trained_on_all_the_same(digits):
    run = Run(spec(steps=2), data=replace(digits, val=None, test=None))
    assert names(run) == "SSEF"
    assert set(run.metrics) == {
        "running_loss", "running_accuracy", "train_loss", "train_accuracy",
    }  # fmt: skip
