"""A run that goes on comes to what it would have come to, bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import thalweg as tw
from thalweg.errors import DataError, FileError, ModelError, SpecError
from thalweg.store import RunFolder, Table, read_checkpoint, write_checkpoint
from thalweg.study import go_on, load_run, resume, train

Results = Callable[..., dict[str, str]]

KINDS: dict[str, dict[str, Any]] = {
    "everything": {},
    "full batch": {"batch_size": "full", "evaluate_every": "never"},
    "accumulate": {"batch_size": 25, "accumulate": 2, "drop_last": True},
    "madgrad": {"optimizer": "madgrad", "schedule": "one-cycle", "per": "step"},
    "patience": {"steps": 60, "patience": 2, "lr": 0.5, "monitor": "val_accuracy"},
    "until": {"steps": 60, "until": "running_accuracy>=0.3", "lookahead": None},
    "time": {"max_seconds": 0},
    "states that are thinned": {"record_states": 1, "record_budget": 0.012, "keep_best": False},
}


def stop_at(path: Path, step: int) -> None:
    """Make of a run that has ended one that was killed after the checkpoint of a step."""
    for file in (path / "checkpoints").iterdir():
        if file.stem.startswith("step-") and int(file.stem[5:]) > step:
            file.unlink()
    mark(path, "running")


def mark(path: Path, state: str, **facts: Any) -> None:
    file = path / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "state": state, **facts}))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, settings) -> Path:
    """A run that was never interrupted, with a checkpoint of every step."""
    path = tmp_path_factory.mktemp("whole") / "run"
    train(data="digits", **{**settings, "checkpoint_every": "1steps", "keep_last": 99}, out=path)
    return path


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


# ── the same bits ────────────────────────────────────────────────────────────────────────────


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", KINDS)
def test_from_any_checkpoint_to_the_same_bits(settings, kind, tmp_path, results: Results):
    changes = {**settings, **KINDS[kind], "checkpoint_every": "1steps", "keep_last": 99}
    train(data="digits", **changes, out=tmp_path / "whole")
    steps = list(RunFolder.open(tmp_path / "whole").checkpoints())
    expected = results(tmp_path / "whole")
    for step in steps[:: 1 if kind == "everything" else 3]:
        path = tmp_path / str(step)
        shutil.copytree(tmp_path / "whole", path)
        stop_at(path, step)
        run = resume(path)
        assert results(path) == expected
        assert "running_loss" in run.history.epochs or kind == "full batch"


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(copy, whole, results):
    stop_at(copy, 0)
    resume(copy)
    assert results(copy) == results(whole)
    assert "resumed at step 0" in (copy / "log.txt").read_text().replace(";", "")


def test_a_damaged_checkpoint_is_passed_over_and_removed(copy, whole, results):
    stop_at(copy, 9)
    newest = copy / "checkpoints" / "step-000000009.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    resumed, events = go_on(copy)
    assert resumed.cohort.updates == 8
    for _ in events:
        pass
    assert results(copy) == results(whole)
    assert "step-000000009.safetensors is damaged" in (copy / "log.txt").read_text()


@pytest.mark.parametrize("keep", [1, 2])
def test_a_checkpoint_from_the_future_takes_no_place_of_those_that_are_kept(copy, keep):
    stop_at(copy, 9)
    spec = copy / "spec.toml"
    text = spec.read_text().replace("keep_last = 99", f"keep_last = {keep}")
    spec.write_text(text.replace('checkpoint_every = "1steps"', 'checkpoint_every = "never"'))
    newest = copy / "checkpoints" / "step-000000009.safetensors"
    newest.write_bytes(b"")
    (copy / "checkpoints" / "step-000000099.safetensors").write_bytes(b"")
    resume(copy)
    assert list(RunFolder.open(copy).checkpoints()) == [8, 14][-keep:]


def test_states_that_a_later_checkpoint_dropped_are_not_missed(tmp_path, settings, results):
    """The newest checkpoint is damaged, and the one before is of a time with more states."""
    changes = {**settings, **KINDS["states that are thinned"], "checkpoint_every": "1steps"}
    train(data="digits", **changes, keep_last=99, out=tmp_path / "whole")
    expected, run = results(tmp_path / "whole"), RunFolder.open(tmp_path / "whole")
    every = {s: read_checkpoint(f).facts["states_every"] for s, f in run.checkpoints().items()}
    assert len(set(every.values())) > 2
    for step, interval in every.items():
        path = tmp_path / str(step)
        shutil.copytree(tmp_path / "whole", path)
        stop_at(path, step)
        assert len(run.states()) < 1 + 14 // interval or interval == max(every.values())
        resume(path)
        assert results(path) == expected


def test_metrics_in_many_files(tmp_path, settings, results, monkeypatch):
    """Of which those from after the checkpoint are gone when the run goes on."""
    monkeypatch.setattr("thalweg.study.record.Table", partial(Table, part_rows=2))
    changes = {**settings, "checkpoint_every": "1steps", "keep_last": 99}
    train(data="digits", **changes, out=tmp_path / "whole")
    assert len(list((tmp_path / "whole" / "metrics" / "steps").iterdir())) == 7
    for step in (2, 5):
        path = tmp_path / str(step)
        shutil.copytree(tmp_path / "whole", path)
        stop_at(path, step)
        _, events = go_on(path)
        for event in events:
            if event.clock.step == step + 1 and type(event).__name__ == "Step":
                events.close()
        assert len(RunFolder.open(path).steps()["step"]) == step + 1
        resume(path)
        assert results(path) == results(tmp_path / "whole")


def test_the_report_is_the_same(copy, whole, results):
    stop_at(copy, 5)
    resume(copy)
    assert results(copy, page=True) == results(whole, page=True)


def test_a_run_that_is_resumed_again_and_again(tmp_path, settings, results, whole):
    """Stopped by who listens, at every second step."""
    path = tmp_path / "run"
    run = tw.Run(RunFolder.open(whole).spec)
    events = tw.study.begin(run, out=path)
    while True:
        for _, event in zip(range(4), events, strict=False):
            last = type(event).__name__
        if last == "Finished":
            break
        events.close()
        assert RunFolder.open(path).state == "killed"
        _, events = go_on(path)
    assert results(path) == results(whole)


# ── things of one's own ──────────────────────────────────────────────────────────────────────


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.layer(x + 0.1 * torch.randn_like(x) if self.training else x)


def hinge(outputs: Tensor, y: Tensor) -> Tensor:
    return nn.functional.multi_margin_loss(outputs, y)


def largest(outputs: Tensor, y: Tensor) -> Tensor:
    return outputs.amax((-2, -1))


def noisy() -> Noisy:
    torch.manual_seed(0)
    return Noisy()


def test_what_was_given_in_python_is_given_again(tmp_path, digits, results):
    own = {"model": noisy(), "data": digits, "loss": hinge, "metrics": {"largest": largest}}
    changes = {"epochs": 2, "checkpoint_every": "1steps", "keep_last": 99, "batch_size": 60}
    train(**own, **changes, out=tmp_path / "whole")
    for step in (3, 4, 6):
        path = tmp_path / str(step)
        shutil.copytree(tmp_path / "whole", path)
        stop_at(path, step)
        resume(path, **{**own, "model": noisy()})
        assert results(path) == results(tmp_path / "whole")
    found = load_run(tmp_path / "whole", **own)
    assert found.metrics["test_largest"] == found.evaluate()["largest"]
    del own["loss"]
    for step in (3, 4):
        stop_at(tmp_path / str(step), step)
    for call in (resume, load_run):
        with pytest.raises(
            SpecError, match=r"whose loss came from Python; .* Hint: in Python: loss=…"
        ):
            call(tmp_path / "4", **own)
        with pytest.raises(SpecError, match="in Python: loss=…, metrics=…, model=…"):
            call(tmp_path / "3")


def test_what_was_not_given_in_python_is_not_taken(copy):
    stop_at(copy, 3)
    for call in (resume, load_run):
        with pytest.raises(SpecError, match=r"a model for .*run; expected only what"):
            call(copy, model=noisy())


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_other_data_under_the_same_name_are_refused(tmp_path, digits, split):
    train("mlp", digits, hidden=(4,), steps=2, out=tmp_path / "run")
    part = getattr(digits, split)
    other = replace(digits, **{split: part.take(torch.arange(len(part)).flip(0))})
    for call in (load_run, resume):
        with pytest.raises(DataError, match=r"data that are not those of .*run"):
            call(tmp_path / "run", data=other, **({} if call is load_run else {"steps": 3}))
    assert load_run(tmp_path / "run", data=replace(digits)).reason == "complete"


# ── longer ───────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_has_ended_goes_on_longer(tmp_path, settings):
    path = tmp_path / "run"
    settings = {**settings, "schedule": "constant", "keep_last": 5}
    train(data="digits", **settings, out=path)
    run = resume(path, steps=20)
    assert run.history.steps["step"] == list(range(1, 21))
    assert run.history.epochs["step"] == [3, 6, 9, 12, 14, 15, 18, 20]
    assert RunFolder.open(path).spec.steps == 20
    assert RunFolder.open(path).state == "complete"
    longer = train(data="digits", **{**settings, "steps": 20}, out=tmp_path / "at once")
    assert torch.equal(run.cohort.stack.theta, longer.cohort.stack.theta)
    with pytest.raises(SpecError, match=r"which has ended \(complete\); .* Hint: to go on longer"):
        resume(path)


def test_epochs_take_the_place_of_steps_and_a_condition_can_be_taken_back(tmp_path, settings):
    path = tmp_path / "run"
    train(data="digits", **{**settings, "until": "running_loss<100"}, out=path)
    assert RunFolder.open(path).state == "until"
    run = resume(path, epochs=5, until=None)
    assert (run.reason, run.cohort.updates) == ("complete", 5 * run.length.per_epoch)
    assert RunFolder.open(path).spec.until is None


def test_what_was_said_at_an_earlier_end_does_not_stay(copy):
    _, events = go_on(copy, steps=30)
    next(events)
    folder = RunFolder.open(copy)
    assert folder.state == "running"
    assert folder.predictions() is folder.mistakes() is None
    for _ in events:
        pass
    assert folder.predictions() is not None


def test_pictures_of_mistakes_go_when_there_are_none_any_more(tmp_path):
    x = torch.eye(4).repeat(8, 1).view(-1, 1, 2, 2)
    data = {"train": (x, torch.arange(4).repeat(8)), "test": (x, torch.arange(4).repeat(8))}
    own = {"data": data}
    settings = {"lr": 0.3, "hidden": (), "batch_size": "full"}
    train("mlp", **own, **settings, steps=1, seed=3, out=tmp_path / "run")
    assert RunFolder.open(tmp_path / "run").mistakes() is not None
    resume(tmp_path / "run", **own, steps=200)
    assert RunFolder.open(tmp_path / "run").mistakes() is None
    assert RunFolder.open(tmp_path / "run").predictions() is not None


def test_a_wrong_length_changes_nothing(copy):
    before = (copy / "spec.toml").read_bytes(), (copy / "run.json").read_bytes()
    for longer in ({"steps": 0}, {"epochs": -1}, {"monitor": 3}, {"until": "loss"}):
        with pytest.raises((SpecError, FileError)):
            resume(copy, **longer)
    with pytest.raises(SpecError, match=r"a lr for .*; expected only what the run was given"):
        resume(copy, steps=20, lr=0.1)
    assert ((copy / "spec.toml").read_bytes(), (copy / "run.json").read_bytes()) == before


# ── looking at a run ─────────────────────────────────────────────────────────────────────────


def test_a_run_is_brought_back_as_it_was(whole):
    run = load_run(whole)
    assert run.reason == "complete"
    assert run.metrics["test_loss"] == run.evaluate("test")["loss"]
    assert run.history.steps["step"] == list(range(1, 15))
    assert run.states.steps == list(range(0, 15, 2))
    assert torch.equal(run.states.theta[-1], run.cohort.stack.theta)
    assert run.folder == whole


@pytest.mark.parametrize("which", ["1", "7", "14", "best"])
def test_a_checkpoint_brings_back_its_own_history(whole, which):
    run = load_run(whole, which)
    updates = run.cohort.updates
    assert which in {"best", str(updates)}
    assert run.history.steps["step"] == list(range(1, updates + 1))
    evaluated = run.history.epochs["step"]
    assert all(step <= updates for step in evaluated)
    assert run.states.steps == list(range(0, updates + 1, 2))
    if which == "best":
        losses = load_run(whole).history.epochs["val_loss"]
        assert run.metrics["val_loss"] == min(losses)
        assert evaluated[-1] == updates


def test_to_look_at_a_run_changes_nothing(copy):
    before = {file: file.stat().st_mtime_ns for file in copy.rglob("*") if file.is_file()}
    load_run(copy)
    load_run(copy, "best")
    RunFolder.open(copy)
    after = {file: file.stat().st_mtime_ns for file in copy.rglob("*") if file.is_file()}
    assert after == before


def test_a_run_is_found_by_its_name(whole, copy, monkeypatch):
    monkeypatch.setenv("THALWEG_RUNS", str(copy.parent))
    mark(copy, "complete", name="the first try")
    assert load_run("the first try").folder == load_run("run").folder == copy
    with pytest.raises(FileError, match=r"got 'the first tri'.* did you mean the first try\?"):
        resume("the first tri", steps=20)


# ── what is refused ──────────────────────────────────────────────────────────────────────────


def test_a_run_that_diverged_does_not_go_on(copy):
    mark(copy, "diverged")
    for longer in ({}, {"epochs": 9}):
        with pytest.raises(SpecError, match=r"which diverged; .* --weights, with a smaller lr"):
            resume(copy, **longer)
    assert load_run(copy).cohort.updates == 14


def test_a_run_that_somebody_writes_is_left_alone(copy):
    stop_at(copy, 6)
    with RunFolder.open(copy).locked():
        for attempt in (lambda: resume(copy), lambda: go_on(copy, epochs=9)):
            with pytest.raises(FileError, match=r"run, which another process is writing"):
                attempt()
        assert load_run(copy).cohort.updates == 6


def test_who_goes_on_holds_the_run_from_the_moment_that_it_is_read(copy):
    stop_at(copy, 6)
    _, events = go_on(copy)
    with pytest.raises(FileError, match="another process is writing"):
        go_on(copy)
    del events  # never begun
    go_on(copy)


def test_a_run_that_another_process_has_ended_meanwhile_is_not_begun_again(copy, monkeypatch):
    stop_at(copy, 6)
    locked = RunFolder.locked

    def late(self):
        mark(copy, "complete")
        return locked(self)

    monkeypatch.setattr(RunFolder, "locked", late)
    with pytest.raises(SpecError, match="which has ended"):
        resume(copy)


def test_a_checkpoint_of_another_model_or_rule(copy, tmp_path, settings):
    for number, change in enumerate(({"hidden": (9,)}, {"optimizer": "sgd"}, {"lookahead": None})):
        other = tmp_path / f"other {number}"
        train(data="digits", **{**settings, **change}, out=other)
        stop_at(copy, 13)
        file = copy / "checkpoints" / "step-000000014.safetensors"
        shutil.copy(other / "checkpoints" / file.name, file)
        for call in (resume, load_run):
            with pytest.raises(ModelError, match="of another model or rule") as caught:
                call(copy)
            assert str(file) in str(caught.value)


def test_metrics_that_do_not_reach_to_the_checkpoint(copy):
    stop_at(copy, 9)
    shutil.rmtree(copy / "metrics" / "steps")
    with pytest.raises(FileError, match=r"metrics/steps with 0 rows; expected the 9 of its check"):
        resume(copy)


def test_metrics_of_another_kind(copy):
    stop_at(copy, 9)
    steps, epochs = copy / "metrics" / "steps", copy / "metrics" / "epochs"
    steps.rename(copy / "metrics" / "x")
    epochs.rename(steps)
    (copy / "metrics" / "x").rename(epochs)
    with pytest.raises(FileError, match=r"metrics/steps with columns"):
        resume(copy)


def test_metrics_of_other_steps(copy):
    stop_at(copy, 9)
    run = RunFolder.open(copy)
    columns = {name: column[1:] for name, column in run.steps().items()}
    tw.store.Table(copy / "metrics" / "steps", list(columns)).write(columns)
    with pytest.raises(FileError, match="metrics/steps with other rows than those of its run"):
        resume(copy)


@pytest.mark.parametrize("facts", [
    {"rows": {"steps": 10**12, "epochs": 0}}, {"rows": {}}, {"rows": None}, {"updates": 10**15},
    {"states_every": 10**15}, {"states_every": 1}, {"done": 10**12}, {"reason": "bored"},
    {"counts": {}}, {"mood": "good"},
])  # fmt: skip
def test_facts_that_were_made_up_are_refused_or_harmless(copy, facts):
    """Their checksum is right."""
    stop_at(copy, 9)
    file = copy / "checkpoints" / "step-000000009.safetensors"
    found = read_checkpoint(file)
    write_checkpoint(file, found.arrays, {**found.facts, **facts})
    try:
        resume(copy)
    except (FileError, ModelError) as error:
        said = str(error)
    else:
        said = "" if facts.keys() & {"done", "states_every"} else "it was taken"
    assert str(copy) in said or not said


def test_states_that_are_of_another_model_or_missing(copy):
    stop_at(copy, 9)
    first = copy / "states" / "step-000000000.safetensors"
    whole = first.read_bytes()
    write_checkpoint(first, {"1.weight": torch.ones(3)}, {"updates": 0})
    with pytest.raises(FileError, match=r"step-000000000\.safetensors, a state of another model"):
        resume(copy)
    first.unlink()
    with pytest.raises(FileError, match="states without step 0"):
        resume(copy)
    first.write_bytes(whole)
    resume(copy)


def test_a_spec_that_was_changed_by_hand(copy):
    stop_at(copy, 9)
    spec = copy / "spec.toml"
    for old, new, message in (
        ('name = "adam"', 'name = "adma"', "did you mean adam"),
        ("hidden = [", "hiden = [", "hiden"),
        ('source = "digits"', 'source = "nowhere"', "nowhere"),
        ("val = 60", "val = 6000", "6000"),
    ):
        text = spec.read_text("utf-8")
        assert old in text
        spec.write_text(text.replace(old, new))
        with pytest.raises(FileError, match=message) as caught:
            resume(copy)
        assert str(spec) in str(caught.value)
        spec.write_text(text)
