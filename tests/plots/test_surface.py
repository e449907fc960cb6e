from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thalweg.plots import Mark, surface

INF, NAN = float("inf"), float("nan")


def of_way(figure: Any, place: int = 0) -> list[Any]:
    return [t for t in figure.data if t.legendgroup == f"way {place}"]


def test_the_surface_is_not_swapped_and_its_ticks_are_true(bowl: Any) -> None:
    plane = bowl()
    figure = surface(plane)
    drawn = figure.data[0]
    np.testing.assert_allclose(10**drawn.z, plane.values.T)
    axis = figure.layout.scene.zaxis
    said = [float(text) for text in axis.ticktext]
    np.testing.assert_allclose(np.log10(said), axis.tickvals)
    assert len(said) >= 3
    assert axis.range[0] < drawn.z.min() <= drawn.z.max() <= axis.range[1]


def test_ways_are_at_their_own_heights(bowl: Any, way: Any) -> None:
    line, ring, flag = of_way(surface(bowl(), [way(values=[30, 1, 0.01])]))
    np.testing.assert_allclose(10**line.z, [30, 1, 0.01])
    np.testing.assert_allclose(10 ** np.array([ring.z[0], flag.z[0]]), [30, 0.01])
    assert flag.showlegend is None


def test_heights_that_do_not_span_a_decade_are_linear(bowl: Any, way: Any) -> None:
    plane = bowl(values=1 + bowl().values / 20)
    figure = surface(plane, [way(values=[1.5, 1.2, 1.1])])
    np.testing.assert_array_equal(figure.data[0].z, plane.values.T)
    assert of_way(figure)[0].z.tolist() == [1.5, 1.2, 1.1]
    axis = figure.layout.scene.zaxis
    np.testing.assert_allclose([float(text) for text in axis.ticktext], axis.tickvals)


def test_a_loss_of_zero_is_at_the_foot_of_the_axis(bowl: Any, way: Any) -> None:
    figure = surface(bowl(), [way(values=[1, 0.1, 0])])
    assert of_way(figure)[0].z[-1] == figure.layout.scene.zaxis.range[0]


def test_a_negative_loss_has_no_logarithm(bowl: Any) -> None:
    plane = bowl(values=bowl().values - 1)
    np.testing.assert_array_equal(surface(plane).data[0].z, plane.values.T)


def test_what_is_not_finite_is_a_hole_and_what_is_far_too_high_is_cut_off(
    bowl: Any, way: Any
) -> None:
    values = bowl().values.copy()
    values[0, 0], values[1, 0], values[2, 0] = NAN, INF, 1e30
    figure = surface(bowl(values=values), [way([0, NAN, 1], [0, 0, 0], values=[1, 2, INF])])
    z = figure.data[0].z
    assert np.argwhere(~np.isfinite(z)).tolist() == [[0, 0], [0, 1], [0, 2]]
    assert "is cut off" in figure.layout.meta["caption"]
    assert np.isfinite(of_way(figure)[0].z).tolist() == [True, False, False]
    assert of_way(figure)[-1].x.tolist() == [0]
    assert "cut" not in surface(bowl()).layout.meta["caption"]


def test_a_surface_without_a_finite_value(bowl: Any, way: Any) -> None:
    figure = surface(bowl(values=np.full((9, 5), NAN)), [way([NAN], [NAN])])
    assert not np.isfinite(figure.data[0].z).any()
    assert "least on the grid" not in [t.name for t in figure.data]
    only = surface(bowl(values=np.full((9, 5), NAN)), [way(values=[10, 1, 0.1])])
    assert only.layout.scene.zaxis.range[0] < -1


@pytest.mark.parametrize("across", [1, -1])
@pytest.mark.parametrize("up", [1, -1])
def test_the_camera_stands_over_the_lowest_quarter(bowl: Any, across: int, up: int) -> None:
    plane = bowl()
    lean = 9 - across * plane.x[:, None] - up * plane.y
    eye = surface(bowl(values=lean)).layout.scene.camera.eye
    assert (np.sign(eye.x), np.sign(eye.y)) == (across, up)
    assert eye.z > 0.5


def test_equal_axes_of_a_plane_that_is_wider_than_high(bowl: Any) -> None:
    ratio = surface(bowl()).layout.scene.aspectratio
    assert ratio.x / ratio.y == pytest.approx(2)
    ratio = surface(bowl(kind="random")).layout.scene.aspectratio
    assert ratio.x == ratio.y


def test_reference_best_and_marks(bowl: Any) -> None:
    figure = surface(bowl(), marks=[Mark("a < b", 1, 0.5)])
    points = {t.name: t for t in figure.data}
    assert 10 ** points["least on the grid"].z[0] == pytest.approx(0.25)
    assert 10 ** points["reference"].z[0] == pytest.approx(0.25 + 0.25 + 2.5)
    mark = points["a &lt; b"]
    assert (mark.x, mark.text) == ((1, 1), ("", "<b>a &lt; b</b>"))
    off = bowl()
    off.x[:] += 0.1
    assert "reference" not in [t.name for t in surface(off).data]


def test_accuracy_has_its_best_in_blue_and_its_axis_in_percent(bowl: Any) -> None:
    figure = surface(bowl("accuracy", values=1 - bowl().values / 40))
    assert all(text.endswith(" %") for text in figure.layout.scene.zaxis.ticktext)
    assert "greatest on the grid" in [t.name for t in figure.data]


def test_the_way_to_its_heights_is_said(bowl: Any, way: Any) -> None:
    caption = surface(bowl(), [way()]).layout.meta["caption"]
    assert caption.startswith("Ways are at the heights of their own states")
    assert not surface(bowl()).layout.meta["caption"]
