"""How every figure looks: colours, dashes, markers, font, margins and the place of the legend."""

from __future__ import annotations

from typing import Any

INK, MUTED, GRID, EMPTY, PAPER = "#1a1d21", "#5b636c", "#dfe3e8", "#eef1f4", "#ffffff"
"""Text, what stands back, lines of the grid, cells without a value, and the page; on white."""

SERIES = ("#1b5fe8", "#da7725", "#044624", "#cb287c", "#886315", "#4b11aa", "#0ea2be")
"""Colours of curves on white, in the order in which they are taken.

Found by search: each has a contrast of 3 or more with the page, and any two of them stay apart to
those who see no red, no green or no blue, and in lightness, as grey print needs it.
"""

RIGHT, WRONG = "#7fb2f7", "#f0a35e"
"""Cells that say something, at their fullest: pale enough for text upon them."""

RAMP = ("#bcc6d2", "#8db1de", "#5488d0", "#2a5bb0", "#12306e")
"""From the worst to the best, each further from the page in lightness than the one before."""

DARK = {
    INK: "#e8eaed",
    MUTED: "#a3abb5",
    GRID: "#343a41",
    EMPTY: "#23282e",
    PAPER: "#14171a",
    RIGHT: "#1f56a8",
    WRONG: "#8f4e12",
    "#1b5fe8": "#60b0fc",
    "#da7725": "#f19219",
    "#044624": "#26e1a4",
    "#cb287c": "#eb519c",
    "#886315": "#fcee32",
    "#4b11aa": "#8961f5",
    "#0ea2be": "#aff1ff",
    "#bcc6d2": "#46505c",
    "#8db1de": "#3a659b",
    "#5488d0": "#4c8fd6",
    "#2a5bb0": "#86bdf3",
    "#12306e": "#d6e9ff",
}
"""The colour on a dark page by the colour on white; one to one, so that it can be undone."""

SPLIT_DASHES = {"test": "solid", "val": "dash", "train": "dot", "running": "dashdot"}
"""By split, so that a figure can be read without its colours."""

MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")

FONT = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", '
    '"DejaVu Sans", Arial, sans-serif'
)
"""What the machine has: nothing is fetched."""

SIZE = 13
"""Of text in a figure, in pixels."""


def look(place: int) -> tuple[str, str]:
    """Return colour and marker of the run at a place; only the 50th looks like the first.

    Example:
        >>> look(0), look(7)
        (('#1b5fe8', 'circle'), ('#1b5fe8', 'square'))
    """
    n = len(SERIES)
    return SERIES[place % n], MARKERS[(place + place // n) % n]


def style(figure: Any, title: str = "") -> Any:
    """Give a Plotly figure the common look, and return it.

    The background is transparent. The legend lies above the plot and the margins grow with what is
    in them, so that nothing covers the data.

    Args:
        figure: A Plotly figure, changed in place.
        title: What to write above, as Plotly reads it.

    Example:
        >>> import plotly.graph_objects as go
        >>> style(go.Figure(), "loss").layout.title.text
        'loss'
    """
    clear = "rgba(0,0,0,0)"
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": SIZE, "color": INK},
        paper_bgcolor=clear,
        plot_bgcolor=clear,
        margin={"l": 8, "r": 16, "t": 88 if title else 16, "b": 8},
        colorway=list(SERIES),
        hoverlabel={
            "bgcolor": PAPER,
            "bordercolor": GRID,
            "font": {"family": FONT, "size": SIZE, "color": INK},
        },
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yanchor": "bottom",
            "itemwidth": 36,
            "bgcolor": clear,
            "font": {"color": INK, "size": SIZE},
        },
        title={
            "text": title or None,
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 16},
            "font": {"size": 17, "color": INK},
        },
    )
    axis = {
        "automargin": True,
        "gridcolor": GRID,
        "linecolor": MUTED,
        "tickcolor": MUTED,
        "zerolinecolor": GRID,
        "zerolinewidth": 1,
        "title_standoff": 8,
        "title_font": {"color": INK, "size": SIZE},
        "tickfont": {"color": INK, "size": SIZE - 1},
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure
