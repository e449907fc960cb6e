"""Races: fair, the same twice, and the same after anything."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import thalweg as tw
from thalweg.data import Data, load_data
from thalweg.engine import Event, Finished
from thalweg.errors import DataError, FileError, SpecError
from thalweg.store.lock import locked
from thalweg.study import Interrupted, Race, begin_race, go_on_race, load_race, race
from thalweg.study.races.contest import Happening
from thalweg.study.signals import stop_on_signals
from thalweg.study.sweeps.series import Series

SMALL: dict[str, Any] = {
    "model": "mlp", "data": "digits", "hidden": (8,), "subset": 240, "val": 60, "batch_size": 60,
    "steps": 12, "evaluate_every": "4steps", "dropout": 0.2, "seeds": 2,
    "optimizers": ["momentum", "adam+ema", "sgd+svrg"],
}  # fmt: skip


def came_to(found: Race) -> dict[str, Any]:
    """All that a race came to, but for what the clock decides."""
    assert found.final is not None
    traces = {
        name: [
            (t.seed, list(t.costs["epochs"]), list(t.costs["gradients"]), t.values, t.diverged)
            for t in own
        ]
        for name, own in found.traces().items()
    }
    bits = {
        number: {key: array.numpy().tobytes() for key, array in own.items()}
        for number, own in found.final.weights.items()
    }
    told = [repr(found.standings(by=by)) for by in ("epochs", "gradients")]
    ways = {
        number: [
            (step, theta.numpy().tobytes()) for step, theta in zip(s.steps, s.theta, strict=True)
        ]
        for number, s in found.final.states.items()
    }
    return {
        "ways": ways,
        "trials": found.trials,
        "ladders": found.ladders,
        "traces": repr(traces),
        "standings": [text.replace("seconds", "") for text in told],
        "verdict": found.verdict,
        "target": found.target,
        "weights": bits,
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Race:
    """A race that nothing happened to, and whose folder nobody may change."""
    return race(**SMALL, out=tmp_path_factory.mktemp("whole") / "race")


@pytest.fixture(scope="module")
def result(whole: Race) -> dict[str, Any]:
    return came_to(whole)


@pytest.fixture
def copied(whole: Race, tmp_path: Path) -> Path:
    assert whole.folder is not None
    shutil.copytree(whole.folder, tmp_path / "copied")
    return tmp_path / "copied"


# ── the same ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_not_recorded_comes_to_the_same(result: dict[str, Any]) -> None:
    assert came_to(race(**SMALL, out=False)) == result


def test_a_member_is_its_run_alone(whole: Race) -> None:
    assert whole.final is not None
    for number in (1, 4):
        point = whole.final.points[number]
        alone = tw.train(spec=point.spec, out=False)
        for name, array in whole.final.weights[number].items():
            assert torch.equal(array, alone.model.state_dict()[name]), name


def test_the_first_seed_records_its_way(whole: Race) -> None:
    assert whole.final is not None
    for number, point in enumerate(whole.final.points):
        own, alone = whole.final.states[number], tw.train(spec=point.spec, out=False).states
        assert own.steps == alone.steps == (list(range(13)) if number % 2 == 0 else [])
        for one, other in zip(own.theta, alone.theta, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [({"ways": 0}, []), ({"ways": 5}, [0, 3, 6, 9, 12]), ({"record_states": 6}, [0, 6, 12])],
)
def test_ways_change_nothing_else(
    changes: dict[str, Any], steps: list[int], result: dict[str, Any]
) -> None:
    found = race(**SMALL, **changes, out=False)
    assert found.final is not None
    assert found.final.states[0].steps == steps
    assert {**came_to(found), "ways": result["ways"]} == result


def test_ways_share_their_room() -> None:
    found = race(**SMALL, tune=False, record_budget=3 * 5 * 656 * 4 / 2**20, out=False)
    assert found.final is not None
    assert [len(s.steps) for s in found.final.states.values()] == [4, 0] * 3


def test_ways_are_a_number() -> None:
    with pytest.raises(SpecError, match="got ways=-1; expected a number of states, or 0"):
        race(**SMALL, ways=-1, out=False)


def test_memory_changes_nothing(result: dict[str, Any]) -> None:
    found, events = begin_race(**SMALL, out=False, memory=1.5e6)
    sizes = {len(series.groups) for _, series, _ in events}
    assert max(sizes) > 3
    assert came_to(found) == result


def test_everybody_is_treated_alike(whole: Race) -> None:
    assert whole.final is not None
    counts = {name: len(own.scores) for name, own in whole.ladders.items()}
    assert len(set(counts.values())) == 1
    seeds = {point.spec.seed for point in whole.final.points}
    assert not seeds & {trial.seed for trial in whole.trials}
    assert {point.spec.order_seed for point in whole.final.points} == {0}
    measured = {
        key
        for path in (whole.folder.glob("tuning-*") if whole.folder else ())
        for key in tw.store.SeriesFolder.open(path).results()
    }
    assert "val_accuracy" in measured
    assert not any(key.startswith("test") for key in measured)


def test_each_seed_may_have_its_own_order() -> None:
    found = race(**SMALL | {"optimizers": "sgd,adam", "tune": False}, order="own", out=False)
    assert found.final is not None
    assert {point.spec.order_seed for point in found.final.points} == {None}


def test_tuning_may_take_several_seeds() -> None:
    small = SMALL | {"optimizers": "adam", "seeds": [5, 9]}
    found = race(**small, tuning_seeds=2, out=False)
    assert {trial.seed for trial in found.trials} == {1009, 1010}
    assert len(found.trials) == 2 * len(found.ladders["adam"].scores)
    assert [t.seed for t in found.traces()["adam"]] == [5, 9]


# ── after anything ───────────────────────────────────────────────────────────────────────────────


def leave(folder: Path, events: int, begin: Callable[..., Any] = begin_race) -> str:
    """Begin a race, and leave it after some events as a kill would; return the part it was in."""
    given: dict[str, Any] = {**SMALL, "out": folder} if begin is begin_race else {"race": folder}
    _, happening = begin(**given)
    parts = [part for _, (part, _, _) in zip(range(events), happening, strict=False)]
    happening.close()
    return parts[-1] if parts else ""


@pytest.mark.no_cover
@pytest.mark.parametrize("events", [1, 13, 15, 33, 40])
def test_after_a_kill_it_goes_on_to_the_same(
    events: int, result: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "race"
    leave(folder, events)
    assert load_race(folder).info.state == "killed"
    part = leave(folder, 20, go_on_race)
    partly = load_race(folder)
    assert partly.final is None
    assert part.startswith(("tuning", "final"))
    with pytest.raises(SpecError, match="a race that is not over"):
        partly.standings()
    resumed = tw.resume(folder)
    assert isinstance(resumed, Race)
    assert came_to(resumed) == came_to(load_race(folder)) == result


def test_killed_before_anybody_was_evaluated(result: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "race"
    _, events = begin_race(**SMALL, checkpoint_every="1steps", out=folder)
    for _ in range(3):
        next(events)
    events.close()  # type: ignore[attr-defined]
    assert list(folder.rglob("step-*.safetensors"))
    assert leave(folder, 2, go_on_race) == "tuning-00"  # writes a checkpoint of its own
    found, events = go_on_race(folder)
    assert list(events)
    assert came_to(found) == result


def test_killed_while_a_part_is_made(result: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "race"
    leave(folder, 0)
    (folder / "tuning-00").mkdir()
    (folder / "tuning-00" / "spec.toml").write_text("half a")
    found, events = go_on_race(folder)
    assert list(events)
    assert came_to(found) == result


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_it(number: signal.Signals, result: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "race"
    _, events = begin_race(**SMALL, out=folder)
    with pytest.raises(Interrupted, match=f"thalweg resume {folder} goes on") as raised:
        _signalled(events, lambda part, series, event: event.clock.step == 7, number)
    assert raised.value.signal == number
    assert load_race(folder).info.state == "interrupted"

    def is_last_of_a_part(part: str, series: Series, event: Event) -> bool:
        over = len(series.results) + len(event.members) == len(series.points)
        return isinstance(event, Finished) and over

    _, events = go_on_race(folder)
    with pytest.raises(Interrupted):
        _signalled(events, is_last_of_a_part, number)
    assert (folder / "tuning-00").exists()
    assert not (folder / "tuning-01").exists()
    found, events = go_on_race(folder)
    assert list(events)
    assert came_to(found) == result


def _signalled(
    events: Iterator[Happening], when: Callable[..., bool], number: signal.Signals
) -> None:
    """Go through the events of a race, and send a signal to this process at some of them."""
    for each in events:
        if when(*each):
            os.kill(os.getpid(), number)


def test_who_listens_within_hears_the_same_signal() -> None:
    with stop_on_signals() as outer:
        with stop_on_signals() as inner:
            os.kill(os.getpid(), signal.SIGINT)
        assert inner is outer
        assert outer.signal == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    leave(tmp_path / "race", 1)
    _, events = go_on_race(tmp_path / "race")
    with locked(tmp_path / "race"), pytest.raises(FileError, match="another process"):
        next(events)


NURSERY = """
import json, os, signal, sys, time, traceback
from thalweg.cli import main
main(["train", "digits", "--steps", "1", "--threads", "1", "--no-record", "--quiet"])
print("ready", flush=True)
for line in sys.stdin:
    words, delay = json.loads(line)
    child = os.fork()
    if not child:
        code = 70
        try:
            quiet = os.open(os.devnull, os.O_RDWR)
            os.dup2(quiet, 0), os.dup2(quiet, 1)
            code = main(words)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

