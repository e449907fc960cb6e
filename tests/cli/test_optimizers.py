from __future__ import annotations

import json

import pytest

from thalweg import optim
from thalweg.cli.program import run


def output(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(words) == 0
    return capsys.readouterr().out


def test_every_optimizer_is_listed_with_its_paper(capsys):
    text = output(capsys, "optimizers")
    for name, rule in optim.rules().items():
        (line,) = (line for line in text.splitlines() if line.split("  ")[0] == name)
        assert rule.paper in line


def test_the_list_in_json(capsys):
    lines = [json.loads(line) for line in output(capsys, "optimizers", "--json").splitlines()]
    found = {line["name"]: line for line in lines}
    assert set(found) == set(optim.rules())
    assert (found["sam"]["gradients"], found["sam"]["wraps"]) == (2, True)
    assert [found[name]["state"] for name in ("sgd", "adam", "madgrad", "ema")] == [0, 2, 3, 1]
    assert found["adam"]["options"][0] == {
        "name": "lr", "default": 1e-3, "help": "learning rate", "range": "[0, inf)"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["adam", "lookahead", "centralize"])
def test_an_optimizer_explains_itself(capsys, name):
    text = output(capsys, "optimizer", name)
    assert optim.rules()[name].paper in text
    for each in optim.hyperparameters(name):
        assert each.name == "inner" or each.name in text
    told = json.loads(output(capsys, "optimizer", name, "--json"))
    assert told["text"].splitlines()[0] in text


def test_paths_are_drawn_and_told(capsys, tmp_path):
    file = tmp_path / "ways.html"
    words = ("paths", "--on", "quadratic", "--optimizers", "sgd,sam", "--steps", "20")
    text = output(capsys, *words, "--out", str(file))
    assert "sgd" in text
    assert f"picture: {file}" in text
    assert "Plotly" in file.read_text("utf-8")
    lines = output(capsys, *words, "--out", str(file), "--lr", "0.05", "--json").splitlines()
    sgd, sam = map(json.loads, lines)
    assert (sgd["lr"], sgd["tuned"]) == (0.05, False)
    x, y = -4.0 * 0.95**20, 1.5 * (1 - 0.05 * 20) ** 20
    assert sgd["end"] == pytest.approx([x, y], abs=1e-9)
    assert sam["height"] < 10


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer", "adma"], "did you mean adam"),
        (["paths", "--on", "beal"], "did you mean beale"),
        (["paths", "--optimizers", "adma"], "did you mean adam"),
        (["paths", "--steps", "many"], "--steps many"),
        (["paths", "--steps", "0"], "steps=0"),
        (["paths", "--lr", "fast"], "--lr fast"),
        (["paths", "--lr", "-1"], "lr"),
    ],
)
def test_what_is_wrong_is_one_clear_error(capsys, words, message):
    assert run(words) == 2
    assert message in capsys.readouterr().err
