from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from thalweg.cli.show import _splits

Told = Callable[..., tuple[str, str]]


def lines(out: str) -> dict[str, str]:
    return {line[:13].strip(): line[13:] for line in out.partition("\n\n")[0].splitlines()}


def test_one_run(told: Told, copied: Path) -> None:
    out, err = told("show", "first")
    said = lines(out)
    assert said["run"] == "first"
    assert said["state"] == "complete"
    assert said["folder"] == "runs/first"
    assert said["tags"] == "good, try"
    assert said["data"] == "digits: 1×8×8, 10 classes; 1,258 train, 180 val, 359 test"
    assert said["normalised"] == "(x − 0.3053) / 0.3760"
    assert said["model"] == "mlp, 1,210 parameters"
    assert said["optimizer"] == "adam, lr 0.01"
    assert "model.hidden=16" in said["settings"]
    assert "data.val=0.1" in said["settings"]
    assert said["trained"].startswith("0.6 epochs, 12 steps, ")
    assert said["checkpoints"].startswith("steps 8, 12; best at step 12, val_loss ")
    assert said["to go on"] == "thalweg resume runs/first --epochs 2"
    assert said["to repeat"] == "thalweg train --spec runs/first/spec.toml"
    head, _, *rows = out.partition("\n\n")[2].splitlines()
    assert head.split() == ["last", "evaluation", "samples", "loss", "accuracy"]
    assert [row.split()[0] for row in rows] == ["running", "train", "val", "test"]
    assert "/359 (" in rows[-1]
    assert err == ""


@pytest.mark.parametrize(
    ("name", "title", "text"),
    [
        ("halted", "state", "interrupted"),
        ("halted", "to go on", "thalweg resume runs/halted"),
        ("lost", "state", "diverged"),
        ("own", "model", "its own, 650 parameters; given in Python: model"),
        ("mine", "normalised", "(x − "),
        ("values", "data", "reg-plane: 2, regression; "),
        ("never", "trained", "0.52 epochs, 12 steps, "),
        ("second", "settings", "optimizer.lookahead.k=5"),
    ],
)
def test_a_line_of_a_run(name: str, title: str, text: str, told: Told, copied: Path) -> None:
    assert text in lines(told("show", name)[0])[title]


def test_a_run_that_diverged_does_not_go_on(told: Told, runs: Path) -> None:
    assert "to go on" not in lines(told("show", "lost")[0])


def test_one_run_in_json(told: Told, runs: Path) -> None:
    facts = json.loads(told("show", "first", "--json")[0])
    assert facts["folder"] == str(runs / "first")
    assert facts["state"] == "complete"
    assert facts["checkpoints"] == [8, 12]
    assert facts["best"]["step"] == 12
    assert facts["best"]["value"] == facts["metrics"]["val_loss"]
    assert facts["spec"]["model"]["hidden"] == [16]
    assert facts["data"]["samples"] == {"train": 1258, "val": 180, "test": 359}
    assert facts["picture"] is None
    assert {"torch", "thalweg"} <= set(facts["environment"])


def test_several_runs_side_by_side(told: Told, runs: Path) -> None:
    out, _ = told("show", "first", "second", "halted")
    head, _, *rows = out.splitlines()
    assert head.split() == ["first", "second", "halted"]
    table = {row[:22].strip(): row[22:].split() for row in rows}
    assert table["state"] == ["complete", "complete", "interrupted"]
    assert table["step"] == ["12", "12", "3"]
    assert table["optimizer.name"] == ["adam", "sgd", "adam"]
    assert table["optimizer.lr"] == ["0.01", "0.1", "0.001"]
    assert table["model.norm"] == ["–", "batch", "–"]
    assert "seed" not in table
    assert table["val loss"][1:] == ["–", "–"]
    assert table["test accuracy"][-1] == "–"
    several = [
        json.loads(line) for line in told("show", "first", "second", "--json")[0].split("\n")[:-1]
    ]
    assert [each["name"] for each in several] == ["first", "second"]


def test_runs_of_one_spec(told: Told, runs: Path) -> None:
    out, _ = told("show", "values", "values")
    assert out.endswith("\nthe specs are the same\n")


def test_a_plot_of_one_run_is_in_its_folder(told: Told, copied: Path) -> None:
    out, _ = told("show", "first", "--plot")
    assert out.endswith("\npicture: runs/first/figures/loss.html\n")
    page = (copied / "first" / "figures" / "loss.html").read_text("utf-8")
    assert 'src="http' not in page
    out, _ = told("show", "first", "--metric", "accuracy", "--plot", "x.html", "--json")
    assert json.loads(out)["picture"] == "x.html"
    assert Path("x.html").is_file()


def test_a_plot_of_several(told: Told, runs: Path) -> None:
    out, _ = told("show", "first", "values", "second", "--plot")
    assert out.endswith("\npicture: comparison.html\n")
    page = Path("comparison.html").read_text("utf-8")
    assert all(name in page for name in ("first", "values", "second"))


@pytest.mark.parametrize(
    ("trains", "splits", "drawn"),
    [
        (2, ("test",), ["test", "train"]),
        (1, ("test", "val"), ["test", "running"]),
        (1, ("val",), ["val", "running"]),
    ],
)
def test_what_is_drawn_of_several(trains: int, splits: tuple[str, ...], drawn: list[str]) -> None:
    table = {"step": [1, 2], "running_loss": [2.0, 1.0], "train_loss": [1.0, None]}
    table |= {f"{split}_loss": [2.0, 1.0] for split in splits}
    whole = table | {"train_loss": [2.0, 1.0]}
    assert _splits([whole, whole if trains == 2 else table], "loss") == drawn


def test_a_picture_never_leaves_the_folder_by_a_link(
    told: Told, copied: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (copied / "first" / "figures").symlink_to(outside)
    _, err = told("show", "first", "--plot", code=1)
    assert "a link to" in err
    (copied / "second" / "report.html").symlink_to(outside / "report.html")
    _, err = told("report", "second", code=1)
    assert "a link to" in err
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (
            ["--plot", "first", "second"],
            2,
            "got --plot first; expected a name that ends in .html or .png.",
        ),
        (["first", "--plot", "x.pdf"], 2, "got --plot x.pdf"),
        (["first", "--plot", "--metric", "acc"], 2, "got --metric acc; expected what was measured"),
        (["first", "--plot", "no/x.html"], 1, "got no/x.html (No such file or directory)"),
        ([], 2, "got no RUN; expected RUN"),
    ],
)
def test_what_cannot_be_shown(
    words: list[str], code: int, line: str, told: Told, runs: Path
) -> None:
    _, err = told("show", *words, code=code)
    assert line in err
    assert err.count("\n") == 1