WORDS = ["race", "digits", "--optimizers", "momentum,adam+ema,sgd+svrg", "--seeds", "2", "--quiet"]
WORDS += ["--hidden", "8", "--subset", "240", "--val", "60", "--batch-size", "60", "--steps", "12"]
WORDS += ["--evaluate-every", "4steps", "--dropout", "0.2", "--threads", "1"]
WORDS += ["--checkpoint-every", "2steps"]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Callable[..., int]]:
    """Runs ``thalweg`` in a process of its own, and kills it after a while."""
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    command, pipe = [sys.executable, "-c", NURSERY], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=paths) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        while stdout.readline().strip() != "ready":
            assert process.poll() is None

        def run(*words: str, delay: float | None = None) -> int:
            print(json.dumps([words, delay]), file=stdin, flush=True)
            return int(stdout.readline())

        yield run
        stdin.close()


def _killed(nursery: Callable[..., int], folder: Path, delays: Iterator[float]) -> int:
    """Kill a race again and again until it is over; return how often."""
    words, kills = (*WORDS, "--out", str(folder)), 0
    while True:
        code = nursery(*words, delay=next(delays, None))
        if code != -signal.SIGKILL:
            assert code == 0
            return kills
        kills += 1
        if (folder / "race.json").exists():
            words = ("resume", str(folder), "--quiet")
            if load_race(folder).info.state == "complete":
                return kills
        else:
            shutil.rmtree(folder, ignore_errors=True)


