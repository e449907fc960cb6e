"""What is written while a run goes on, when, and what happens if that fails."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from thalweg.engine import Evaluated, Run, Step, short_keys
from thalweg.errors import FileError, SpecError, ThalwegError
from thalweg.spec import Spec
from thalweg.store import RunFolder, read_checkpoint
from thalweg.study import begin, go_on, load_run, resume, train
from thalweg.study.record import Recorder, _Writer

QUICK = {"hidden": (4,), "subset": 240, "val": 60, "batch_size": 60, "lr": 1e-2, "steps": 10}


def make(**settings: Any) -> Run:
    changes = {"data": "digits", **QUICK, **settings}
    return Run(Spec().override(changes, short_keys()))


def saves(path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> list[int]:
    """Train, and return the steps after which checkpoints were written."""
    written: list[int] = []
    save = Recorder.save

    def note(self: Recorder, **options: Any) -> None:
        written.append(self.run.cohort.updates)
        save(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "save", note)
        for _ in begin(make(**settings), out=path):
            pass
    return written


# ── when ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "steps"),
    [  # an epoch has four steps
        ({"checkpoint_every": "3steps"}, [3, 6, 9, 10]),
        ({"checkpoint_every": "1step"}, [*range(1, 11), 10]),
        ({"checkpoint_every": "2epochs"}, [8, 10]),
        ({"checkpoint_every": "never"}, [10]),
        ({"checkpoint_every": "100s"}, [10]),
        ({}, [10]),
    ],
)
def test_a_checkpoint_is_written_when_it_is_due_and_at_the_end(
    tmp_path, monkeypatch, settings, steps
):
    assert make().length.per_epoch == 4
    assert saves(tmp_path / "run", monkeypatch, **settings) == steps


def test_seconds_are_counted_from_the_last_one(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("thalweg.study.record.time.monotonic", lambda: now[0])
    for event in begin(make(checkpoint_every="2.5s", keep_last=9), out=tmp_path / "run"):
        now[0] += isinstance(event, Step)  # a second after every step
    assert list(RunFolder.open(tmp_path / "run").checkpoints()) == [4, 7, 10]


@pytest.mark.parametrize("keep", [1, 3])
def test_the_last_ones_are_kept(tmp_path, monkeypatch, keep):
    saves(tmp_path / "run", monkeypatch, checkpoint_every="2steps", keep_last=keep, steps=9)
    assert list(RunFolder.open(tmp_path / "run").checkpoints()) == [4, 6, 8, 9][-keep:]


# ── the best ─────────────────────────────────────────────────────────────────────────────────


def test_the_best_by_the_monitored_metric_is_kept(tmp_path):
    for monitor, best in (("val_loss", min), ("val_accuracy", max), ("running_loss", min)):
        path = tmp_path / monitor
        settings = {"lr": 0.1, "evaluate_every": "1steps", "monitor": monitor, "seed": 3}
        run = train(data="digits", **{**QUICK, **settings}, out=path)
        values = run.history.epochs[monitor]
        found = load_run(path, "best")
        assert found.metrics[monitor] == best(values)
        assert found.cohort.updates == 1 + values.index(best(values))


@pytest.mark.parametrize(
    "settings",
    [{"keep_best": False}, {"evaluate_every": "never"}, {"monitor": "val_top3"}, {"val": 0}],
)
def test_there_is_no_best_without_evaluations_of_what_is_monitored(tmp_path, settings):
    train(data="digits", **{**QUICK, **settings}, out=tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints" / "best.safetensors").exists()


def test_the_best_so_far_is_known_when_a_run_goes_on(tmp_path):
    """Trained with a fine rate, then with one that makes it worse and worse."""
    path, settings = tmp_path / "run", {"evaluate_every": "1steps", "schedule": "multistep"}
    settings |= {"milestones": [6], "gamma": 1e4, "per": "step", "checkpoint_every": "1steps"}
    events = begin(make(**settings, lr=0.02), out=path)
    for event in events:
        if isinstance(event, Evaluated) and event.clock.step == 7:
            events.close()
    best = load_run(path, "best").cohort.updates
    assert best <= 6
    run = resume(path)
    assert load_run(path, "best").cohort.updates == best
    losses = run.history.epochs["val_loss"]
    assert losses.index(min(losses)) == best - 1


def test_a_best_that_was_not_written_is_found_again(tmp_path):
    events = begin(make(checkpoint_every="4steps", evaluate_every="2steps"), out=tmp_path / "run")
    for event in events:
        if isinstance(event, Evaluated) and event.clock.step == 6:
            events.close()  # after the best of step 6, before the next checkpoint
    assert load_run(tmp_path / "run", "best").cohort.updates == 2
    _, events = go_on(tmp_path / "run")
    for event in events:
        if isinstance(event, Step) and event.clock.step == 8:
            events.close()
    assert load_run(tmp_path / "run", "best").cohort.updates == 6


# ── what is not finite ───────────────────────────────────────────────────────────────────────


GROWS = {"lr": 10.0}  # the error, from step to step, until the loss overflows
LEAPS = {"lr": 0.01, "schedule": "multistep", "milestones": [5], "gamma": 1e42, "per": "step"}
AT_ONCE = {"lr": 1e40}


def exploding(how: dict[str, Any]) -> dict[str, Any]:
    """A regression that ends in numbers that are none."""
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    own = {"model": nn.Linear(4, 1), "data": {"train": (x, x.sum(1, keepdim=True))}}
    return {**own, "optimizer": "sgd", "batch_size": "full", "epochs": 50, **how}


@pytest.mark.parametrize(
    ("how", "finite"), [(GROWS, True), (LEAPS, False), (AT_ONCE, False)], ids=["a", "b", "c"]
)
@pytest.mark.parametrize("every", ["1steps", "never"])
def test_a_run_that_diverges_keeps_its_last_good_checkpoint(tmp_path, how, finite, every):
    path, settings = tmp_path / "run", exploding(how)
    run = train(**settings, checkpoint_every=every, out=path)
    folder = RunFolder.open(path)
    assert run.diverged
    assert folder.state == "diverged"
    made = run.cohort.updates
    log = (path / "log.txt").read_text()
    assert f"diverged after step {made}: a loss of " in log
    assert f"ended after step {made}: diverged" in log
    assert folder.steps()["step"] == list(range(1, made + 1))
    assert bool(run.cohort.stack.theta.isfinite().all()) == finite
    for file in folder.checkpoints().values():
        for name, array in read_checkpoint(file).arrays.items():
            assert array.isfinite().all() or not name.startswith("parameters/")
    last = max(folder.checkpoints(), default=0)
    assert last == (made if finite else 0 if every == "never" else made - 1)
    if last:
        own = {name: settings[name] for name in ("model", "data")}
        found = load_run(path, **own)
        assert found.cohort.updates == last
        assert all(p.isfinite().all() for p in found.model.parameters())
    if not finite:
        assert f"no checkpoint after step {made}: a parameter is not finite" in log
    with pytest.raises(SpecError, match="which diverged"):
        resume(path, model=settings["model"], data=settings["data"])
    assert folder.predictions() is None


def test_a_result_is_kept_whatever_it_is(tmp_path):
    """The last update breaks it, and nobody computes another loss."""
    settings = exploding(LEAPS)
    made = train(**settings, out=False).cohort.updates
    run = train(**{**settings, "epochs": None, "steps": made}, out=tmp_path / "run")
    assert run.reason == "complete"
    assert not run.cohort.stack.theta.isfinite().all()
    own = {name: settings[name] for name in ("model", "data")}
    assert not load_run(tmp_path / "run", **own).cohort.stack.theta.isfinite().all()


# ── other logs ───────────────────────────────────────────────────────────────────────────────


class FakeLog:
    """Takes rows until it breaks."""

    kind = "fake"

    def __init__(self, error: Exception | None = None, after: int = 0) -> None:
        self.error, self.after = error, after
        self.tables: dict[str, list[int]] = {}
        self.calls, self.state = 0, ""

    def write(self, table: str, rows: Mapping[str, Sequence[Any]]) -> None:
        self.calls += 1
        if self.error is not None and self.calls > self.after:
            raise self.error
        assert len({len(column) for column in rows.values()}) == 1
        self.tables[table] = list(rows["step"])

    def close(self, state: str) -> None:
        if self.error is not None:
            raise self.error
        self.state = state


def with_logs(path: Path, monkeypatch: pytest.MonkeyPatch, *logs: FakeLog) -> Run:
    monkeypatch.setattr("thalweg.study.training.open_logs", lambda spec, folder: list(logs))
    run = make(checkpoint_every="2steps")
    for _ in begin(run, out=path):
        pass
    return run


def test_a_log_gets_all_rows_and_the_state(tmp_path, monkeypatch):
    log = FakeLog()
    run = with_logs(tmp_path / "run", monkeypatch, log)
    assert log.tables == {"steps": run.history.steps["step"], "epochs": run.history.epochs["step"]}
    assert log.state == "complete"


@pytest.mark.parametrize("error", [ThalwegError("no server", "one"), ValueError("odd"), OSError(5)])
@pytest.mark.parametrize("after", [0, 3, 10**6])
def test_a_log_that_fails_does_not_stop_the_training(tmp_path, monkeypatch, error, after):
    broken, whole = FakeLog(error, after), FakeLog()
    run = with_logs(tmp_path / "run", monkeypatch, broken, whole)
    assert run.reason == whole.state == "complete"
    assert whole.tables["steps"] == run.history.steps["step"]
    said = (tmp_path / "run" / "log.txt").read_text()
    assert said.count("no longer logging to fake: ") == 1
    if after < 10**6:
        assert broken.calls == after + 1
    assert RunFolder.open(tmp_path / "run").state == "complete"


def test_an_unknown_log_is_refused_before_there_is_a_folder(tmp_path):
    with pytest.raises(SpecError, match="tensorbord"):
        train(data="digits", **QUICK, log="tensorbord", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ── the thread that writes ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(28, "full"), FileError, r"run \(No space left on device\).* free some space"),
        (FileError("a.txt", "b"), FileError, "got a.txt; expected b"),
        (ZeroDivisionError("by zero"), ZeroDivisionError, "by zero"),
    ],
)
def test_what_goes_wrong_while_writing_is_raised_once_where_the_training_is(
    tmp_path, error, kind, message
):
    writer = _Writer(tmp_path / "run")

    def fail() -> None:
        raise error

    writer.start(fail)
    with pytest.raises(kind, match=message):
        writer.wait()
    writer.wait()
    writer.start(fail)
    writer.join()
    with pytest.raises(kind, match=message):
        writer.check()
    writer.check()


def test_the_training_does_not_wait_for_the_disk_but_for_the_checkpoint_before(
    tmp_path, monkeypatch
):
    gate, order = threading.Event(), []
    write = Recorder._write

    def slow(self: Recorder, last: Any, *rest: Any, **more: Any) -> None:
        order.append(f"begin {last.facts['updates']}")
        gate.wait(10)
        write(self, last, *rest, **more)
        order.append(f"end {last.facts['updates']}")

    monkeypatch.setattr(Recorder, "_write", slow)
    for event in begin(make(checkpoint_every="4steps"), out=tmp_path / "run"):
        if isinstance(event, Step):
            order.append(str(event.clock.step))
            if event.clock.step == 7:
                gate.set()
    assert order.index("begin 4") < order.index("end 4")
    assert order.index("7") < order.index("end 4") < order.index("8")  # 8 waits for 4
    assert order[-2:] == ["begin 10", "end 10"]


def test_who_stops_listening_leaves_a_run_that_goes_on(tmp_path):
    events = begin(make(checkpoint_every="2steps"), out=tmp_path / "run")
    for _ in range(5):
        next(events)
    assert RunFolder.open(tmp_path / "run").state == "running"
    del events
    assert RunFolder.open(tmp_path / "run").state == "killed"
    assert not [thread for thread in threading.enumerate() if thread.name == "thalweg-recorder"]
    assert resume(tmp_path / "run").reason == "complete"


def test_an_error_in_the_training_leaves_a_run_that_goes_on(tmp_path, digits):
    calls = []

    def loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 12:
            raise ZeroDivisionError
        return nn.functional.cross_entropy(outputs, y)

    own = {"data": digits, "loss": loss}
    settings = {
        "hidden": (4,),
        "epochs": 5,
        "checkpoint_every": "1steps",
        "evaluate_every": "never",
    }
    with pytest.raises(ZeroDivisionError):
        train("mlp", **own, **settings, out=tmp_path / "run")
    assert RunFolder.open(tmp_path / "run").state == "killed"
    assert resume(tmp_path / "run", **own).reason == "complete"
