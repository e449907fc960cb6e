from __future__ import annotations

import numpy as np

from thalweg.plots.paths import terrain_paths


def bowl(points):
    return (points**2).sum(-1)


def test_paths_end_in_markers_and_gaps_are_left():
    ways = [np.array([[1.0, 1.0], [0.5, 0.2]]), np.array([[1.0, 1.0], [np.inf, np.nan]])]
    figure = terrain_paths(
        bowl, (-2, 2, -1, 1), (0, 0), ["a<b", "c"], ways, [bowl(w) for w in ways]
    )
    contour, *rest = figure.data
    assert contour.z.shape == (241, 241)
    assert np.argmin(contour.z) == 241 * 120 + 120
    lines = [trace for trace in rest if trace.mode == "lines+markers"]
    assert [trace.name for trace in lines] == ["a&lt;b", "c"]
    assert np.isnan(lines[1].x[1])
    heights = [trace for trace in rest if trace.mode == "lines"]
    assert heights[0].y[-1] == 0.5**2 + 0.2**2
    assert figure.layout.yaxis.scaleanchor == "x"
    assert list(figure.layout.xaxis.range) == [-2, 2]
