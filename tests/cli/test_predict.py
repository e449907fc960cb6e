from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from thalweg.data import load_data
from thalweg.study import load_run, train

Told = Callable[..., tuple[str, str]]


def save(x: Tensor, file: Path) -> Image.Image:
    """Write brightnesses from 0 to 1, (H, W), as a grey image."""
    image = Image.fromarray((x * 255).round().numpy().astype(np.uint8))
    image.save(file)
    return image


@pytest.fixture
def images(runs: Path, tmp_path: Path) -> Path:
    """Pictures of a digit: as it is, dark on light, large and coloured; and what is none."""
    test = load_data("digits", normalize="none").test
    assert test is not None
    plain = save(test.x[0, 0], tmp_path / "plain.png")
    save(1 - test.x[0, 0], tmp_path / "ink.png")
    plain.resize((80, 64), Image.Resampling.NEAREST).convert("RGB").save(tmp_path / "large.jpg")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "plain.png").read_bytes()[:60])
    (tmp_path / "text.png").write_text("no image")
    return tmp_path


def predicted(told: Told, *words: object) -> list[dict[str, float]]:
    out, _ = told("predict", *words, "--json")
    return [json.loads(line)["probabilities"] for line in out.splitlines()]


@pytest.mark.parametrize("name", ["first", "second", "mean", "never"])
def test_it_says_what_the_network_says(name: str, told: Told, runs: Path) -> None:
    """Slow weights, batch norm and renamed pixels of ``second`` included."""
    run = load_run(runs / name)
    spec = run.spec.data
    intact = load_data("digits", normalize="none", val=spec.val, split_seed=spec.split_seed).test
    assert intact is not None
    assert run.data.test is not None
    save(intact.x[7, 0], Path("image.png"))
    (found,) = predicted(told, name, "image.png")
    expected = run.outputs(run.data.test.x[7:8]).double().softmax(-1)[0].tolist()
    assert list(found.values()) == pytest.approx(expected, abs=0.01)  # an image has bytes
    assert list(found) == list(run.data.classes)
    assert sum(found.values()) == pytest.approx(1)


def test_the_table(told: Told, images: Path) -> None:
    out, err = told("predict", "first", "plain.png", "ink.png", "--top", 2)
    head, _, one, two = out.splitlines()
    assert head.split() == ["image", "class", "probability"]
    assert one.split()[0] == "plain.png"
    assert len(one.split()) == len(two.split()) == 1 + 2 * 3
    (p,) = predicted(told, "first", "plain.png")
    best, second = sorted(p, key=p.__getitem__, reverse=True)[:2]
    assert one.split()[1:3] == [best, f"{100 * p[best]:.2f}"]
    assert one.split()[4:6] == [second, f"{100 * p[second]:.2f}"]
    assert err == ""
    everything, _ = told("predict", "first", "plain.png", "--top", 99)
    assert everything.splitlines()[-1].count("%") == 10


def test_light_and_dark_can_be_swapped(told: Told, images: Path) -> None:
    (plain,), (ink,) = (
        predicted(told, "first", "plain.png"),
        predicted(told, "first", "ink.png", "--invert"),
    )
    assert list(ink.values()) == pytest.approx(list(plain.values()), abs=1e-6)


def test_what_is_done_to_an_image_is_said(told: Told, images: Path) -> None:
    _, err = told("predict", "first", "large.jpg", "plain.png")
    assert err == "thalweg: large.jpg was resized from 80×64 to 8×8 pixels, made grey\n"
    _, err = told("predict", "first", "large.jpg", "large.jpg")
    assert err.startswith("thalweg: 2 images were resized from ")
    out, err = told("predict", "first", "large.jpg", "--json")
    assert json.loads(out)["changes"] == "resized from 80×64 to 8×8 pixels, made grey"
    assert err == ""


def test_the_data_set_need_not_be_there(
    told: Told, runs: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``mine`` was trained on tensors of three channels that only Python has."""
    (p,) = predicted(told, "mine", "large.jpg")
    assert set(p) == {"0", "1"}


def test_a_regression_gives_values(told: Told, images: Path) -> None:
    x, y = torch.rand(20, 1, 8, 8), torch.rand(20, 2)
    run = train("mlp", {"train": (x, y)}, hidden=(4,), steps=2, out=images / "heights")
    out, _ = told("predict", "heights", "plain.png", "--json")
    (values,) = [json.loads(line)["values"] for line in out.splitlines()]
    pixels = torch.tensor(np.asarray(Image.open("plain.png")), dtype=torch.float32) / 255
    assert values == pytest.approx(run.outputs(pixels[None, None])[0].tolist(), abs=1e-5)
    out, _ = told("predict", "heights", "plain.png")
    assert out.splitlines()[0].split() == ["image", "value", "value"]


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["first", "nix.png"], 1, "got an image that cannot be read, nix.png; expected PNG or"),
        (["first", "text.png"], 1, "got an image that cannot be read, text.png"),
        (["first", "cut.png"], 1, "got a damaged image, cut.png; expected a whole one"),
        (["first", "deep.png"], 1, "got an image of mode I"),
        (["first", "plain.png", "--top", "0"], 2, "got --top 0; expected a number of classes"),
        (["first"], 2, "got no IMAGE; expected IMAGE"),
        (
            ["points", "plain.png"],
            2,
            "got images for points; expected samples of 2, which it takes",
        ),
        (
            ["own", "plain.png"],
            2,
            "whose model came from Python; expected a named one. Hint:",
        ),
    ],
)
def test_what_cannot_be_predicted(
    words: list[str], code: int, line: str, told: Told, images: Path
) -> None:
    out, err = told("predict", *words, code=code)
    assert out == ""
    assert line in err
    assert err.count("\n") == 1
