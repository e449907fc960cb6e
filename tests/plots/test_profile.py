from __future__ import annotations

from thalweg.plots import performance_profile

INF = float("inf")


def test_stairs_say_how_many_problems_are_solved_within_a_ratio() -> None:
    ratios = {"<a>": [2.0, 1.0, 2.0, INF], "b": [4.0, INF, INF, INF], "lost": [INF] * 4}
    figure = performance_profile({"epochs": ratios, "seconds": {"<a>": [], "b": [], "lost": []}})
    a, b, lost = figure.data
    assert (a.name, a.x.tolist(), a.y.tolist()) == ("&lt;a&gt;", [1, 2, 4.4], [0.25, 0.75, 0.75])
    assert (b.x.tolist(), b.y.tolist()) == ([1, 4, 4.4], [0, 0.25, 0.25])
    assert lost.y.tolist() == [0, 0]
    assert a.line.shape == "hv"
    data, layout = figure.layout.updatemenus[0].buttons[1].args
    assert data["y"] == [[0, 0]] * 3
    assert layout["xaxis.title.text"] == "times the least seconds"


def test_nothing_was_raced() -> None:
    assert len(performance_profile({}).data) == 0
