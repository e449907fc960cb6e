"""Charts on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = " ▁▂▃▄▅▆▇█"


def chart(values: Sequence[float], *, width: int = 60, height: int = 6) -> list[str]:
    r"""Return the lines of a chart, from 0 at the bottom to the greatest value at the top.

    Args:
        values: What to draw, none of it below 0. Where there are more values than columns, a column
            is the greatest of several; where there are fewer, a value has several.
        width: Columns at most.
        height: Lines.

    Example:
        >>> print("\n".join(chart([4.0, 3.0, 2.0, 1.0], width=9, height=2)))
        4 ┤██▄▄
        0 ┤██████▄▄
    """
    n, top = len(values), max(values)
    columns = min(width, n) if n > width else n * (width // n)
    bars = []
    for column in range(columns):
        first = column * n // columns
        piece = values[first : max(first + 1, (column + 1) * n // columns)]
        bars.append(max(piece) / (top or 1.0) * height)
    labels = {0: f"{top:.4g}", height - 1: "0"}
    margin = max(map(len, labels.values()))
    lines = []
    for line in range(height):
        below = height - 1 - line
        cells = (_BLOCKS[round(8 * min(max(bar - below, 0.0), 1.0))] for bar in bars)
        lines.append(f"{labels.get(line, ''):>{margin}} ┤{''.join(cells)}".rstrip())
    return lines
