from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from thalweg.study import load_run

Told = Callable[..., tuple[str, str]]


def of_file(file: Path) -> dict[str, Tensor]:
    return load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)


@pytest.mark.parametrize("name", ["first", "second", "mean", "values"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_weights(name: str, suffix: str, told: Told, runs: Path) -> None:
    """The slow weights of ``second`` are what is exported, and its running statistics."""
    out, err = told("export", name, "--to", f"x.{suffix}")
    assert out.startswith(f"x.{suffix}: takes (batch, ")
    assert err == ""
    network = load_run(runs / name).model
    found = of_file(Path(f"x.{suffix}"))
    assert found.keys() == network.state_dict().keys()
    for key, value in network.state_dict().items():
        assert torch.equal(found[key], value), key


def test_it_says_what_the_network_takes(told: Told, runs: Path) -> None:
    out, _ = told("export", "first", "--to", "x.pt")
    assert out == "x.pt: takes (batch, 1, 8, 8), normalised: (x − 0.3053) / 0.3760\n"
    assert told("export", "mine", "--to", "x.pt")[0].startswith("x.pt: takes (batch, 3, 4, 5), ")
    assert told("export", "points", "--to", "x.pt")[0] == "x.pt: takes (batch, 2)\n"


def test_an_older_checkpoint(told: Told, runs: Path) -> None:
    told("export", "first", "--to", "x.pt", "--checkpoint", "8")
    then = load_run(runs / "first", "8").model.state_dict()
    found = of_file(Path("x.pt"))
    assert all(torch.equal(found[key], value) for key, value in then.items())


@pytest.mark.no_cover
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="needs the extra export, and onnxruntime",
)
def test_onnx(told: Told, runs: Path) -> None:
    import onnxruntime

    told("export", "second", "--to", "x.onnx")
    run = load_run(runs / "second")
    assert run.data.test is not None
    x = run.data.test.x[:5]
    (found,) = onnxruntime.InferenceSession("x.onnx").run(None, {"input": x.numpy()})
    assert torch.allclose(torch.from_numpy(found), run.outputs(x), atol=1e-4)


def test_onnx_needs_the_extra(told: Told, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.nn.onnx.find_spec", lambda name: None)
    _, err = told("export", "first", "--to", "x.onnx", code=1)
    assert "pip install 'thalweg[export]'" in err
    assert not Path("x.onnx").exists()


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["first"], 2, "got no --to; expected --to"),
        (["first", "--to", "x.h5"], 2, "got --to x.h5; expected a name that ends in .pt, .safet"),
        (["first", "--to", "no/x.pt"], 1, "got no/x.pt (No such file or directory)"),
        (["own", "--to", "x.pt"], 2, "whose model came from Python"),
        (["frist", "--to", "x.pt"], 1, "did you mean first?"),
    ],
)
def test_what_cannot_be_exported(
    words: list[str], code: int, line: str, told: Told, runs: Path
) -> None:
    _, err = told("export", *words, code=code)
    assert line in err
    assert err.count("\n") == 1
