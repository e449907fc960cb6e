"""``thalweg landscape`` of a sweep, of a race, and of a recipe that it runs first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from thalweg import recipes
from thalweg.cli import ways
from thalweg.recipes import SweepRecipe
from thalweg.study import go_on_sweep, load_sweep

Told = Callable[..., tuple[str, str]]

RECIPE = """
[[over]]
name = "GD"
optimizer = "sgd"
batch_size = "full"

[[over]]
name = "Adam"

[spec]
batch_size = 60
steps = 8
record_states = 1
data = { source = "digits", subset = 240 }
model = { name = "mlp", hidden = [8] }
"""
QUICK = ("--resolution", "5", "--subset", "100")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of runs in an empty working directory."""
    monkeypatch.delenv("THALWEG_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    return Path("runs")


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"two": SweepRecipe.from_toml(RECIPE)}
    asked["bare"] = SweepRecipe.from_toml(RECIPE.replace("record_states = 1", ""))
    asked["other"] = SweepRecipe.from_toml(RECIPE.replace("steps = 8", "steps = 9"))
    monkeypatch.setattr(recipes, "load_sweep_recipe", asked.__getitem__)


@pytest.mark.usefixtures("recipe")
def test_a_recipe_is_run_and_mapped(told: Told, runs: Path) -> None:
    out, err = told("landscape", "--recipe", "two", *QUICK)
    assert "2 members in 2 groups" in err
    assert "best by test_accuracy" in out
    for text in ("plane of", "a random walk", "GD", "Adam", "all on one plane", "0 to 8"):
        assert text in out
    pages = [runs / f"two/landscape/{name}/landscape.html" for name in ("gd", "adam", "all")]
    assert all(f"page: {page}" in out for page in pages)
    assert "GD and Adam" in pages[-1].read_text("utf-8")
    assert [len(load_sweep(runs / "two").states(number).steps) for number in (0, 1)] == [9, 9]
    again, err = told("landscape", "--recipe", "two", *QUICK)  # what is there is not done again
    assert "members" not in err
    assert again == out[out.index("plane of") :]


@pytest.mark.usefixtures("recipe")
def test_a_recipe_that_was_interrupted_is_gone_on_with(told: Told, runs: Path) -> None:
    from thalweg.study import plan_sweep
    from thalweg.study.sweeps.recorded import begin_series

    asked = SweepRecipe.from_toml(RECIPE)
    series = plan_sweep(asked.spec, asked.over)
    _, events = begin_series(series, asked.spec, kind="sweep", out=runs / "two")
    for _, event in events:
        if event.clock.step == 3:
            break
    events.close()  # type: ignore[attr-defined]
    told("landscape", "--recipe", "two", "--json", *QUICK)
    with pytest.raises(Exception, match="has ended"):
        go_on_sweep(runs / "two")


@pytest.mark.usefixtures("recipe")
def test_machines_are_told_one_object(told: Told, runs: Path) -> None:
    out, _ = told("landscape", "--recipe", "two", "--out", "here", "--json", *QUICK)
    found = json.loads(out)
    assert found["folder"] == str(Path("here/landscape").absolute())
    assert [part["name"] for part in found["parts"]] == ["GD", "Adam", "all on one plane"]
    shared = found["parts"][-1]
    assert [run["name"] for run in shared["runs"]] == ["GD", "Adam"]
    assert len(shared["null"]) == 2
    assert not (runs / "two").exists()


@pytest.mark.usefixtures("recipe")
def test_what_does_not_go_together(told: Told, runs: Path) -> None:
    told("landscape", "--recipe", "two", *QUICK)
    for words, message in (
        (("--recipe", "two", "runs/two"), "got --recipe two and runs/two; expected one of the two"),
        (("--recipe", "bare"), "the recipe bare; expected one that records states"),
        (("--recipe", "other", "--out", "runs/two"), "holds another sweep; expected that of other"),
        (("runs/two", "--reference", "3"), "--reference 3 for many planes"),
        (("runs/two", "--n-states", "3"), "--states says how many states make the planes"),
        (("runs/two", "--each", "--directions", "random"), "--directions random for many planes"),
        ((), "got no runs"),
    ):
        assert message in told("landscape", *words, *QUICK, code=2)[1]


@pytest.mark.no_cover
def test_a_sweep_and_a_race_have_a_plane_that_all_share(
    told: Told, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []
    small = ("--hidden", "8", "--steps", "8", "--subset", "240", "--quiet")
    told("sweep", "digits", "--over", "lr=0.01,0.1", "--record-states", "1", "--name", "s", *small)
    told("sweep", "digits", "--over", "lr=0.01,0.1", "--name", "bare", *small)
    told("race", "digits", "--optimizers", "sgd,adam", "--seeds", "2", "--no-tune", *small)
    out, _ = told("landscape", "s", "--states", "4", *QUICK)
    assert "page: runs/s/landscape/all/landscape.html" in out
    assert not (runs / "s/landscape/s-0").exists()
    monkeypatch.setattr(ways, "write_pictures", lambda figures, folder: drawn.append(folder) or [])
    out, _ = told("landscape", "s", "--each", "--png", "--out", "there", *QUICK)
    assert {path.name for path in Path("there").iterdir()} == {"lr-0.01", "lr-0.1", "all"}
    assert drawn == [Path("there/lr-0.01"), Path("there/lr-0.1"), Path("there/all")]
    out, _ = told("landscape", "race", *QUICK)
    assert "page: runs/race/landscape/all/landscape.html" in out
    out, _ = told("landscape", "bare", "--out", "line", *QUICK)  # the line between the two
    assert "page: line/landscape.html" in out
    out, _ = told("landscape", "s@1", *QUICK)
    assert "all on one plane" not in out
    out, _ = told("landscape", "s@0", "s@1", "--each", *QUICK)
    assert "page: landscape/all/landscape.html" in out
