from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thalweg.plots import Mark, contour
from thalweg.plots.theme import EMPTY, RIGHT, look

INF, NAN = float("inf"), float("nan")


def named(figure: Any, name: str) -> Any:
    (found,) = [t for t in figure.data if t.name == name and t.showlegend is not False]
    return found


def of_way(figure: Any, place: int = 0) -> list[Any]:
    return [t for t in figure.data if t.legendgroup == f"way {place}"]


def test_axes_are_not_swapped_on_a_grid_that_is_not_square(bowl: Any) -> None:
    plane = bowl()
    drawn = contour(plane).data[0]
    assert drawn.z.shape == (len(plane.y), len(plane.x))
    assert drawn.x.tolist() == plane.x.tolist()
    row, column = np.unravel_index(drawn.z.argmin(), drawn.z.shape)
    assert (plane.x[column], plane.y[row]) == (0.5, -0.5)
    assert drawn.text[row][column] == "0.2500"


def test_levels_are_even_in_the_logarithm_and_the_bar_says_losses(bowl: Any) -> None:
    drawn = contour(bowl()).data[0]
    start, end, size = drawn.contours.start, drawn.contours.end, drawn.contours.size
    np.testing.assert_allclose(
        drawn.colorbar.tickvals, np.arange(start, end + size / 2, size), rtol=1e-9
    )
    said = [float(text) for text in drawn.colorbar.ticktext]
    np.testing.assert_allclose(np.log10(np.array(said) - 0.25), drawn.colorbar.tickvals, atol=0.02)
    assert drawn.autocontour is False


def test_what_is_not_finite_is_blank_and_said(bowl: Any) -> None:
    values = bowl().values.copy()
    values[0, 0], values[8, 1] = NAN, INF
    figure = contour(bowl(values=values))
    drawn = figure.data[0]
    assert np.argwhere(~np.isfinite(drawn.z)).tolist() == [[0, 0], [1, 8]]
    assert (drawn.connectgaps, drawn.hoverongaps) == (False, False)
    blank = named(figure, "no finite loss")
    assert (blank.x.tolist(), blank.y.tolist()) == ([-2, 2], [-1, -0.5])


def test_a_ground_without_a_finite_value(bowl: Any) -> None:
    figure = contour(bowl(values=np.full((9, 5), NAN)))
    assert not np.isfinite(figure.data[0].z).any()
    assert [t.name for t in figure.data[1:]] == ["no finite loss", "reference"]


def test_reference_and_best_node_are_marked(bowl: Any) -> None:
    figure = contour(bowl())
    least = named(figure, "least on the grid")
    assert (least.x, least.y) == ((0.5,), (-0.5,))
    assert (named(figure, "reference").x, named(figure, "reference").y) == ((0.0,), (0.0,))
    values = 1 - bowl().values / 20
    figure = contour(bowl("accuracy", values=values))
    best = named(figure, "greatest on the grid")
    assert (best.x, best.y) == ((0.5,), (-0.5,))
    assert [colour for _, colour in figure.data[0].colorscale] == [EMPTY, RIGHT]


@pytest.mark.parametrize("kind", ["principal", "hessian", "random", "between", "own"])
def test_orthonormal_directions_have_equal_axes(bowl: Any, kind: str) -> None:
    layout = contour(bowl(kind=kind)).layout
    equal = kind in {"principal", "hessian"}
    assert (layout.yaxis.scaleanchor == "x", layout.yaxis.scaleratio == 1) == (equal, equal)
    assert layout.xaxis.title.text != layout.yaxis.title.text
    share = layout.xaxis.domain[1]
    assert layout.legend.x > share


def test_a_way_has_a_ring_dots_and_a_marker(bowl: Any, way: Any) -> None:
    T = 101
    steps = way(np.linspace(-1, 1, T), np.linspace(-0.5, 0.5, T), name="<b>")
    figure = contour(bowl(), [way(), steps])
    _, line, ring, flag = of_way(figure, 1)
    dots = line.marker.size > 0
    assert line.x[dots].tolist() == steps.x[::10].tolist()
    assert named(figure, "every 10 steps").x == (None,)
    assert (ring.x.tolist(), flag.x.tolist()) == ([-1], [1])
    assert (flag.marker.color, flag.marker.symbol) == look(1)
    assert ring.marker.symbol != flag.marker.symbol
    assert flag.name == "&lt;b&gt;"
    assert [t.showlegend for t in of_way(figure, 1)] == [False, False, False, None]
    assert flag.text[0] == "step 100<br>loss 3.0000<br>20 % not in the plane"