def test_kill_9_at_several_moments(
    nursery: Callable[..., int], result: dict[str, Any], tmp_path: Path
) -> None:
    begin = time.monotonic()
    assert nursery(*WORDS, "--out", str(tmp_path / "whole")) == 0
    took = time.monotonic() - begin
    kills, folder = 0, tmp_path / "race"
    while kills < 2:  # sooner, if this machine was busier with the whole one
        shutil.rmtree(folder, ignore_errors=True)
        kills = _killed(nursery, folder, iter([0.2 * took, 0.45 * took, 0.3 * took]))
        took /= 2
    found = came_to(load_race(folder))
    assert found == came_to(load_race(tmp_path / "whole"))
    assert found["verdict"] == result["verdict"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_kill_9_at_random_moments(
    seed: int, nursery: Callable[..., int], whole: Race, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    delays = iter([draw.uniform(0.05, 1.0) for _ in range(40)])
    _killed(nursery, tmp_path / "race", delays)
    found, expected = came_to(load_race(tmp_path / "race")), came_to(whole)
    assert {**found, "traces": ""} == {**expected, "traces": ""}
    assert found["traces"] == expected["traces"]


# ── what is complete ─────────────────────────────────────────────────────────────────────────────


def test_to_look_at_a_complete_race_trains_nothing(
    whole: Race, result: dict[str, Any], copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    before = {file: file.stat().st_mtime_ns for file in copied.rglob("*")}
    for name in ("thalweg.engine.Group.__init__", "thalweg.study.races.contest.update_seconds"):
        monkeypatch.setattr(name, fail)
    found = load_race(copied)
    assert came_to(found) == result
    assert found.standings(by="seconds") == whole.standings(by="seconds")
    assert found.curves() == whole.curves()
    assert found.profile("seconds") == whole.profile("seconds")
    assert {file: file.stat().st_mtime_ns for file in copied.rglob("*")} == before
    with pytest.raises(SpecError, match="which has ended"):
        tw.resume(copied)


def test_it_is_found_by_its_name(
    whole: Race, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THALWEG_RUNS", str(copied.parent))
    assert load_race("race").folder == copied  # the name that it was given
    assert load_race("copied").folder == copied
    with pytest.raises(FileError, match="which is a race of many runs"):
        tw.load_run("race")
    shutil.copytree(copied, copied.parent / "other")
    with pytest.raises(FileError, match="the name of 2 races"):
        load_race("race")
    with pytest.raises(FileError, match="which does not exist"):
        load_race("nothing")


def _spoil(file: str, *change: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / file
        if not change:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        else:
            text = path.read_text()
            assert change[0] in text
            path.write_text(text.replace(*change))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_spoil("race.json"), "race.json (damaged)"),
        (_spoil("race.json", '"order": "shared"', '"order": "odd"'), "race.json (order: "),
        (_spoil("race.json", '"format": 1', '"format": 9999'), "9999"),
        (_spoil("spec.toml"), "spec.toml"),
        (lambda folder: (folder / "spec.toml").unlink(), "spec.toml"),
        (_spoil("tuning-00/series.json"), "series.json (damaged)"),
        (_spoil("tuning-00/results.parquet"), "results.parquet"),
        (_spoil("final/series.json", '"seed": 1', '"seed": 7'), "final, with other members"),
        (lambda folder: shutil.rmtree(folder / "final"), "without one of its parts"),
        (lambda folder: shutil.rmtree(folder / "tuning-00"), "without one of its parts"),
        (lambda folder: (folder / "race.json").unlink(), "which is no race"),
    ],
)
def test_damage_is_told(spoil: Callable[[Path], None], complaint: str, copied: Path) -> None:
    spoil(copied)
    with pytest.raises(FileError) as raised:
        load_race(copied)
    assert complaint in str(raised.value)


def test_a_folder_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(FileError, match="which is not empty"):
        race(**SMALL, out=tmp_path)
    with pytest.raises(FileError):
        race(**SMALL, out=tmp_path / "mine" / "below")


# ── what was given in Python ─────────────────────────────────────────────────────────────────────


def cost(outputs: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, labels, label_smoothing=0.1)


def sure(outputs: Tensor, labels: Tensor) -> Tensor:
    return outputs.softmax(-1).amax(-1).mean(-1)


def test_what_came_from_python_is_given_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 2))
    x, y = torch.rand(120, 1, 4, 5), torch.arange(120) % 2
    arrays = {"train": (x, y), "test": (x[:40], y[:40])}
    own: dict[str, Any] = {"data": arrays, "loss": cost, "metrics": {"sure": sure}}
    own["model"] = network
    rest: dict[str, Any] = {"optimizers": ["sgd", "muon"], "seeds": 2, "steps": 6, "batch_size": 20}
    alone = race(**own, **rest, metric="val_sure", out=False)
    folder = tmp_path / "race"
    _, events = begin_race(**own, **rest, metric="val_sure", out=folder)
    for _ in range(9):
        next(events)
    events.close()  # type: ignore[attr-defined]
    with pytest.raises(SpecError, match="came from Python"):
        go_on_race(folder)
    with pytest.raises(SpecError, match="only what it was given"):
        go_on_race(folder, **own, epochs=3)
    others = {**arrays, "train": (1 - x, y)}
    with pytest.raises(DataError, match="not those of"):
        go_on_race(folder, **{**own, "data": others})
    resumed = tw.resume(folder, **own)
    assert isinstance(resumed, Race)
    assert came_to(resumed) == came_to(alone) == came_to(load_race(folder))
    assert resumed.info.own == ["data", "loss", "metrics", "model"]


