"""Searches: the same twice, the same after anything, and honest about what they found."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from torch import nn

import thalweg as tw
from thalweg.data import load_data
from thalweg.errors import DataError, FileError, SpecError, ThalwegError
from thalweg.spec import Spec
from thalweg.store.lock import locked
from thalweg.store.tune import locate_tune, read_tune, survey_tunes
from thalweg.study import Interrupted, begin_tune, go_on_tune, join_tune, load_tuning, tune
from thalweg.study.search.importance import importances
from thalweg.study.search.page import page_of
from thalweg.study.search.tuning import Final
from thalweg.study.search.worker import Asked, Ranked, Told, Trained


def came_to(found: tw.Tuning) -> dict[str, Any]:
    """All that a search came to, but for what the clock and deaths decide."""
    trials = [
        (t.number, dict(t.values), t.wave, t.state, t.value, dict(t.scores), t.epochs, t.reason)
        for t in found.trials
    ]
    assert found.final is not None
    bits = {
        number: {name: array.numpy().tobytes() for name, array in own.items()}
        for number, own in found.final.weights.items()
    }
    fresh = [(each.trial.number, each.standing) for each in found.finalists]
    return {
        "trials": trials,
        "fresh": fresh,
        "weights": bits,
        "test": found.info.test,
        "verdict": found.verdict,
    }


@pytest.fixture(scope="module")
def whole(small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tw.Tuning:
    """A search that nothing happened to, and whose folder nobody may change."""
    return tune(**small, out=tmp_path_factory.mktemp("whole") / "search")


# ── the same ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_not_recorded_comes_to_the_same(small: dict[str, Any], whole: tw.Tuning) -> None:
    found = tune(**small, out=False)
    assert came_to(found) == came_to(whole)
    with found.study() as study:
        assert len(study.trials) == 12
    assert found.folder is None


def test_a_folder_holds_all_of_it(whole: tw.Tuning) -> None:
    assert whole.folder is not None
    found = load_tuning(whole.folder)
    assert came_to(found) == came_to(whole)
    assert found.table["number"] == list(range(12))
    assert len(found.to_pandas()) == 12
    assert locate_tune(whole.folder) == whole.folder
    ((path, info),), damaged = survey_tunes(whole.folder.parent)
    assert (path, info, damaged) == (whole.folder, read_tune(whole.folder)[0], [])
    assert not (whole.folder / ".workers").exists()


def test_trials_are_sent_away_and_others_take_their_places(whole: tw.Tuning) -> None:
    states = [trial.state for trial in whole.trials]
    assert states.count("complete") >= 2
    assert states.count("pruned") >= 6
    waves = {trial.wave for trial in whole.trials}
    assert len(waves) >= 2
    assert all(trial.seconds > 0 for trial in whole.trials)
    assert {trial.epochs for trial in whole.trials if trial.state == "complete"} == {3.0}
    assert whole.best.value == max(t.value for t in whole.trials if t.state == "complete")
    leaders = whole.leaders()
    assert len({t.values["optimizer"] for t in leaders}) == len(leaders)


def test_the_test_split_is_looked_at_once_by_the_winner(whole: tw.Tuning) -> None:
    assert whole.final is not None
    measured = {name for each in whole.final.results.values() for name in each.metrics}
    assert "val_accuracy" in measured
    assert not any(name.startswith("test") for name in measured)
    assert whole.info.test is not None
    number = whole.winner.numbers[0]
    point = whole.final.points[number]
    alone = tw.train(spec=point.spec.override({"evaluate": ["val", "test"]}), out=False)
    assert alone.metrics["test_accuracy"] == whole.info.test["test_accuracy"][0]
    assert whole.test()["test_accuracy"].n == 2
    assert 0 not in whole.info.seeds  # the trials' own


def test_the_winner_is_a_recipe(whole: tw.Tuning) -> None:
    assert whole.folder is not None
    text = (whole.folder / "winner.toml").read_text()
    spec = Spec.from_toml(text)
    assert spec == whole.spec
    assert text.startswith("# val_accuracy ")
    run = tw.train(spec=spec, out=False)
    own = whole.winner.trial
    assert run.metrics["val_accuracy"] == own.value  # the same seed, so the same bits


def test_the_dashboard_opens_the_study(whole: tw.Tuning) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    storage = optuna.storages.RDBStorage(f"sqlite:///{whole.folder}/study.db")
    app = dashboard.wsgi(storage)

    def get(path: str) -> Any:
        said: list[str] = []
        request = {
            "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "x",
            "SERVER_PORT": "80", "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(),
                "wsgi.url_scheme": "http",
        }  # fmt: skip
        body = b"".join(app(request, lambda status, *_: said.append(status)))
        assert said == ["200 OK"]
        return json.loads(body)

    try:
        (study,) = get("/api/studies")["study_summaries"]
        found = get(f"/api/studies/{study['study_id']}")
        assert len(found["trials"]) == 12
        assert all(trial["intermediate_values"] for trial in found["trials"])
    finally:
        storage.remove_session()
        storage.engine.dispose()


# ── stopped and gone on with ─────────────────────────────────────────────────────────────────────


def stop_at(found: tw.Tuning, events: Any, when: Callable[[Any], bool]) -> None:
    def go_through() -> None:
        asked = False
        for happening in events:
            if not asked and when(happening):
                asked = True  # once more would do what it always does
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="thalweg resume"):
        go_through()
    assert found.info.state == "interrupted"


def test_it_goes_on_after_ctrl_c(small: dict[str, Any], whole: tw.Tuning, tmp_path: Path) -> None:
    found, events = begin_tune(**small, out=tmp_path / "search")
    seen: list[Any] = []

    def third(happening: Any) -> bool:
        seen.append(happening)
        return sum(isinstance(each, Ranked) for each in seen) == 3

    stop_at(found, events, third)
    told = {each.trial.number for each in seen if isinstance(each, Told)}
    assert told
    back = load_tuning(tmp_path / "search")
    assert {t.number for t in back.trials if t.state != "running"} >= told
    with pytest.raises(SpecError, match="a search that is not over"):
        _ = back.winner
    page = page_of(tmp_path / "search")
    assert "This search is not over" in page
    found, events = go_on_tune(tmp_path / "search")
    more = list(events)
    assert not told & {each.trial.number for each in more if isinstance(each, Told)}
    assert any(each.again for each in more if isinstance(each, Asked))
    expected = {t.number: t for t in whole.trials}
    for trial in found.trials:  # what was told is what it would have been
        if trial.number in told:
            assert trial.value == expected[trial.number].value
    assert max(trial.begun for trial in found.trials) == 2


def test_it_goes_on_while_the_best_are_run_again(
    small: dict[str, Any], whole: tw.Tuning, tmp_path: Path
) -> None:
    found, events = begin_tune(**small, out=tmp_path / "search")
    stop_at(found, events, lambda happening: isinstance(happening, Final))
    again = tw.resume(tmp_path / "search")
    assert isinstance(again, tw.Tuning)
    assert came_to(again) == came_to(whole)
    with pytest.raises(SpecError, match=r"which has ended \(complete\)"):
        tw.resume(tmp_path / "search")


def test_a_dead_worker_costs_nothing_that_was_told(
    small: dict[str, Any], whole: tw.Tuning, tmp_path: Path
) -> None:
    """A process that is killed says nothing; here its events are forgotten without a word."""
    _, events = begin_tune(**{**small, "sampler": "random"}, out=tmp_path / "search")
    told = []
    for happening in events:
        if isinstance(happening, Told):
            told.append(happening.trial)
            if len(told) == 5:
                break
    events.close()  # type: ignore[attr-defined]
    one = tune(**{**small, "sampler": "random"}, out=False)
    two = tw.resume(tmp_path / "search")
    assert isinstance(two, tw.Tuning)
    assert came_to(two) == came_to(one)  # who dies, costs time


def test_a_trial_that_is_not_whole_is_given_up(small: dict[str, Any], tmp_path: Path) -> None:
    found, events = begin_tune(**{**small, "sampler": "grid", "trials": 4}, out=tmp_path / "s")
    events.close()  # type: ignore[attr-defined]
    with found.study() as study:
        study.ask()  # its worker dies before it says to which wave it belongs
    again = tw.resume(tmp_path / "s")
    assert isinstance(again, tw.Tuning)
    assert len(again.trials) == 4
    assert [trial.number for trial in again.trials] == [1, 2, 3, 4]
    assert len({repr(trial.values) for trial in again.trials}) == 4


def test_the_last_trial_of_a_grid_is_not_another_one(small: dict[str, Any], tmp_path: Path) -> None:
    settings = {**small, "sampler": "grid", "trials": 1, "best": 1, "seeds": 1}
    found, events = begin_tune(**settings, out=tmp_path / "s")
    events.close()  # type: ignore[attr-defined]
    with found.study() as study:
        torn = found.space.suggest(study.ask())  # its worker dies before it belongs to a wave
    again = tw.resume(tmp_path / "s")
    assert isinstance(again, tw.Tuning)
    assert [dict(trial.values) for trial in again.trials] == [torn]


def test_one_process_ends_it_while_others_may_help(small: dict[str, Any], tmp_path: Path) -> None:
    _, events = begin_tune(**small, out=tmp_path / "search")
    events.close()  # type: ignore[attr-defined]
    _, helping = join_tune(tmp_path / "search")
    told = [each for each in helping if isinstance(each, Told)]
    assert len(told) == 12
    assert read_tune(tmp_path / "search")[0].state == "killed"  # nobody ends it
    with locked(tmp_path / "search"), pytest.raises(FileError, match="another process"):
        tw.resume(tmp_path / "search")
    over = tw.resume(tmp_path / "search")
    assert isinstance(over, tw.Tuning)
    assert [trial.begun for trial in over.trials] == [1] * 12


def test_two_processes_at_once(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    before = torch.get_num_threads()
    found = tune(**small, workers=2, group=3, out=tmp_path / "search")
    torch.set_num_threads(before)
    assert len(found.trials) == 12
    assert found.winner.value is not None


# ── what it may be given ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sampler", ["cmaes", "gp", "qmc"])
def test_every_sampler_and_pruner(small: dict[str, Any], sampler: str) -> None:
    settings = {**small, "optimizers": "adam", "over": {"batch_size": "int:30..60"}}
    settings |= {"sampler": sampler, "trials": 14, "epochs": 1, "best": 1, "seeds": 1}
    pruner = "hyperband" if sampler == "qmc" else "none"
    found = tune(**settings, pruner=pruner, out=False)
    assert len(found.trials) == 14
    if pruner == "none":
        assert {trial.state for trial in found.trials} == {"complete"}
    assert found.verdict == f"trial {found.winner.trial.number} ran alone"


def test_lengths_may_be_chosen(small: dict[str, Any]) -> None:
    settings = {**small, "optimizers": None, "epochs": None, "trials": 6}
    found = tune(**settings, over={"epochs": [1, 2], "lr": "1e-3..1e-1"}, out=False)
    ends = {t.values["epochs"]: t.epochs for t in found.trials if t.state == "complete"}
    assert ends
    assert all(length == epochs for length, epochs in ends.items())


def test_grids_are_written_down_before(small: dict[str, Any]) -> None:
    over = {"lr": [0.01, 0.1], "hidden": [[4], [8]]}
    settings = {**small, "optimizers": None, "epochs": 1, "pruner": "none", "sampler": "grid"}
    found = tune(**settings, over=over, out=False)
    assert len(found.trials) == found.info.trials == 4
    assert {(t.values["lr"], t.values["hidden"]) for t in found.trials} == {
        (lr, hidden) for lr in (0.01, 0.1) for hidden in ("[4]", "[8]")
    }


def test_a_model_and_data_of_ones_own(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    pair = (torch.rand(240, 1, 8, 8, generator=generator), torch.arange(240) % 10)
    data = load_data(pair, test=40)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    over = {"lr": "1e-3..1"}
    kept = {"trials": 4, "best": 1, "seeds": 1, "epochs": 1, "hidden": None}
    found = tune(model, data, over=over, **kept, out=tmp_path / "own")
    assert found.info.own == ["data", "model"]
    with pytest.raises(SpecError, match="came from Python"):
        join_tune(tmp_path / "own")
    with pytest.raises(SpecError, match="only what it was given"):
        join_tune(tmp_path / "own", model=model, data=data, loss="mse")
    other = load_data((pair[0] / 2, pair[1]), test=40)
    with pytest.raises(DataError, match="data that are not those"):
        join_tune(tmp_path / "own", model=model, data=other)
    with pytest.raises(SpecError, match="with a data from Python"):
        tune(model, data, over=over, workers=2)
    assert load_tuning(tmp_path / "own").verdict == found.verdict


def test_a_regression_and_no_test_split() -> None:
    x = torch.rand(80, 3, generator=torch.Generator().manual_seed(0))
    data = load_data((x, x.sum(1, keepdim=True)), val=20)
    found = tune("mlp", data, over={"lr": "1e-4..1e-1"}, trials=4, best=2, seeds=2, epochs=2,
                 hidden=(4,), out=False)  # fmt: skip
    assert found.info.metric == "val_loss"
    values = [t.value for t in found.trials if t.state == "complete"]
    assert found.best.value == min(v for v in values if v is not None)
    assert found.test() == {}


def test_nothing_that_comes_to_its_end(tmp_path: Path) -> None:
    found = tune("mlp", "reg-plane", over={"lr": "1e30..1e35"}, optimizer="sgd", trials=3,
                 hidden=(4,), epochs=1, out=tmp_path / "lost")  # fmt: skip
    assert {trial.state for trial in found.trials} == {"lost"}
    assert {trial.value for trial in found.trials} == {None}
    assert found.verdict == "no verdict: no trial came to its end"
    assert found.leaders() == []
    for what in ("winner", "best"):
        with pytest.raises(SpecError, match="no trial came to its end"):
            getattr(found, what)
    assert importances(found.space, found.trials) == {}
    assert "no verdict" in page_of(tmp_path / "lost").lower()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trials": 0}, "trials=0"),
        ({"group": 0}, "group=0"),
        ({"seeds": [0, 1]}, "fresh ones: the trials have 0"),
        ({"seeds": 0}, "one at least"),
        ({"metric": "val_acuracy"}, "did you mean val_accuracy"),
        ({"sampler": "tpee"}, "a sampler"),
        ({"pruner": "median"}, "a pruner"),
        ({"lr": 0.1}, "for all"),
        ({"workers": 2, "out": False}, "a folder in which they meet"),
        ({"storage": "mysql://x/y"}, "PostgreSQL"),
        ({"storage": "nowhere"}, "the address of a database"),
    ],
)
def test_what_cannot_be(small: dict[str, Any], given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        begin_tune(**{**small, **given})


def test_a_database_that_does_not_answer(small: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not answer"):
        begin_tune(**small, storage="postgresql://me:secret@127.0.0.1:1/x", out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_damaged_folders(whole: tw.Tuning, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="which does not exist"):
        load_tuning(tmp_path / "nothing")
    folder = tmp_path / "damaged"
    folder.mkdir()
    with pytest.raises(FileError, match="which is no search"):
        load_tuning(folder)
    (folder / "tune.json").write_text('{"format": 1}')
    (folder / "spec.toml").write_text("")
    with pytest.raises(FileError, match="what a search writes"):
        read_tune(folder)
    assert survey_tunes(tmp_path)[1][0].path == folder
    assert whole.folder is not None
    (folder / "tune.json").write_text((whole.folder / "tune.json").read_text())
    (folder / "spec.toml").write_text("nothing = 1")
    with pytest.raises(FileError, match="the unknown key"):
        read_tune(folder)
    (folder / "spec.toml").write_text((whole.folder / "spec.toml").read_text())
    with pytest.raises(FileError, match="no study called"):
        load_tuning(folder)
    with pytest.raises(FileError, match="not empty"):
        begin_tune("mlp", "digits", out=folder)


def test_happenings_tell_what_goes_on(small: dict[str, Any]) -> None:
    _, events = begin_tune(**small, out=False)
    kinds = [type(each) for each in events]
    assert kinds[0] is Asked
    assert {Asked, Trained, Ranked, Told, Final} == set(kinds)
    assert kinds.count(Told) == 12


def test_pandas_is_not_needed(whole: tw.Tuning, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ThalwegError, match="no pandas"):
        whole.to_pandas()
