"""Numbers as people read them."""

from __future__ import annotations


def number(value: float) -> str:
    """Return a number with four decimals, or with a power of ten if it is tiny or huge.

    Example:
        >>> number(0.0123456), number(-12), number(1.5e-7), number(0.0)
        ('0.0123', '-12.0000', '1.50e-07', '0.0000')
    """
    plain = value == 0 or 1e-3 <= abs(value) < 1e4
    return f"{value:.4f}" if plain else f"{value:.2e}"


def metric(name: str, value: float) -> str:
    """Return a metric: a share of the samples in percent, anything else as a number.

    Example:
        >>> metric("accuracy", 0.97214), metric("top5", 1.0), metric("loss", 0.25)
        ('97.21 %', '100.00 %', '0.2500')
    """
    is_share = name == "accuracy" or name.startswith("top")
    return f"{100 * value:.2f} %" if is_share else number(value)


def counts(share: float, n: int) -> str:
    """Return how many of n a share is.

    Example:
        >>> counts(59998 / 60000, 60000)
        '59998/60000 (99.997 %)'
    """
    return f"{round(share * n)}/{n} ({100 * share:.3f} %)"


def plural(n: float, noun: str) -> str:
    """Return a count with its noun.

    Example:
        >>> plural(1, "step"), plural(1200, "step"), plural(2.25, "epoch")
        ('1 step', '1,200 steps', '2.25 epochs')
    """
    return f"{round(n, 2):,.10g} {noun}{'' if n == 1 else 's'}"