@pytest.mark.parametrize("val", [None, 50])
def test_data_of_ones_own(val: int | None) -> None:
    data: Data = load_data("digits", subset=240, val=val)
    small = {**SMALL, "data": data, "optimizers": "adam"}
    found = race(**{k: v for k, v in small.items() if k not in {"subset", "val"}}, out=False)
    assert found.info.data.samples["val"] == (val or 180)  # by the name: a tenth before the subset


def test_data_of_ones_own_that_no_name_says(tmp_path: Path) -> None:
    data = load_data("digits", subset=240).corrupt(label_noise=0.1)
    small = {k: v for k, v in SMALL.items() if k not in {"subset", "val"}}
    small |= {"data": data, "optimizers": "adam", "seeds": 1}
    alone = race(**small, out=False)
    assert alone.info.data.samples["val"] == 24
    _, events = begin_race(**small, out=tmp_path / "race")
    next(events)
    events.close()  # type: ignore[attr-defined]
    resumed = tw.resume(tmp_path / "race", data=data)
    assert isinstance(resumed, Race)
    assert came_to(resumed) == came_to(alone)


# ── odd ones ─────────────────────────────────────────────────────────────────────────────────────


def test_contestants_given_as_settings_survive(tmp_path: Path) -> None:
    given = [
        {"name": "heavy", "optimizer": "momentum", "momentum": 0.95, "clip_norm": 1.0},
        {"name": "quick", "optimizer": {"name": "adam", "wrap": ("ema",)}},
    ]
    folder = tmp_path / "race"
    _, events = begin_race(**SMALL | {"optimizers": given}, out=folder)
    for _ in range(5):
        next(events)
    events.close()  # type: ignore[attr-defined]
    resumed = tw.resume(folder)
    assert came_to(resumed) == came_to(race(**SMALL | {"optimizers": given}, out=False))  # type: ignore[arg-type]
    assert isinstance(resumed, Race)
    assert list(resumed.contestants) == ["heavy", "quick"]


