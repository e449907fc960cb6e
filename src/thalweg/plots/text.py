"""Words and numbers as a figure or a page shows them."""

from __future__ import annotations

import html
from typing import Any


def plain(text: str, most: int = 0) -> str:
    """Return text that Plotly shows as it is: it takes ``<b>`` and ``&lt;`` for markup.

    Args:
        text: Any text.
        most: Characters to keep, the last of them an ellipsis if there were more; 0 keeps all.

    Example:
        >>> plain("<b> & co"), plain("a long name", most=6)
        ('&lt;b&gt; &amp; co', 'a lon…')
    """
    if most and len(text) > most:
        text = text[: most - 1] + "…"
    return html.escape(text, quote=False)


def setting_text(value: Any, most: int = 0) -> str:
    """Return the value of a setting as a table or an axis shows it.

    Args:
        value: Any value of a spec.
        most: Characters to keep, the last of them an ellipsis if there were more; 0 keeps all.

    Example:
        >>> [setting_text(value) for value in (1e-05, 0.030000000000000002, [16, 8], True, None)]
        ['1e-05', '0.03', '[16, 8]', 'yes', 'none']
    """
    if isinstance(value, list | tuple):
        text = f"[{', '.join(map(setting_text, value))}]"
    elif isinstance(value, bool) or value is None:
        text = {True: "yes", False: "no", None: "none"}[value]
    else:
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text[: most - 1] + "…" if most and len(text) > most else text


def is_share(metric: str) -> bool:
    """Tell whether a metric is a share of the samples, which reads best in percent.

    Example:
        >>> is_share("accuracy"), is_share("top5"), is_share("loss")
        (True, True, False)
    """
    return metric == "accuracy" or (metric.startswith("top") and metric[3:].isdecimal())


def falls(metric: str) -> bool:
    """Tell whether less of a metric is better.

    Example:
        >>> falls("loss"), falls("accuracy")
        (True, False)
    """
    return metric.endswith(("loss", "mae"))


def amount(metric: str, value: float) -> str:
    """Return a metric's value: a share in percent, else a number with four decimals or digits.

    Example:
        >>> amount("accuracy", 0.97214), amount("loss", 0.25), amount("loss", 1.5e-7)
        ('97.21 %', '0.2500', '1.50e-07')
        >>> amount("loss", float("nan"))
        'not a finite number'
    """
    if not abs(value) < float("inf"):
        return "not a finite number"
    if is_share(metric):
        return f"{100 * value:.2f} %"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"
