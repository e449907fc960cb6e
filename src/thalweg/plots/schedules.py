"""Schedules over a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.text import plain
from thalweg.plots.theme import MUTED, SERIES, style
from thalweg.plots.thin import Floats, extremes

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
"""Curves of schedules have no markers: their dashes tell them apart without colours."""


def schedule_curves(
    names: Sequence[str],
    values: Sequence[Floats],
    *,
    per: str = "epoch",
    what: str = "lr",
    title: str = "",
    metric: Floats | None = None,
) -> go.Figure:
    """Draw the values of a hyperparameter over a run, a curve a schedule.

    A value holds from one epoch or step to the next, so that the curves are stairs. Buttons change
    the axis to decades and back.

    Args:
        names: One a schedule.
        values: The values in epochs or steps 0, 1, …, (n,) each.
        per: ``"epoch"`` or ``"step"``.
        what: The hyperparameter.
        title: What to write above.
        metric: What a schedule reacts to, measured at the end of epochs or steps 0, 1, …, (n,);
            drawn dotted, on a scale of its own.

    Example:
        >>> figure = schedule_curves(["halves"], [np.array([0.2, 0.1])])
        >>> figure.data[0].x.tolist(), figure.data[0].y.tolist(), figure.data[0].line.shape
        ([0, 1, 2], [0.2, 0.1, 0.1], 'hv')
    """
    figure = style(go.Figure(), plain(title))
    if metric is not None:
        rows = extremes(metric)
        line = {"color": MUTED, "width": 1.5, "dash": "dot"}
        figure.add_scatter(
            x=rows + 1, y=metric[rows], yaxis="y2", mode="lines", line=line, hoverinfo="skip",
            name="the metric, on a scale of its own",
        )  # fmt: skip
        bare = {"overlaying": "y", "visible": False, "fixedrange": True, "rangemode": "tozero"}
        figure.update_layout(yaxis2=bare)
    for place, (name, y) in enumerate(zip(names, values, strict=True)):
        rows = extremes(y)
        line = {"color": SERIES[place % len(SERIES)], "width": 2.5, "shape": "hv"}
        line |= {"dash": DASHES[place % len(DASHES)]}
        figure.add_scatter(
            x=np.append(rows, len(y)), y=np.append(y[rows], y[-1]), mode="lines", line=line,
            name=plain(name), hovertemplate="%{y:.4~g}",
        )  # fmt: skip
    figure.update_layout(hovermode="x unified", showlegend=len(figure.data) > 1)
    figure.update_xaxes(title_text=per, rangemode="tozero", zeroline=False)
    figure.update_yaxes(
        selector={"overlaying": None}, title_text=plain(what), rangemode="tozero", zeroline=False,
        exponentformat="power",
    )  # fmt: skip
    buttons = [
        {"label": label, "method": "relayout", "args": [{"yaxis.type": kind}]}
        for label, kind in (("linear", "linear"), ("decades", "log"))
    ]
    menu = {"type": "buttons", "direction": "right", "buttons": buttons, "showactive": True}
    place_of_it = {"x": 1, "xanchor": "right", "y": 0, "yanchor": "top", "pad": {"t": 32}}
    figure.update_layout(updatemenus=[menu | place_of_it])
    return figure
