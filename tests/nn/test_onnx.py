from __future__ import annotations

import importlib.util
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from thalweg.errors import FileError, ModelError, SpecError, ThalwegError
from thalweg.nn import MODELS, DropBlock2d, Residual, build, export_onnx
from thalweg.nn.onnx import CHATTY

SIZES = (1, 7)


def as_made(name: str, **options) -> nn.Module:
    return build(
        name,
        input_shape=MODELS[name].input_shape,
        out_features=MODELS[name].out_features,
        generator=torch.Generator().manual_seed(0),
        **options,
    )


def run(file: Path, x: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["output"], {"input": x.numpy()})[0])


def check(model: nn.Module, shape: tuple[int, ...], file: Path) -> None:
    """Export, see that nothing else happened, and compare what comes out."""
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    export_onnx(model, shape, file)
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert list(file.parent.iterdir()) == [file]
    onnx.checker.check_model(onnx.load(file), full_check=True)
    model.eval()
    for size in SIZES:
        x = torch.randn(size, *shape, generator=torch.Generator().manual_seed(size))
        with torch.no_grad():
            torch.testing.assert_close(run(file, x), model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.no_cover
@pytest.mark.parametrize("name", ["mlp", "deep-bn", "mish-bn", "garment", "playground"])
def test_onnx_runtime_computes_what_the_model_does(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = as_made(name)
    shape = MODELS[name].input_shape
    model(torch.randn(5, *shape))  # moves the running statistics
    check(model, shape, tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", "")


def test_layers_of_thalweg_and_mixed_modes(tmp_path: Path) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        DropBlock2d(0.5, 2, generator=torch.Generator().manual_seed(0)),
        nn.BatchNorm2d(3).eval(),
        nn.Flatten(),
        Residual(nn.Linear(27, 27)),
        nn.Dropout(0.5),
        nn.Linear(27, 2),
    )
    check(model, (1, 5, 5), tmp_path / "model.onnx")


def test_the_batch_axis_has_a_name(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    export_onnx(as_made("lab-mlp"), (1, 28, 28), str(file))
    graph = onnx.load(file).graph
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {"input": ["batch", 1, 28, 28], "output": ["batch", 10]}


@pytest.mark.no_cover
def test_double_precision(tmp_path: Path) -> None:
    model = nn.Linear(3, 2, dtype=torch.float64)
    export_onnx(model, (3,), tmp_path / "model.onnx")
    x = torch.randn(4, 3, dtype=torch.float64)
    np.testing.assert_allclose(run(tmp_path / "model.onnx", x), model(x).detach(), rtol=1e-12)


@pytest.mark.no_cover
def test_filters_and_loggers_are_as_they_were(tmp_path: Path) -> None:
    def now() -> tuple[list[object], list[int]]:
        return list(warnings.filters), [logging.getLogger(name).level for name in CHATTY]

    before = now()
    export_onnx(nn.Linear(3, 2), (3,), tmp_path / "model.onnx")
    assert now() == before


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"a name that ends in \.onnx"):
        export_onnx(nn.Linear(3, 2), (3,), tmp_path / "model.pt")


def test_samples_of_another_shape(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"samples of shape \(4,\).*torch says"):
        export_onnx(nn.Linear(3, 2), (4,), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.sum()) > 0 else -x


def test_models_that_are_no_graph(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match="a Branching that torch cannot export"):
        export_onnx(Branching(), (4,), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        export_onnx(nn.Linear(3, 2), (3,), tmp_path / "gone" / "model.onnx")


@pytest.mark.parametrize("absent", ["onnx", "onnxscript"])
def test_the_extra_is_named(absent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "thalweg.nn.onnx.find_spec", lambda name: None if name == absent else find(name)
    )
    with pytest.raises(ThalwegError, match=r"pip install 'thalweg\[export\]'") as caught:
        export_onnx(nn.Linear(3, 2), (3,), tmp_path / "model.onnx")
    assert caught.value.got == f"{absent}, not installed"