def test_a_regression_is_decided_by_its_loss() -> None:
    small = {**SMALL, "data": "reg-plane", "optimizers": "sgd,adam", "val": 0.1, "subset": None}
    found = race(**small, out=False)
    assert found.info.metric == "val_loss"
    assert found.target.comparison == "<="
    first, second = found.standings()
    assert first.value is not None
    assert second.value is not None
    assert first.value.mean <= second.value.mean


def test_contestants_with_another_batch_size() -> None:
    optimizers = ["adam", "gd", {"name": "small", "optimizer": "adam", "batch_size": 20}]
    small = {k: v for k, v in SMALL.items() if k != "steps"} | {"optimizers": optimizers}
    found = race(**small, epochs=4, out=False)
    assert found.final is not None
    assert len(found.final.groups) == 3
    ends = {name: own[0].costs for name, own in found.traces().items()}
    assert [each["epochs"][-1] for each in ends.values()] == [4.0] * 3
    assert [each["gradients"][-1] for each in ends.values()] == [48.0] * 3  # in batches of 20
    assert {len(each["epochs"]) for each in ends.values()} == {4, 1, 12}
    assert [each.value is not None for each in found.standings(by="gradients")] == [True] * 3


def test_one_that_always_diverges_is_behind() -> None:
    lost = {"name": "lost", "optimizer": "sgd", "l2": 1e38}
    found = race(**SMALL | {"optimizers": [lost, "adam"], "steps": 3}, out=False)
    assert found.ladders["lost"].all_diverged
    assert found.tuned == (not found.ladders["adam"].at_edge)
    first, second = found.standings()
    assert (first.contestant, second.contestant) == ("adam", "lost")
    assert (second.value, second.diverged, second.is_behind) == (None, 2, True)
    assert found.curves()["lost"].x == []
    assert {score.score for score in found.trials if score.contestant == "lost"} == {None}


