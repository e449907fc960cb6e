from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thalweg.data import load_data
from thalweg.store import RunFolder
from thalweg.study import load_run

Told = Callable[..., tuple[str, str]]


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test split of the digits as a folder of class folders, the ones and sevens alone."""
    folder = tmp_path_factory.mktemp("digits")
    test = load_data("digits", normalize="none").test
    assert test is not None
    for number, (x, y) in enumerate(zip(test.x, test.y.tolist(), strict=True)):
        if y in {1, 7}:
            (folder / str(y)).mkdir(exist_ok=True)
            image = Image.fromarray((x[0] * 255).round().numpy().astype(np.uint8))
            image.save(folder / str(y) / f"{number}.png")
    return folder


@pytest.mark.parametrize("name", ["first", "second", "mean", "values", "points", "never", "halted"])
@pytest.mark.parametrize("split", ["test", "train"])
def test_it_is_what_the_run_says_of_itself(name: str, split: str, told: Told, runs: Path) -> None:
    out, err = told("evaluate", name, "--split", split, "--json")
    found = json.loads(out)
    run = load_run(runs / name)
    assert found["metrics"] == run.evaluate(split)
    assert found["step"] == run.cohort.updates
    assert found["folder"] == str(runs / name)
    assert found["samples"] == len(run.data.splits()[split])
    assert err == ""


def test_it_says_how_many_are_right(told: Told, runs: Path) -> None:
    out, _ = told("evaluate", "first")
    accuracy = load_run(runs / "first").evaluate("test")["accuracy"]
    right = f"{round(accuracy * 359)}/359 ({100 * accuracy:.3f} %)"
    assert out.startswith(f"test of digits: accuracy {right}, loss ")
    assert out.endswith(", after 12 steps\n")
    assert told("evaluate", "values")[0].startswith("test of reg-plane: loss ")


def test_a_checkpoint_can_be_chosen(told: Told, runs: Path) -> None:
    steps = [
        json.loads(told("evaluate", "first", "--json", "--checkpoint", which)[0])["step"]
        for which in ("last", "8", "12", "best")
    ]
    assert steps == [12, 8, 12, 12]
    _, err = told("evaluate", "first", "--checkpoint", "4", code=1)
    assert "the checkpoint '4' of" in err
    assert "known: 12, 8, best, last" in err


def test_other_data_are_normalised_as_the_runs_own(told: Told, runs: Path, digits: Path) -> None:
    found = json.loads(told("evaluate", "first", "--data", digits, "--split", "train", "--json")[0])
    run = load_run(runs / "first")
    test = run.data.test
    assert test is not None
    some = test.take(((test.y == 1) | (test.y == 7)).nonzero().flatten())
    some = some.take(some.y.argsort(stable=True))  # as the folders are
    assert found["samples"] == len(some)
    assert found["data"] == digits.name
    assert found["metrics"]["accuracy"] == run.evaluate(some)["accuracy"]
    assert found["metrics"]["loss"] == pytest.approx(run.evaluate(some)["loss"], rel=1e-2)


def test_a_permutation_of_the_pixels_is_kept(told: Told, runs: Path, digits: Path) -> None:
    """``second`` was trained on renamed pixels, and with batch norm and slow weights."""
    found = json.loads(
        told("evaluate", "second", "--data", digits, "--split", "train", "--json")[0]
    )
    run = load_run(runs / "second")
    data = load_data(
        str(digits), normalize="none", pixels="permute", split_seed=run.spec.data.split_seed
    )
    x = (data.train.x - run.data.mean) / run.data.std
    labels = data.train.y * 6 + 1
    right = (run.outputs(x).argmax(-1) == labels).double().mean().item()
    assert found["metrics"]["accuracy"] == pytest.approx(right)


def test_data_that_python_gave_can_be_replaced(told: Told, runs: Path, tmp_path: Path) -> None:
    for name in ("0", "1"):
        (tmp_path / "photographs" / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.full((9, 9, 3), 40 * number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photographs" / name / f"{number}.png")
    words = ("evaluate", "mine", "--data", "photographs", "--split", "train")
    _, err = told(*words, "--size", 4, code=1)
    assert "got samples of 3×4×4 in photographs; expected 3×4×5, which mine takes" in err
    assert "--size resizes" in err


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["first", "--split", "tets"], 1, "got the split 'tets' of digits; expected one that"),
        (["second", "--split", "val"], 1, "Hint: known: test, train"),
        (["first", "--data", "circle"], 1, "samples of 2 in circle; expected 1×8×8, which first"),
        (["first", "--data", "nix"], 2, "got the data set 'nix'"),
        (["first", "--size", "0"], 2, "got --size 0; expected a number of pixels"),
        (["points", "--data", "reg-plane"], 1, "got reg-plane for regression; expected data for"),
        (["own"], 2, "whose model came from Python; expected a named model. Hint: in Python"),
        (
            ["mine"],
            2,
            "whose data came from Python; expected a named data. Hint: in Python: thalweg.load_run",
        ),
        (["first", "--folder", "x"], 2, "folder=PosixPath('x') for digits"),
    ],
)
def test_what_does_not_fit(words: list[str], code: int, line: str, told: Told, runs: Path) -> None:
    out, err = told("evaluate", *words, code=code)
    assert out == ""
    assert line in err
    assert err.count("\n") == 1


def test_classes_that_the_run_does_not_know(told: Told, runs: Path, digits: Path) -> None:
    (digits.parent / "more").mkdir(exist_ok=True)
    folder = digits.parent / "more"
    (folder / "cat").mkdir(exist_ok=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "cat" / "a.png")
    _, err = told("evaluate", "first", "--data", folder, "--split", "train", code=1)
    assert "got the class 'cat' in more; expected classes that first knows" in err


def test_data_that_have_changed(told: Told, copied: Path) -> None:
    run = RunFolder.open(copied / "first")
    run.change(data=run.info.data.model_copy(update={"fingerprint": "0"}))
    _, err = told("evaluate", "first", code=1)
    assert "got data that are not those of runs/first; expected digits as it was" in err


def test_a_checkpoint_of_another_model(told: Told, copied: Path) -> None:
    for file in (copied / "values" / "checkpoints").iterdir():
        file.replace(copied / "never" / "checkpoints" / file.name)
    for words in (["evaluate", "never"], ["export", "never", "--to", "x.pt"]):
        _, err = told(*words, code=1)
        assert "step-000000012.safetensors, a snapshot of another model or rule: " in err
