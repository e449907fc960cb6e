"""Eigenvectors of the Hessian as directions: right, in the layout of a stack, and named."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from thalweg.data import Split
from thalweg.errors import ModelError
from thalweg.landscape import (
    Ground,
    Hessian,
    hessian_directions,
    load_surface,
    save_surface,
    survey,
)


@pytest.fixture
def ground() -> Ground:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=g, dtype=torch.float64)
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    network[0].bias.requires_grad_(False)  # a frozen parameter has no place in the vector
    y = torch.arange(60) % 2
    return Ground(network, Split(x, y, y))


def test_they_are_the_top_eigenvectors_of_the_dense_hessian(ground: Ground) -> None:
    plane = hessian_directions(ground, tolerance=1e-10)
    x, y = ground.samples.x, ground.samples.y
    H = Hessian(ground.network, ground.loss, [(x, y)])
    values, vectors = torch.linalg.eigh(H.dense())
    for (_, residual), vector, d in zip(
        plane.curvatures, vectors.flip(1).T, plane.vectors, strict=False
    ):
        assert residual < 1e-8
        own = torch.cat([ground.named(d)[name].flatten() for name in H.objective.names])
        assert abs(torch.dot(own, vector).item()) == pytest.approx(1)
    assert [value for value, _ in plane.curvatures] == pytest.approx(values.flip(0)[:2].tolist())
    assert torch.allclose(plane.cosines, torch.eye(2).double(), atol=1e-8)
    assert ground.named(plane.vectors[0]).keys() == ground.places.keys()


def test_a_quadratic_is_the_parabola_that_they_say_and_rises_as_far_as_they_say() -> None:
    x = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    network = nn.Linear(3, 1, bias=False).double()
    ground = Ground(network, Split(x, x[:, :1], x[:, :1]), "mse")
    at_minimum = ground.at(ground.vector({"weight": torch.tensor([[1.0, 0, 0]])}))
    plane = hessian_directions(at_minimum, tolerance=1e-12)
    *_, surface = survey(at_minimum, plane, 5, (-1, 1))
    a, b = torch.meshgrid(*surface.axes, indexing="ij")
    (first, _), (second, _) = plane.curvatures
    assert torch.allclose(surface.values["loss"], (first * a**2 + second * b**2) / 2)
    assert plane.extent[0][1] == pytest.approx((20 / first) ** 0.5)  # where the loss is 0


def test_they_are_saved_with_what_is_known_of_them(ground: Ground, tmp_path) -> None:
    *_, surface = survey(ground, hessian_directions(ground), 3)
    save_surface(surface, tmp_path / "a.safetensors")
    again = load_surface(tmp_path / "a.safetensors").directions
    assert again.curvatures == surface.directions.curvatures
    assert again.kind == "eigenvectors of the Hessian"


def test_what_does_not_bend_says_so() -> None:
    x = torch.ones(4, 2)
    flat = Ground(nn.Linear(2, 1), Split(x, x[:, :1], x[:, :1]), lambda o, y: o.mean())
    with pytest.raises(ModelError, match="does not bend"):
        hessian_directions(flat)


def test_another_reference_is_another_ground(ground: Ground) -> None:
    there = ground.at(2 * ground.theta)
    assert torch.equal(there.theta, 2 * ground.theta)
    value = ground.evaluate(2 * ground.theta[None])["loss"].item()
    assert there.reference().values()["loss"].item() == pytest.approx(value)
    assert ground.reference().values()["loss"].item() != pytest.approx(value)