def test_everybody_diverges() -> None:
    lost = {"name": "lost", "optimizer": "sgd", "l2": 1e38}
    found = race(**SMALL | {"optimizers": [lost], "steps": 3}, out=False)
    assert found.verdict == "no verdict: every run diverged"
    assert found.profile() == {"lost": []}


def test_one_seed_and_one_contestant() -> None:
    one = race(**SMALL | {"optimizers": "momentum,adam", "seeds": 1}, out=False)
    assert one.verdict.startswith(("cannot tell between ", "no verdict: the best"))
    assert one.standings()[1].p == 1.0
    alone = race(**SMALL | {"optimizers": "adam"}, out=False)
    assert alone.verdict == "adam ran alone"
    assert alone.standings()[0].behind is None


def test_foreign_optimizers_and_schedules_that_react() -> None:
    small = SMALL | {"optimizers": ["torch.optim.NAdam", "sgd+sam", "momentum@plateau"]}
    found = race(**small | {"evaluate_every": "2steps"}, out=False)
    assert [len(own) for own in found.traces().values()] == [2] * 3


def test_untuned_there_is_no_verdict(tmp_path: Path) -> None:
    found = race(**SMALL, tune=False, target="test_accuracy >= 0.1", out=tmp_path / "race")
    assert found.verdict == "no verdict: the learning rates were not tuned"
    assert (found.trials, found.ladders, found.tuned) == ([], {}, False)
    assert found.target.metric == "test_accuracy"
    assert load_race(tmp_path / "race").verdict == found.verdict


def test_evaluations_are_at_equal_distances() -> None:
    small = {k: v for k, v in SMALL.items() if k not in {"steps", "evaluate_every"}}
    found = race(**small | {"tune": False, "optimizers": "adam"}, epochs=13, out=False)
    assert found.traces()["adam"][0].costs["epochs"][:2] == [3 / 4, 6 / 4]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"optimizers": []}, "no contestants"),
        ({"optimizers": ["adam", "adam"]}, "two contestants called 'adam'"),
        ({"optimizers": "adma"}, "did you mean adam"),
        ({"seeds": 0}, "one at least of each"),
        ({"seeds": [1, 1]}, "each once"),
        ({"tuning_seeds": 0}, "one at least of each"),
        ({"order": "odd"}, "shared or own"),
        ({"metric": "test_accuracy"}, "one on the validation split"),
        ({"metric": "val_acc"}, "did you mean val_accuracy"),
        ({"target": "val_accuracy"}, "got target='val_accuracy'"),
        ({"target": "val_acuracy>=1"}, "target with 'val_acuracy'"),
        ({"lr": 0.1}, "got lr=0.1 for all; expected contestants' own"),
        ({"optimizer": "sgd"}, "got optimizer='sgd' for all"),
        ({"momentum": 0.5}, "got momentum=0.5 for all"),
        ({"nothing": 1}, "nothing"),
        ({"memory": 10.0}, "memory for one at least"),
    ],
)
def test_what_is_no_race(given: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as raised:
        race(**SMALL | given, out=tmp_path / "race")
    assert complaint in str(raised.value)