def test_thousands_of_states_are_thinned_without_a_turn_lost(bowl: Any, way: Any) -> None:
    t = np.linspace(0, 40, 50_000)
    spiral = way(np.exp(-t / 9) * np.cos(t), np.exp(-t / 9) * np.sin(t))
    _, line, _, _ = of_way(contour(bowl(), [spiral]))
    assert len(line.x) < 2500
    assert (line.x.max(), line.x.min()) == (spiral.x.max(), spiral.x.min())
    gaps = np.hypot(np.diff(line.x), np.diff(line.y))
    assert gaps.max() < 0.1


def test_ways_do_not_leave_the_window_unseen(bowl: Any, way: Any) -> None:
    figure = contour(bowl(), [way([0, 3], [0, 0])])
    assert figure.layout.xaxis.range[1] > 3
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (-2, 2, -1, 1)
    assert "nothing was measured" in figure.layout.title.text.replace("\n", " ")
    figure = contour(bowl(), [way([0, 1, 99], [0, 0, 0])])
    exits = [t for t in of_way(figure) if t.marker.symbol == "x"]
    assert [t.x.tolist() for t in exits] == [[figure.layout.xaxis.range[1]]]
    assert "Out of the picture: adam (at step 2)." in figure.layout.meta["caption"]
    inside = contour(bowl(), [way()])
    assert not inside.layout.shapes
    assert "measured" not in inside.layout.meta["caption"]


def test_a_way_without_a_place_is_a_gap_and_said(bowl: Any, way: Any) -> None:
    ways = [way([0, 1, INF], [0, 0, 0], name="lost"), way([NAN], [NAN], name="never")]
    figure = contour(bowl(), ways)
    _, line, _, flag = of_way(figure)
    assert np.isnan(line.x[-1])
    assert flag.x.tolist() == [1]
    assert len(of_way(figure, 1)[-1].x) == 0
    assert (
        "Without a place on the plane: lost (after step 1), never."
        in (figure.layout.meta["caption"])
    )


def test_many_lost_runs_are_counted(bowl: Any, way: Any) -> None:
    ways = [way([0, 1e9], [0, 0], name=f"run {k}") for k in range(9)]
    assert "run 2 (at step 1) and 6 more." in contour(bowl(), ways).layout.meta["caption"]


def test_what_the_plane_shows_is_said_beside_its_null(bowl: Any, way: Any) -> None:
    plane = bowl(explained=(0.83, 0.004), null=(0.81, 0.09), samples=3200, statistics="estimated")
    figure = contour(plane, [way(residuals=[0.1, 0.2, 0.97])], title="a < b")
    caption = figure.layout.meta["caption"]
    assert caption == (
        "Explained 83 + 0.4 % (a random walk: 81 + 9 %). Not in the plane, of a state's distance "
        "to the reference: 20 % (at most 97 %). Mean over 3,200 samples, BatchNorm estimated."
    )
    title = figure.layout.title.text
    assert title.startswith("a &lt; b<br>")
    assert "83 + 0.4 % (a random walk: 81 + 9 %)" in title
    assert figure.layout.margin.t > contour(bowl()).layout.margin.t
    assert contour(bowl(explained=(1.0, 0.0))).layout.meta["caption"] == "Explained 100 + 0 %."


def test_residuals_are_said_of_each_of_a_few_runs_and_of_many_together(bowl: Any, way: Any) -> None:
    few = contour(bowl(), [way(name="a"), way(name="b", residuals=[0, 0.5, NAN])])
    assert "20 % (at most 20 %) for a, 25 % (at most 50 %) for b." in few.layout.meta["caption"]
    many = contour(bowl(), [way(name=f"run {k}") for k in range(10)])
    assert many.layout.meta["caption"].endswith("20 % (at most 20 %).")
    assert contour(bowl(), [way(residuals=[NAN] * 3)]).layout.meta["caption"] == ""


def test_marks_have_their_names_away_from_the_middle_but_within(bowl: Any) -> None:
    places = [(-1, -0.5), (1, 0.5), (-1.9, -0.95), (1.9, 0.95)]
    figure = contour(bowl(), marks=[Mark("<i>", *place) for place in places])
    marks = figure.data[-1]
    assert marks.text == 4 * ("<b>&lt;i&gt;</b>",)
    assert marks.textposition == ("bottom left", "top right", "top right", "bottom left")


@pytest.mark.parametrize(("steps", "said"), [([0, 1, 2], "every step"), ([0, 5000, 9000], "1,000")])
def test_dots_are_at_round_steps(bowl: Any, way: Any, steps: list[int], said: str) -> None:
    figure = contour(bowl(), [way(steps=steps)])
    assert any(said in str(t.name) for t in figure.data)


def test_a_single_state_has_no_dots_between(bowl: Any, way: Any) -> None:
    names = [t.name for t in contour(bowl(), [way([0.5], [0.5])]).data]
    assert "start" in names
    assert not any(str(name).startswith("every") for name in names)
