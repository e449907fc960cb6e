from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import Tensor, nn

from thalweg.errors import FileError, ModelError, SpecError
from thalweg.nn import MODELS, build, load_weights, save_weights

SUFFIXES = (".safetensors", ".pt", ".pth", ".PT")


def as_made(name: str = "deep-bn", seed: int = 0) -> nn.Module:
    model = MODELS[name]
    return build(
        name,
        input_shape=model.input_shape,
        out_features=model.out_features,
        generator=torch.Generator().manual_seed(seed),
    )


def net(*sizes: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))


class Tied(nn.Module):
    """An encoder and a decoder with one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(4, 4, bias=False)
        self.decode = nn.Linear(4, 4, bias=False)
        self.decode.weight = self.encode.weight


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", MODELS)
def test_what_is_saved_comes_back(name: str, suffix: str, tmp_path: Path) -> None:
    ours, theirs = as_made(name, 1), as_made(name, 2)
    ours.train()(torch.randn(3, *MODELS[name].input_shape))  # moves the running statistics
    before = snapshot(ours)
    file = tmp_path / f"net{suffix}"
    save_weights(ours, file)
    load_weights(theirs, str(file))
    assert same(snapshot(theirs), before)
    assert same(snapshot(ours), before)
    assert list(tmp_path.iterdir()) == [file]


def test_other_programs_read_the_files(tmp_path: Path) -> None:
    ours = as_made()
    save_weights(ours, tmp_path / "a.safetensors")
    save_weights(ours, tmp_path / "a.pt")
    assert same(load_file(tmp_path / "a.safetensors"), snapshot(ours))
    assert same(torch.load(tmp_path / "a.pt", weights_only=True), snapshot(ours))


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
def test_the_same_weights_are_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    a, b = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    save_weights(as_made(), a)
    save_weights(as_made(), b)
    assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
def test_shared_parameters_stay_shared(suffix: str, tmp_path: Path) -> None:
    ours, theirs = Tied(), Tied()
    file = tmp_path / f"tied{suffix}"
    save_weights(ours, file)
    load_weights(theirs, file)
    assert same(snapshot(theirs), snapshot(ours))
    assert theirs.decode.weight is theirs.encode.weight
    untied = nn.ModuleDict(
        {name: nn.Linear(4, 4, bias=False) for name in ("encode", "decode")},
    )
    load_weights(untied, file)
    assert same(snapshot(untied), snapshot(ours))


def test_one_name_of_a_shared_parameter_is_enough(tmp_path: Path) -> None:
    ours, theirs = Tied(), Tied()
    save_model(ours, str(tmp_path / "tied.safetensors"))  # it leaves the other name out
    assert len(load_file(tmp_path / "tied.safetensors")) == 1
    load_weights(theirs, tmp_path / "tied.safetensors")
    assert same(snapshot(theirs), snapshot(ours))


def test_names_of_a_shared_parameter_agree(tmp_path: Path) -> None:
    untied = {"encode.weight": torch.zeros(4, 4), "decode.weight": torch.ones(4, 4)}
    torch.save(untied, tmp_path / "untied.pt")
    with pytest.raises(ModelError, match=r"decode.weight \(other values than encode.weight"):
        load_weights(Tied(), tmp_path / "untied.pt")


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
def test_views_are_saved_without_what_they_are_views_of(suffix: str, tmp_path: Path) -> None:
    stacked = torch.randn(1000, 3, 2)
    ours = nn.Linear(3, 2)
    ours.weight = nn.Parameter(stacked[7].T)
    save_weights(ours, tmp_path / f"view{suffix}")
    assert (tmp_path / f"view{suffix}").stat().st_size < 4000
    theirs = nn.Linear(3, 2)
    load_weights(theirs, tmp_path / f"view{suffix}")
    assert torch.equal(theirs.weight, stacked[7].T)


@pytest.mark.parametrize("container", ["state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_checkpoints_of_other_trainers(container: str, prefix: str, tmp_path: Path) -> None:
    ours, theirs = net(3, 2), net(3, 2)
    weights = OrderedDict((prefix + name, value) for name, value in ours.state_dict().items())
    checkpoint = {"epoch": 3, container: weights, "optimizer": {"lr": 0.1, "state": {}}}
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    load_weights(theirs, tmp_path / "checkpoint.pt")
    assert same(snapshot(theirs), snapshot(ours))


def test_a_wrapped_model_takes_the_weights_of_a_bare_one(tmp_path: Path) -> None:
    ours, theirs = net(3, 2), net(3, 2)
    save_weights(ours, tmp_path / "net.pt")
    load_weights(nn.DataParallel(theirs), tmp_path / "net.pt")
    assert same(snapshot(theirs), snapshot(ours))


def test_files_of_old_versions_of_torch(tmp_path: Path) -> None:
    ours, theirs = net(3, 2), net(3, 2)
    file = tmp_path / "old.pth"
    torch.save(ours.state_dict(), file, _use_new_zipfile_serialization=False)
    load_weights(theirs, file)
    assert same(snapshot(theirs), snapshot(ours))


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_weights_take_the_precision_of_the_model(
    dtype: torch.dtype, suffix: str, tmp_path: Path
) -> None:
    ours, theirs = net(3, 2).to(dtype), net(3, 2)
    save_weights(ours, tmp_path / f"net{suffix}")
    load_weights(theirs, tmp_path / f"net{suffix}")
    assert theirs[0].weight.dtype == torch.float32
    assert torch.equal(theirs[0].weight, ours[0].weight.float())


def saved(tmp_path: Path, **values: Tensor) -> Path:
    torch.save({name.replace("_", "."): value for name, value in values.items()}, tmp_path / "a.pt")
    return tmp_path / "a.pt"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weight": torch.ones(2, 3)}, "they lack bias; expected"),
        (
            {"weight": torch.ones(2, 3), "bias": torch.ones(2), "scale": torch.ones(1)},
            "the model has no scale",
        ),
        (
            {"weight": torch.ones(3, 2), "bias": torch.ones(2)},
            r"they differ in weight \(shape \(3, 2\) instead of \(2, 3\)\)",
        ),
        (
            {"weight": torch.ones(2, 3), "bias": torch.ones(2, dtype=torch.int64)},
            r"bias \(torch.int64 instead of torch.float32",
        ),
        (
            {"weight": torch.full((2, 3), 1e300, dtype=torch.float64), "bias": torch.ones(2)},
            r"weight \(values beyond the range of torch.float32",
        ),
        (
            {"weight": torch.ones(2, 3).to_sparse(), "bias": torch.ones(2)},
            r"weight \(no dense values\)",
        ),
        (
            {"weight": torch.ones(2, 3, device="meta"), "bias": torch.ones(2)},
            r"weight \(no dense values\)",
        ),
    ],
)
def test_weights_of_another_model_are_refused(
    values: dict[str, Tensor], message: str, tmp_path: Path
) -> None:
    model = nn.Linear(3, 2)
    before = snapshot(model)
    with pytest.raises(ModelError, match=message):
        load_weights(model, saved(tmp_path, **values))
    assert same(snapshot(model), before)


def test_the_error_lists_a_few_of_many_names(tmp_path: Path) -> None:
    save_weights(net(*[2] * 11), tmp_path / "deep.pt")
    with pytest.raises(ModelError, match=r"the model has no 1\.weight, .* and 13 more; expected"):
        load_weights(net(2, 2), tmp_path / "deep.pt")


def test_a_model_that_refuses_is_as_it_was(tmp_path: Path) -> None:
    class Picky(nn.Linear):
        def _load_from_state_dict(self, *args, **kwargs):
            super()._load_from_state_dict(*args, **kwargs)
            if args[0]["weight"].sum() == 6:
                args[5].append("no sixes")

    model = Picky(3, 2)
    before = snapshot(model)
    with pytest.raises(ModelError, match="no sixes"):
        load_weights(model, saved(tmp_path, weight=torch.ones(2, 3), bias=torch.ones(2)))
    assert same(snapshot(model), before)


class Extra(nn.Linear):
    def get_extra_state(self) -> int:
        return 3


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Extra(2, 2), "_extra_state, which is no tensor"),
        (nn.Linear(2, 2, device="meta"), "weight, which has no values yet"),
    ],
)
def test_states_that_are_not_tensors_are_refused(
    model: nn.Module, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        save_weights(model, tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_lazy_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="run one sample through"):
        save_weights(nn.LazyLinear(2), tmp_path / "a.pt")


def test_sparse_parameters_are_refused(tmp_path: Path) -> None:
    model = nn.Module()
    model.register_buffer("adjacency", torch.eye(3).to_sparse())
    with pytest.raises(ModelError, match="adjacency, which is sparse"):
        save_weights(model, tmp_path / "a.pt")


def test_types_that_safetensors_does_not_know(tmp_path: Path) -> None:
    model = nn.Linear(2, 2, dtype=torch.complex128)
    with pytest.raises(ModelError, match=r"a \.pt file takes them"):
        save_weights(model, tmp_path / "a.safetensors")
    save_weights(model, tmp_path / "a.pt")
    load_weights(nn.Linear(2, 2, dtype=torch.complex128), tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["net.onnx", "net", "net.pickle"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    for act in (save_weights, load_weights):
        with pytest.raises(SpecError, match="Hint: safetensors can be read everywhere"):
            act(net(2, 2), tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
def test_a_folder_that_is_not_there(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        save_weights(net(2, 2), tmp_path / "gone" / f"a{suffix}")


def test_types_without_numpy_and_empty_tensors(tmp_path: Path) -> None:
    def make() -> nn.Module:
        model = nn.Module()
        model.register_buffer("empty", torch.zeros(0, 3))
        model.register_buffer("scalar", torch.tensor(3))
        model.register_buffer("mask", torch.tensor([True, False]))
        model.register_buffer("phase", torch.tensor([1j]))
        model.register_buffer("brief", torch.ones(3, dtype=torch.bfloat16))
        return model

    for suffix in SUFFIXES[:2]:
        save_weights(make(), tmp_path / f"a{suffix}")
        twin = make()
        load_weights(twin, tmp_path / f"a{suffix}")
        assert same(snapshot(twin), snapshot(make()))


def test_a_file_of_others_has_no_checksum(tmp_path: Path) -> None:
    ours, theirs = net(3, 2), net(3, 2)
    save_file(ours.state_dict(), tmp_path / "a.safetensors")
    load_weights(theirs, tmp_path / "a.safetensors")
    assert same(snapshot(theirs), snapshot(ours))
