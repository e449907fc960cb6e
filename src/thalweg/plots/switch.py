"""The buttons of a figure that can be drawn by several costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def switch(figure: Any, states: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """Give a figure buttons, one a state; with a single state there is nothing to choose.

    Args:
        figure: Changed in place; it is in the first state.
        states: What each changes in the curves, a list with an entry for each of them, and in the
            layout.
    """
    if len(states) < 2:
        return
    buttons = [
        {"label": f"by {name}", "method": "update", "args": [dict(data), dict(layout)]}
        for name, (data, layout) in states.items()
    ]
    menu = {"type": "buttons", "direction": "right", "buttons": buttons, "showactive": True}
    place = {"x": 1, "xanchor": "right", "y": 0, "yanchor": "top", "pad": {"t": 32}}
    figure.update_layout(updatemenus=[menu | place])
